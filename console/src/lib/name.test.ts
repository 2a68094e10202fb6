import { expect, test } from 'vitest'
import { isId, isInstant, nameOf } from './name'

test('instants are told from other texts', () => {
  expect(isInstant('2026-03-08T22:07:36.976Z')).toBe(true)
  expect(isInstant('2026-03-08T22:07+09:00')).toBe(true)
  expect(isInstant('2026-03-08')).toBe(false)
  expect(isInstant('M-2026-000001')).toBe(false)
})

test('ids become names', () => {
  expect(nameOf('urn:ngsi-ld:AgriFarm:F050', new Map([['urn:ngsi-ld:AgriFarm:F050', '보람양돈']]))).toBe('보람양돈')
  expect(nameOf('urn:ngsi-ld:AgriFarm:F050')).toBe('F050')
  expect(nameOf('token:C02')).toBe('C02')
  expect(nameOf('김서연')).toBe('김서연')
  expect([isId('urn:x'), isId('x'), isId(null)]).toEqual([true, false, false])
})

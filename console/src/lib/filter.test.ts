import { expect, test } from 'vitest'
import { fromParams, literal, toParams, toQuery } from './filter'

const KINDS = { speed: 'number', plate: 'text', ptoEngaged: 'boolean', startedAt: 'instant' }

test('conditions become an NGSI-LD query', () => {
  expect(toQuery([{ attribute: 'speed', operator: '>=', value: '10' }, { attribute: 'plate', operator: '==', value: '12가 3456' }], KINDS)).toBe('speed>=10;plate=="12가 3456"')
  expect(toQuery([{ attribute: 'ptoEngaged', operator: '==', value: 'true' }, { attribute: 'startedAt', operator: '<', value: '2026-11-22T17:00:00.000Z' }], KINDS)).toBe('ptoEngaged==true;startedAt<2026-11-22T17:00:00.000Z')
  expect(toQuery([{ attribute: 'speed', operator: '>', value: '' }], KINDS)).toBe('')
})

test('what people type cannot leave its quotes', () => {
  expect(literal('a";speed>0', 'text')).toBe('"a\\";speed>0"')
  expect(literal('1;x==1', 'number')).toBe('"1;x==1"')
})

test('a link gives the same conditions back', () => {
  const conditions = [{ attribute: 'plate', operator: '~=' as const, value: 'a|b=c' }]
  expect(fromParams(toParams(conditions))).toEqual(conditions)
  expect(fromParams(['', 'plate', 'plate|=~|x'])).toEqual([])
})

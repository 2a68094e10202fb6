import { expect, test } from 'vitest'
import { isDone, rankOf, STATUSES, statusOf, statusOfRank } from './status'

test('a cluster can show its worst member because ranks grow with severity', () => {
  expect(STATUSES.map(rankOf)).toEqual([4, 3, 2, 1, 0])
  expect([4, 3, 2, 1, 0].map(statusOfRank)).toEqual([...STATUSES])
})

test('what is done is a tick whatever it was', () => {
  expect(statusOf({ state: 'RESOLVED', severity: 'critical' })).toBe('resolved')
  expect(statusOf({ state: 'OPEN', severity: 'critical', withdrawn: true })).toBe('resolved')
  expect(statusOf({ state: 'OPEN', severity: 'critical' })).toBe('critical')
  expect(statusOf({ state: 'OPEN', severity: 'unheard-of' })).toBe('low')
})

test('live states are not done', () => {
  expect(['OPEN', 'ACKNOWLEDGED', 'IN_PROGRESS'].some(isDone)).toBe(false)
  expect(['RESOLVED', 'REVIEWED', 'MERGED', 'WITHDRAWN'].every(isDone)).toBe(true)
})

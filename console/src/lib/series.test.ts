import { expect, test } from 'vitest'
import { rangeOf, spansOf, sparkPath, valueAt, withGaps } from './series'

test('a gap is left open', () => {
  expect(withGaps([0, 10, 500], [1, 2, 3], 100)).toEqual({ t: [0, 10, 11, 500], v: [1, 2, null, 3] })
})

test('a yes holds until the next value, but not through a gap', () => {
  expect(spansOf([0, 10_000, 20_000, 30_000], [true, true, false, true], 60_000)).toEqual([{ from: 0, to: 20_000 }, { from: 30_000, to: 40_000 }])
  expect(spansOf([0, 900_000], [true, true], 60_000)).toEqual([{ from: 0, to: 10_000 }, { from: 900_000, to: 910_000 }])
  expect(spansOf([], [])).toEqual([])
})

test('zero is shown when it is near, unknown is not zero', () => {
  expect(rangeOf([null, NaN])).toBeNull()
  expect(rangeOf([2, 10])![0]).toBe(0)
  expect(rangeOf([8000, 14000])![0]).toBeGreaterThan(7000)
  expect(rangeOf([5, 5])).toEqual([4.6, 5.4])
})

test('a value is read until it is too old', () => {
  expect(valueAt([0, 10], ['a', 'b'], 9, 100)).toBe('a')
  expect(valueAt([0, 10], ['a', 'b'], 111, 100)).toBeNull()
  expect(valueAt([0, 10], ['a', 'b'], -1, 100)).toBeNull()
})

test('a spark lifts its pen over a gap', () => {
  expect(sparkPath([0, 50, 100], [0, 1, 0], 100, 20, { from: 0, to: 100 }, 60)).toMatch(/^M0\.0 20\.0L50\.0 \S+L100\.0 20\.0$/)
  expect(sparkPath([0, 50, 100], [0, 1, 0], 100, 20, { from: 0, to: 100 }, 10).match(/M/g)).toHaveLength(3)
  expect(sparkPath([], [], 100, 20, { from: 0, to: 1 })).toBe('')
})

import { expect, test } from 'vitest'
import { boundsOf, distanceM, lastIndex, mercatorX, mercatorY, positionAt, positions } from './geo'

test('Mercator of well-known places', () => {
  expect([mercatorX(-180), mercatorX(0), mercatorX(180)]).toEqual([0, 0.5, 1])
  expect(mercatorY(0)).toBeCloseTo(0.5, 12)
  // The edge of the square world: atan(sinh(pi)).
  expect(mercatorY(85.0511287798066)).toBeCloseTo(0, 9)
})

test('one degree of a great circle is 111.195 km', () => {
  expect(distanceM([0, 0], [0, 1])).toBeCloseTo(111195.08, 1)
  expect(distanceM([127, 37], [127, 37])).toBe(0)
})

test('positions of every kind of geometry', () => {
  expect(positions({ type: 'Point', coordinates: [1, 2] })).toEqual([[1, 2]])
  expect(positions({ type: 'MultiPolygon', coordinates: [[[[0, 0], [1, 0], [0, 0]]]] })).toHaveLength(3)
  expect(boundsOf([[3, 1], [-2, 5]])).toEqual([-2, 1, 3, 5])
  expect(boundsOf([])).toBeNull()
})

test('the newest value at or before an instant', () => {
  expect([-1, 0, 5, 10, 99].map((at) => lastIndex([0, 10, 20], at))).toEqual([-1, 0, 0, 1, 2])
  expect(lastIndex([], 5)).toBe(-1)
})

test('a track is straight between two points and unknown in a gap', () => {
  const t = [0, 10_000, 900_000]
  const v: [number, number][] = [[0, 0], [1, 2], [5, 5]]
  expect(positionAt(t, v, 5_000)).toEqual([0.5, 1])
  expect(positionAt(t, v, -1)).toBeNull()
  expect(positionAt(t, v, 500_000)).toBeNull()
  expect(positionAt(t, v, 900_000)).toEqual([5, 5])
  expect(positionAt(t, v, 900_000 + 300_001)).toBeNull()
})

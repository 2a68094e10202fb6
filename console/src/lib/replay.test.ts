import { expect, test } from 'vitest'
import { ghostsAt, headingOf } from './replay'

test('headings are clockwise from north', () => {
  expect(headingOf([0, 0], [0, 1])).toBe(0)
  expect(headingOf([0, 0], [1, 0])).toBe(90)
  expect(headingOf([0, 0], [0, -1])).toBe(180)
  expect(headingOf([0, 0], [-1, 0])).toBe(270)
  expect(headingOf([1, 1], [1, 1])).toBeNull()
})

test('things stand where they were; not yet heard of is not shown, long silent is stale', () => {
  const past = [{ id: 'a', label: 'A', t: [0, 10_000], v: [[0, 0], [1, 0]] as [number, number][], speed: [36, 0] }]
  expect(ghostsAt(past, -1)).toEqual([])
  expect(ghostsAt(past, 5_000)).toEqual([{ id: 'a', label: 'A', lon: 0.5, lat: 0, heading: 90, moving: true, stale: false }])
  expect(ghostsAt(past, 20_000)[0]).toMatchObject({ lon: 1, moving: false, stale: false })
  expect(ghostsAt(past, 10_000 + 600_001)[0]).toMatchObject({ lon: 1, stale: true })
})

import { expect, test } from 'vitest'
import { visible } from './rows'

test('only what can be seen is drawn, and the height stays whole', () => {
  for (const top of [0, 36, 5000, 359_000, 999_999]) {
    const slice = visible(10_000, 36, top, 800)
    expect(slice.before + (slice.last - slice.first) * 36 + slice.after).toBe(360_000)
    expect(slice.last - slice.first).toBeLessThanOrEqual(800 / 36 + 26)
  }
  expect(visible(0, 36, 0, 800)).toEqual({ first: 0, last: 0, before: 0, after: 0 })
})

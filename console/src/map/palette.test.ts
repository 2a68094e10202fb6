import { expect, test } from 'vitest'
import css from '../app.css?raw'
import { PALETTES } from './palette'

const variable = (name: string): [string, string] => {
  const found = new RegExp(`--${name}: light-dark\\((#\\w+), (#\\w+)\\)`).exec(css)
  if (!found) throw new Error(name)
  return [found[1]!, found[2]!]
}
/** Relative luminance and contrast of WCAG 2.2. */
const luminance = (hex: string) => {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!
}
const contrast = (a: string, b: string) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (high! + 0.05) / (low! + 0.05)
}

test('the map and the page speak with the same colours', () => {
  for (const [name, colour] of Object.entries(PALETTES.light.status)) expect(variable(name)[0]).toBe(colour)
  for (const [name, colour] of Object.entries(PALETTES.dark.status)) expect(variable(name)[1]).toBe(colour)
  expect(variable('accent')).toEqual([PALETTES.light.accent, PALETTES.dark.accent])
})

test.each(['ink', 'ink-2', 'ink-3', 'accent', 'critical', 'high', 'medium', 'low', 'resolved', 'replay'])('%s can be read on every ground (AA, 4.5)', (name) => {
  const grounds = ['surface', 'page', 'raised', 'hover', 'accent-soft'].map(variable)
  variable(name).forEach((colour, theme) => grounds.forEach((ground) => expect(contrast(colour, ground[theme]!), ground[theme]).toBeGreaterThanOrEqual(4.5)))
})

test('names on the map can be read on their halo', () => {
  for (const palette of Object.values(PALETTES)) {
    expect(contrast(palette.label, palette.halo)).toBeGreaterThanOrEqual(4.5)
    expect(contrast(palette.labelQuiet, palette.halo)).toBeGreaterThanOrEqual(4.5)
  }
})

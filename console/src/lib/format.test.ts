import { expect, test } from 'vitest'
import { massText, numberText, placeText, unitText, valueText, windText } from './format'

test('masses change their unit at a tonne', () => {
  expect(massText(999)).toBe('999 kg')
  expect(massText(1000)).toBe('1.0 t')
  expect(massText(2940)).toBe('2.9 t')
  expect(massText(-2940)).toBe('-2.9 t')
})

test('what is missing is not zero', () => {
  expect(valueText(null, 'kg')).toBe('')
  expect(valueText(0, 'kg')).toBe('0 kg')
})

test('large numbers are grouped and have no digits after the point', () => {
  expect(numberText(1234567)).toBe('1,234,567')
  expect(valueText(12345.6, 'kg')).toBe('12,346 kg')
  expect(valueText(3.14159, 'm')).toBe('3.1 m')
})

test('codes of units become what people write', () => {
  expect(unitText('KGM')).toBe('kg')
  expect(unitText('KMH')).toBe('km/h')
  expect(unitText('XYZ')).toBe('XYZ')
  expect(unitText(null)).toBe('')
})

test('places and winds', () => {
  expect(placeText(126.9012, 36.62041)).toBe('N 36.62041, E 126.90120')
  expect(placeText(-70.5, -33.25)).toBe('S 33.25000, W 70.50000')
  expect([0, 44, 46, 180, 359, -90].map(windText)).toEqual(['N', 'NE', 'NE', 'S', 'N', 'W'])
})

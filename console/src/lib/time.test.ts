import { expect, test } from 'vitest'
import en from '../locale/en.json'
import ko from '../locale/ko.json'
import { clockText, dayKey, dayText, exactText, fullText, lengthText, relativeText } from './time'

const words = (catalogue: Record<string, string>) => (key: string, values: Record<string, string | number> = {}) => catalogue[key]!.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name]))
const T = words(en)
const K = words(ko)
// 2026-11-22T17:14:09Z is 02:14:09 on the 23rd in Seoul (UTC+9, no summer time).
const NOW = Date.UTC(2026, 10, 22, 17, 14, 9)

test('a clock shows the time of the city, not of the browser', () => {
  expect(clockText(NOW, 'Asia/Seoul')).toBe('02:14:09')
  expect(dayKey(NOW, 'Asia/Seoul')).toBe('2026-11-23')
  expect(dayKey(NOW, 'UTC')).toBe('2026-11-22')
  expect(fullText(NOW, 'Asia/Seoul')).toBe('2026-11-23 02:14:09 Asia/Seoul')
})

test('midnight is 00:00:00, never 24:00:00', () => {
  expect(clockText(Date.UTC(2026, 10, 22, 15), 'Asia/Seoul')).toBe('00:00:00')
})

test('a day has its name in the language of the reader', () => {
  expect(dayText(NOW, 'Asia/Seoul', 'ko')).toBe('11월 23일 (월)')
  expect(dayText(NOW, 'Asia/Seoul', 'en')).toMatch(/^Mon,? 23 Nov$/)
})

test('the day is said only when it is not today', () => {
  expect(exactText(NOW - 60_000, NOW, 'Asia/Seoul', 'en')).toBe('02:13:09')
  expect(exactText(NOW - 3 * 3600_000, NOW, 'Asia/Seoul', 'en')).toBe('22 Nov 23:14:09')
})

test.each([
  [0, '0 s', '0초'],
  [59_999, '59 s', '59초'],
  [60_000, '1 min', '1분'],
  [3_599_999, '59 min', '59분'],
  [3_600_000, '1 h', '1시간'],
  [5_400_000, '1 h 30 min', '1시간 30분'],
  [6 * 3_600_000 + 120_000, '6 h', '6시간'],
  [47 * 3_600_000, '47 h', '47시간'],
  [48 * 3_600_000, '2 d', '2일']
])('%d ms in its largest sensible unit', (ms, inEnglish, inKorean) => {
  expect(lengthText(ms, T)).toBe(inEnglish)
  expect(lengthText(ms, K)).toBe(inKorean)
})

test('past, present and future are told apart', () => {
  expect(relativeText(NOW - 180_000, NOW, T)).toBe('3 min ago')
  expect(relativeText(NOW + 180_000, NOW, T)).toBe('in 3 min')
  expect(relativeText(NOW - 4_999, NOW, T)).toBe('now')
  expect(relativeText(NOW - 180_000, NOW, K)).toBe('3분 전')
})

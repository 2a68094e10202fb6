import { expect, test } from 'vitest'
import en from './en.json'
import ko from './ko.json'

const places = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((one) => one[1]).sort()
const sources = Object.entries(import.meta.glob<string>('../**/*.{svelte,ts}', { query: '?raw', eager: true, import: 'default' }))
  .filter(([name]) => !name.endsWith('.test.ts'))
  .map(([, text]) => text)
  .join('\n')

test('both languages have the same keys, with the same places', () => {
  expect(Object.keys(ko)).toEqual(Object.keys(en))
  for (const [key, text] of Object.entries(en)) expect(places((ko as Record<string, string>)[key]!), key).toEqual(places(text))
})

test('no text is empty, and Korean is Korean', () => {
  for (const text of [...Object.values(en), ...Object.values(ko)]) expect(text.trim()).not.toBe('')
  const same = Object.entries(en).filter(([key, text]) => (ko as Record<string, string>)[key] === text && /[a-z]{3}/i.test(text))
  expect(same.map(([key]) => key)).toEqual([])
})

test('every key that is named in the code exists', () => {
  const named = [...sources.matchAll(/\bt\(\s*'([a-z_.]+)'/gi), ...sources.matchAll(/does: '([a-z_.]+)'/g)].map((one) => one[1]!)
  expect(named.length).toBeGreaterThan(100)
  expect(named.filter((key) => !(key in en))).toEqual([])
})

test('every key is used somewhere', () => {
  const starts = [...sources.matchAll(/`([a-z_]+\.)\$\{/g)].map((one) => one[1]!)
  const unused = Object.keys(en).filter((key) => !sources.includes(`'${key}'`) && !starts.some((start) => key.startsWith(start)))
  expect(unused).toEqual([])
})

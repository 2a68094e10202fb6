import { expect, test } from 'vitest'
import { hold, inOrder, laneOf, passes, type Queued } from './queue'

const one = (id: string, changes: Partial<Queued> = {}): Queued => ({ id, state: 'OPEN', severity: 'high', lane: 'act', title: 'Unloading', sentence: 'by the river', subject_label: '12가 3456', number: `I-${id}`, marked_at: '2026-11-22T17:00:00Z', rules: ['manure.D1'], withdrawn: false, ...changes })
const ANY = { lanes: [], severities: [], rules: [], text: '' }

test('lane, then severity, then time', () => {
  const rows = [one('old'), one('done', { state: 'RESOLVED', severity: 'critical' }), one('look', { lane: 'look', severity: 'critical' }), one('worse', { severity: 'critical' }), one('new', { marked_at: '2026-11-22T17:05:00Z' })]
  expect(inOrder(rows).map((row) => row.id)).toEqual(['worse', 'new', 'old', 'look', 'done'])
})

test('what is done leaves its lane', () => {
  expect(laneOf(one('a', { state: 'REVIEWED' }))).toBe('done')
  expect(laneOf(one('a', { withdrawn: true }))).toBe('done')
})

test('filters are joined by and, their members by or', () => {
  expect(passes(one('a'), ANY)).toBe(true)
  expect(passes(one('a'), { ...ANY, lanes: ['look', 'act'] })).toBe(true)
  expect(passes(one('a'), { ...ANY, lanes: ['act'], severities: ['critical'] })).toBe(false)
  expect(passes(one('a'), { ...ANY, rules: ['manure.D2', 'manure.D1'] })).toBe(true)
  expect(passes(one('a'), { ...ANY, text: ' 3456 ' })).toBe(true)
  expect(passes(one('a'), { ...ANY, text: 'farm' })).toBe(false)
})

test('rows under a hand keep their place, new ones wait, changed ones change', () => {
  const a = one('a')
  const b = one('b')
  const c = one('c', { severity: 'critical' })
  const resolved = { ...a, state: 'RESOLVED' }
  const all = new Map([resolved, b, c].map((row) => [row.id, row]))
  const { rows, waiting } = hold([a, b], [c, b], all)
  expect(rows).toEqual([resolved, b])
  expect(waiting).toBe(1)
})

// The order of the queue, what passes its filter, and which rows a hand may be about to press.
import { isDone, rankOf, statusOf } from './status'

export interface Queued {
  id: string
  state: string
  severity: string
  lane: string
  title: string
  sentence: string
  subject_label: string
  number: string
  marked_at: string
  rules: string[]
  withdrawn: boolean
}

export interface QueueFilter {
  lanes: string[]
  severities: string[]
  rules: string[]
  text: string
}

export const LANES = ['act', 'look', 'log', 'done'] as const
export type Lane = (typeof LANES)[number]

/** Where it stands: what is done leaves its lane. */
export function laneOf(one: Pick<Queued, 'state' | 'lane' | 'withdrawn'>): Lane {
  if (isDone(one.state) || one.withdrawn) return 'done'
  return (LANES as readonly string[]).includes(one.lane) ? (one.lane as Lane) : 'look'
}

/** Lane first, then the worse, then the later. */
export function inOrder<T extends Queued>(incidents: Iterable<T>): T[] {
  const lane = (one: T) => LANES.indexOf(laneOf(one))
  return [...incidents].sort((a, b) => lane(a) - lane(b) || (laneOf(a) === 'done' ? 0 : rankOf(statusOf(b)) - rankOf(statusOf(a))) || Date.parse(b.marked_at) - Date.parse(a.marked_at) || (a.id < b.id ? -1 : 1))
}

/** True when a row passes; an empty list means "any". Text is looked for in everything that the row shows. */
export function passes(one: Queued, filter: QueueFilter): boolean {
  if (filter.lanes.length && !filter.lanes.includes(laneOf(one))) return false
  if (filter.severities.length && !filter.severities.includes(one.severity)) return false
  if (filter.rules.length && !one.rules.some((rule) => filter.rules.includes(rule))) return false
  const text = filter.text.trim().toLowerCase()
  return !text || [one.title, one.sentence, one.subject_label, one.number].some((field) => field.toLowerCase().includes(text))
}

/** Rows while a hand rests on the list: those that stand keep their place, also when they no longer pass; new ones wait and are counted. */
export function hold<T extends { id: string }>(shown: readonly T[], wanted: readonly T[], all: ReadonlyMap<string, T>): { rows: T[]; waiting: number } {
  const known = new Set(shown.map((one) => one.id))
  return { rows: shown.flatMap((one) => all.get(one.id) ?? []), waiting: wanted.filter((one) => !known.has(one.id)).length }
}

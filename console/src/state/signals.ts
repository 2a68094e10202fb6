import type { History } from '../api/types'
import { unitText } from '../lib/format'
import type { Signal } from '../lib/series'

const FIRST = ['grossWeight', 'speed', 'ptoEngaged', 'weightStable', 'ignition']
const NOT_DRAWN = new Set(['location', 'heading'])

/** The series of a history as signals of one axis, the telling ones first. */
export function signalsOf(history: History | null): Signal[] {
  const rank = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length)
  return Object.entries(history?.series ?? {})
    .filter(([name, one]) => !NOT_DRAWN.has(name) && one.t.length && one.v.some((value) => typeof value === 'number' || typeof value === 'boolean'))
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([name, one]): Signal => {
      const yesNo = one.v.every((value) => typeof value === 'boolean' || value === null)
      return { name, title: one.title || name, unit: unitText(one.unit), kind: yesNo ? 'band' : 'line', t: one.t, v: one.v.map((value) => (value === null || value === undefined ? null : Number(value))) }
    })
}

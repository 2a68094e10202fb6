import { ask, query } from './http'
import type { History, Thing } from './types'

export const getThing = (id: string) => ask<Thing>(`/api/entities/${encodeURIComponent(id)}`)

/** Values of attributes between two instants (ms), oldest first; at most `limit` an attribute. */
export const getHistory = (id: string, attributes: string[], from: number, to: number, limit = 5000, signal?: AbortSignal) =>
  ask<History>(`/api/entities/${encodeURIComponent(id)}/history${query({ attributes, from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit })}`, { signal })

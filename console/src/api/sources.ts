import { ask, post, query } from './http'
import type { Quarantined, Source } from './types'

export const listSources = () => ask<Source[]>('/api/sources')
export const listQuarantine = (source?: string, limit = 100) => ask<Quarantined[]>(`/api/quarantine${query({ source, limit })}`)
/** Tries a payload again with the mapping as it is now. */
export const replayQuarantined = (id: number) => post<{ status: string; code: string; detail: string }>(`/api/quarantine/${id}/replay`, {})

import { ask, post, query } from './http'
import type { Quarantined, Source, StuckPage } from './types'

export const listSources = () => ask<Source[]>('/api/sources')
export const listQuarantine = (source?: string, limit = 100) => ask<Quarantined[]>(`/api/quarantine${query({ source, limit })}`)
/** Tries a payload again with the mapping as it is now. */
export const replayQuarantined = (id: number) => post<{ status: string; code: string; detail: string }>(`/api/quarantine/${id}/replay`, {})
/** Messages that could not be sent and deadlines whose action failed. */
export const listStuck = () => ask<StuckPage>('/api/stuck')
/** Tries one again; asking twice does it once. */
export const retryStuck = (id: string) => post<{ status: 'again' | 'not-stuck' }>(`/api/stuck/${encodeURIComponent(id)}/retry`, {})

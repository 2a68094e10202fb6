import { ask, post, query } from './http'
import type { Quarantined, Source } from './types'

export const listSources = () => ask<Source[]>('/api/sources')
export const listQuarantine = async (source?: string, limit = 100) => {
  const answer = await ask<{ items: Quarantined[]; total?: number } | Quarantined[]>(`/api/quarantine${query({ source, limit })}`)
  return Array.isArray(answer) ? { items: answer, total: answer.length } : { items: answer.items, total: answer.total ?? answer.items.length }
}
export const replayQuarantined = (id: string) => post<Record<string, unknown>>(`/api/quarantine/${encodeURIComponent(id)}/replay`, {})

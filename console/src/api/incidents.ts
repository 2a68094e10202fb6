import { ask, query } from './http'
import type { IncidentDetail, Incidents } from './types'

export interface IncidentQuery {
  state?: string[]
  text?: string
  limit?: number
  offset?: number
}

export const listIncidents = (asked: IncidentQuery = {}, signal?: AbortSignal) => ask<Incidents>(`/api/incidents${query({ ...asked })}`, { signal })
export const getIncident = (id: string) => ask<IncidentDetail>(`/api/incidents/${encodeURIComponent(id)}`)

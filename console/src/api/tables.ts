import { ask, query, spoken } from './http'
import type { Rows, Table } from './types'

export interface TableQuery {
  filter?: string
  text?: string
  state?: string
  sort?: string
  limit?: number
  offset?: number
}

export const listTables = () => ask<Table[]>('/api/tables')
export const getRows = (type: string, asked: TableQuery, signal?: AbortSignal) => ask<Rows>(`/api/tables/${encodeURIComponent(type)}${query({ ...asked })}`, { signal })

/** Address of the same selection as a file, never cut. */
export const fileUrl = (type: string, ending: 'csv' | 'xlsx', asked: TableQuery) =>
  `/api/tables/${encodeURIComponent(type)}.${ending}${query({ filter: asked.filter, text: asked.text, state: asked.state, sort: asked.sort, lang: spoken() })}`

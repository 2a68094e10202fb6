import { ask, post } from './http'
import type { Action, Choice, RecordDetail } from './types'

export const listRecordTypes = () => ask<{ type: string; title: string; states: Choice[]; actions: Action[] }[]>('/api/record-types')
export const getRecord = (id: string) => ask<RecordDetail>(`/api/records/${encodeURIComponent(id)}`)

/** Makes a record of a type by one of its creating actions. */
export const create = (type: string, action: string, values: Record<string, unknown>, onBehalfOf: string | null = null, key: string = crypto.randomUUID()) =>
  post<{ record: RecordDetail }>(`/api/records/${encodeURIComponent(type)}`, { action, arguments: values, on_behalf_of: onBehalfOf }, { 'idempotency-key': key })

/** Asks for an action on the version that the person saw. The key makes a repeated click one action. */
export const act = (id: string, action: string, version: number, values: Record<string, unknown>, onBehalfOf: string | null = null, key: string = crypto.randomUUID()) =>
  post<{ record: RecordDetail }>(`/api/records/${encodeURIComponent(id)}/actions/${encodeURIComponent(action)}`, { version, arguments: values, on_behalf_of: onBehalfOf }, { 'idempotency-key': key })

import { ask, post, query } from './http'
import type { FailedNotification, Subscription } from './types'

const one = (id: string): string => `/api/subscriptions/${encodeURIComponent(id)}`

export const listSubscriptions = () => ask<Subscription[]>('/api/subscriptions')
export const listFailed = (id: string, limit = 100) => ask<FailedNotification[]>(`${one(id)}/failed${query({ limit })}`)
/** Gives how many changes are due again. */
export const sendAgain = (id: string, numbers: number[]) => post<{ events: number }>(`${one(id)}/failed/send`, { numbers })
/** Gives how many changes were let go of. */
export const discardFailed = (id: string, numbers: number[]) => post<{ events: number }>(`${one(id)}/failed/discard`, { numbers })
/** Notifies again of everything since an instant (RFC 3339). */
export const replaySince = (id: string, from_at: string) => post<{ events: number; to_seq: number; is_complete: boolean }>(`${one(id)}/replay`, { from_at })

import { ask, post, query } from './http'
import type { City, Involved, Layer, Live, Me } from './types'

/** Trades a token for a session cookie that no script can read. */
export const logIn = (token: string) => post<void>('/api/session', { token })
export const logOut = () => ask<void>('/api/session', { method: 'DELETE' })
export const getMe = () => ask<Me>('/api/me')
export const getCity = () => ask<City>('/api/city')
export const listLayers = () => ask<Layer[]>('/api/layers')
export const getLayer = (id: string) => ask<GeoJSON.FeatureCollection>(`/api/layers/${encodeURIComponent(id)}`)
export const getLive = () => ask<Live>('/api/live')
export const search = (text: string, limit = 8) => ask<Involved[]>(`/api/search${query({ text, limit })}`)

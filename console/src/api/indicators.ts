import { ask, query } from './http'
import type { Indicator } from './types'

/** Figures over the window [from, to), both ms; without one the server chooses. */
export const listIndicators = (from?: number, to?: number) => ask<Indicator[]>(`/api/indicators${query({ from: from && new Date(from).toISOString(), to: to && new Date(to).toISOString() })}`)

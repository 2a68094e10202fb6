import { query, spoken } from './http'
import type { Clock, Incident, Move } from './types'

export interface StreamEvents {
  moves: { seq: number; moves: Move[] }
  incident: Incident
  record: { id: string; type: string; state: string; version: number }
  clock: Clock
  reset: Record<string, never>
}

export type StreamState = 'live' | 'reconnecting'

/**
 * Opens the event stream and keeps it open. After a break the browser resumes behind the last event it had;
 * where the server says `reset`, or the stream had to be opened anew, `restarted` is called and everything is read again.
 */
export function openStream(on: { [K in keyof StreamEvents]: (data: StreamEvents[K]) => void }, state: (now: StreamState) => void, restarted: () => void): () => void {
  let source: EventSource | null = null
  let timer = 0
  let closed = false
  let again = false

  const open = () => {
    source = new EventSource(`/api/stream${query({ topics: 'moves,incidents,records,clock', lang: spoken() })}`)
    source.onopen = () => {
      state('live')
      if (again) restarted()
      again = false
    }
    source.onerror = () => {
      if (closed) return
      state('reconnecting')
      // The browser retries a broken connection by itself; a refused one (a server that restarts) it gives up.
      if (source?.readyState === EventSource.CLOSED) {
        again = true
        timer = window.setTimeout(open, 2000)
      }
    }
    for (const name of ['moves', 'incident', 'record', 'clock', 'reset'] as const) {
      source.addEventListener(name, (event) => {
        const data: unknown = JSON.parse((event as MessageEvent<string>).data || '{}')
        if (name === 'reset') restarted()
        ;(on[name] as (value: unknown) => void)(data)
      })
    }
  }
  open()
  return () => {
    closed = true
    window.clearTimeout(timer)
    source?.close()
  }
}

import { listIncidents } from '../api/incidents'
import type { Incident } from '../api/types'
import { isDone, rankOf, statusOf } from '../lib/status'

/** The newest incidents, kept true by the stream. */
class IncidentsState {
  all = $state.raw(new Map<string, Incident>())
  /** More exist than were read. */
  truncated = $state(false)
  ready = $state(false)
  failed = $state(false)
  /** The worst status (rank) of what is still open, by subject. */
  worst = $derived.by(() => {
    const worst = new Map<string, number>()
    for (const one of this.all.values()) {
      if (!one.subject || isDone(one.state) || one.withdrawn) continue
      worst.set(one.subject, Math.max(worst.get(one.subject) ?? 0, rankOf(statusOf(one))))
    }
    return worst
  })
  #seen = new Set<string>()

  async load(): Promise<void> {
    try {
      const answer = await listIncidents({ limit: 500 })
      this.all = new Map(answer.items.map((one) => [one.id, this.#mine(one)]))
      this.truncated = answer.truncated || answer.total > answer.items.length
      this.ready = true
      this.failed = false
    } catch {
      this.failed = true
    }
  }

  put(one: Incident): void {
    const known = this.all.get(one.id)
    if (known && known.version > one.version) return
    const all = new Map(this.all)
    all.set(one.id, this.#mine(one))
    this.all = all
  }

  /** The reader has opened it. */
  see(id: string): void {
    this.#seen.add(id)
    const one = this.all.get(id)
    if (one?.unseen) this.put({ ...one })
  }

  #mine(one: Incident): Incident {
    return this.#seen.has(one.id) && one.unseen ? { ...one, unseen: false } : one
  }
}

export const incidents = new IncidentsState()

import { getHistory } from '../api/entities'
import type { LonLat } from '../lib/geo'
import { type Ghost, ghostsAt, type Past } from '../lib/replay'
import { fleet } from './fleet.svelte'

/** History is read in blocks of this length, so that dragging about reads nothing twice. */
const BLOCK = 30 * 60_000
/** Things replayed at once: each is a question to the server. */
const MOST = 200
const AT_ONCE = 6

class Replay {
  /** City time (ms) that is shown; null is now. */
  at = $state<number | null>(null)
  playing = $state(false)
  loading = $state(false)
  /** Some things were left out, or the server could not be asked. */
  partial = $state(false)
  #version = $state(0)
  #past = new Map<string, Map<number, Past>>()
  #asked = new Set<string>()
  #timer = 0

  ghosts = $derived.by((): Ghost[] | null => {
    this.#version
    if (this.at === null) return null
    const block = Math.floor(this.at / BLOCK)
    const joined: Past[] = []
    for (const [id, blocks] of this.#past) {
      const parts = [blocks.get(block - 1), blocks.get(block)].filter((one) => one !== undefined)
      if (!parts.length) continue
      joined.push({ id, label: parts[0]!.label, t: parts.flatMap((one) => one.t), v: parts.flatMap((one) => one.v), speed: parts.flatMap((one) => one.speed) })
    }
    return ghostsAt(joined, this.at)
  })

  show(at: number): void {
    this.at = at
    window.clearTimeout(this.#timer)
    this.#timer = window.setTimeout(() => void this.#read(), 120)
  }

  live(): void {
    this.at = null
    this.playing = false
  }

  async #read(): Promise<void> {
    if (this.at === null) return
    const block = Math.floor(this.at / BLOCK)
    this.partial = fleet.size > MOST
    const wanted = fleet.ids.slice(0, MOST).flatMap((id, i) => [block - 1, block].filter((one) => !this.#asked.has(`${id}|${one}`)).map((one) => ({ id, label: fleet.labels[i]!, block: one })))
    if (!wanted.length) return
    wanted.forEach((one) => this.#asked.add(`${one.id}|${one.block}`))
    this.loading = true
    let next = 0
    const worker = async (): Promise<void> => {
      for (let one = wanted[next++]; one; one = wanted[next++]) {
        try {
          const { series } = await getHistory(one.id, ['location', 'speed'], one.block * BLOCK, (one.block + 1) * BLOCK, 2000)
          const location = series.location
          const blocks = this.#past.get(one.id) ?? new Map<number, Past>()
          const speeds = new Map(series.speed?.t.map((at, i) => [at, Number(series.speed!.v[i])]))
          if (location?.t.length) blocks.set(one.block, { id: one.id, label: one.label, t: location.t, v: location.v as LonLat[], speed: location.t.map((at) => speeds.get(at) ?? 0) })
          this.#past.set(one.id, blocks)
          this.#version++
        } catch {
          this.#asked.delete(`${one.id}|${one.block}`)
          this.partial = true
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    this.loading = false
    // A block that was still being written when it was read is read again next time.
    for (const one of wanted) if ((one.block + 1) * BLOCK > this.at + BLOCK) this.#asked.delete(`${one.id}|${one.block}`)
  }
}

export const replay = new Replay()

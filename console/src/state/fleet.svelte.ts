import { getLive } from '../api/city'
import type { LiveThing, Move } from '../api/types'

/** Everything that moves, in columns: 50,000 things change four times a second without one object each. */
class Fleet {
  /** Grows with every change; who draws hangs on it. */
  version = $state(0)
  /** Grows when things come or go. */
  shape = $state(0)
  ready = $state(false)
  /** How many there are in the city; more than are shown when the picture is cut. */
  total = $state(0)
  ids: string[] = []
  labels: string[] = []
  types: string[] = []
  stale: boolean[] = []
  lon = new Float64Array(0)
  lat = new Float64Array(0)
  heading = new Float32Array(0)
  speed = new Float32Array(0)
  weight = new Float32Array(0)
  at = new Float64Array(0)
  #index = new Map<string, number>()

  get size(): number {
    return this.ids.length
  }

  indexOf(id: string): number {
    return this.#index.get(id) ?? -1
  }

  labelOf(id: string): string {
    return this.labels[this.indexOf(id)] ?? id.split(':').pop() ?? id
  }

  async load(): Promise<void> {
    try {
      const live = await getLive()
      this.#fill(live.things)
      this.total = live.total
      this.ready = true
    } catch {
      // The connection state already says that the server cannot be reached; what was shown stays.
    }
  }

  move(moves: Move[]): void {
    const unknown = moves.some(([id]) => !this.#index.has(id))
    for (const [id, lon, lat, heading, speed, at, weight] of moves) {
      const i = this.#index.get(id)
      if (i === undefined || at < this.at[i]!) continue
      this.lon[i] = lon
      this.lat[i] = lat
      if (heading !== null) this.heading[i] = heading
      this.speed[i] = speed ?? NaN
      if (weight !== null && weight !== undefined) this.weight[i] = weight
      this.at[i] = at
      this.stale[i] = false
    }
    this.version++
    // Where the picture is cut, things that are not in it move all the time.
    if (unknown && this.ready && this.total <= this.size) void this.load()
  }

  #fill(things: LiveThing[]): void {
    const n = things.length
    this.ids = things.map((one) => one.id)
    this.labels = things.map((one) => one.label)
    this.types = things.map((one) => one.type)
    this.stale = things.map((one) => one.state === 'stale')
    this.#index = new Map(this.ids.map((id, i) => [id, i]))
    this.lon = new Float64Array(n)
    this.lat = new Float64Array(n)
    this.heading = new Float32Array(n)
    this.speed = new Float32Array(n)
    this.weight = new Float32Array(n)
    this.at = new Float64Array(n)
    things.forEach((one, i) => {
      this.lon[i] = one.lon ?? NaN
      this.lat[i] = one.lat ?? NaN
      this.heading[i] = one.heading ?? NaN
      this.speed[i] = one.speed ?? NaN
      this.weight[i] = one.weight_kg ?? NaN
      this.at[i] = one.observed_at ? Date.parse(one.observed_at) : NaN
    })
    this.shape++
    this.version++
  }
}

export const fleet = new Fleet()

import { getCity, getMe, logIn, logOut } from '../api/city'
import { listRecordTypes } from '../api/records'
import { Problem, whenRefused } from '../api/http'
import { openStream, type StreamState } from '../api/stream'
import type { City, Clock, Incident, Me } from '../api/types'
import { fleet } from './fleet.svelte'
import { incidents } from './incidents.svelte'
import { addressOf } from './router.svelte'

/** Who we are, where we are, what time it is there, and whether what is shown is true now. */
class CityState {
  me = $state.raw<Me | null>(null)
  /** Types whose page is a record's: they have a life of their own. */
  recordTypes = $state.raw<ReadonlySet<string>>(new Set())
  city = $state.raw<City | null>(null)
  access = $state<'unknown' | 'out' | 'in' | 'unreachable'>('unknown')
  stream = $state<StreamState | 'connecting'>('connecting')
  /** City time (ms) when the stream broke. */
  brokenAt = $state<number | null>(null)
  /** City time (ms), a new value each second; ages hang on it. */
  now = $state(Date.now())
  speed = $state(1)
  #clock = { now: Date.now(), at: performance.now(), speed: 1 }
  #close: (() => void) | null = null
  #recordWatchers = new Set<(id: string) => void>()

  constructor() {
    whenRefused(() => {
      if (this.access === 'in') this.#leave()
    })
    window.setInterval(() => this.#beat(), 1000)
  }

  get zone(): string {
    return this.city?.time_zone ?? 'UTC'
  }

  /** City time (ms) at this very moment. */
  exactNow(): number {
    return this.#clock.now + (performance.now() - this.#clock.at) * this.#clock.speed
  }

  may(permission: string): boolean {
    const held = this.me?.permissions ?? []
    return held.includes('*') || held.includes(permission)
  }

  async start(): Promise<void> {
    // The demo prints an address with its first token; it leaves the address before anything else can see it.
    const token = new URLSearchParams(location.hash.slice(1)).get('token')
    if (token) {
      history.replaceState(null, '', location.pathname + location.search)
      try {
        await logIn(token)
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== 401) throw error
      }
    }
    await this.enter()
  }

  async enter(): Promise<void> {
    try {
      const [me, city, types] = await Promise.all([getMe(), getCity(), listRecordTypes().catch(() => [])])
      this.recordTypes = new Set(types.map((one) => one.type))
      this.me = me
      this.city = city
      this.#setClock(city.clock)
      this.access = 'in'
      this.#listen()
    } catch (error) {
      this.access = error instanceof Problem && (error.status === 401 || error.status === 403) ? 'out' : 'unreachable'
    }
  }

  /** Reads the city's texts again, in another language. */
  async refresh(): Promise<void> {
    if (this.access !== 'in') return
    this.city = await getCity()
    this.#listen()
  }

  async leave(): Promise<void> {
    await logOut().catch(() => undefined)
    this.#leave()
  }

  /** The page of anything by its id: `urn:ngsi-ld:<Type>:<code>`. */
  pageOf(id: string): string {
    const type = id.split(':')[2] ?? ''
    if (type === 'Incident') return addressOf.incident(id)
    return this.recordTypes.has(type) ? addressOf.record(id) : addressOf.thing(id)
  }

  /** Calls back when a record or incident changes anywhere. */
  watchRecords(call: (id: string) => void): () => void {
    this.#recordWatchers.add(call)
    return () => this.#recordWatchers.delete(call)
  }

  #leave(): void {
    this.#close?.()
    this.#close = null
    this.me = null
    this.access = 'out'
  }

  #listen(): void {
    this.#close?.()
    void fleet.load()
    void incidents.load()
    this.#close = openStream(
      {
        moves: ({ moves }) => fleet.move(moves),
        incident: (one: Incident) => {
          incidents.put(one)
          this.#recordWatchers.forEach((call) => call(one.id))
        },
        record: ({ id }) => this.#recordWatchers.forEach((call) => call(id)),
        clock: (clock) => this.#setClock(clock),
        reset: () => undefined
      },
      (state) => {
        this.brokenAt = state === 'live' ? null : (this.brokenAt ?? this.exactNow())
        this.stream = state
      },
      () => {
        void fleet.load()
        void incidents.load()
      }
    )
  }

  #setClock(clock: Clock): void {
    this.#clock = { now: Date.parse(clock.now), at: performance.now(), speed: clock.speed }
    this.speed = clock.speed
    this.#beat()
  }

  #beat(): void {
    this.now = Math.floor(this.exactNow() / 1000) * 1000
  }
}

export const city = new CityState()

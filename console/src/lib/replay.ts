// Where everything was at an instant, from its history.
import { lastIndex, type LonLat, positionAt } from './geo'

export interface Past {
  id: string
  label: string
  t: number[]
  v: LonLat[]
  speed: number[]
}

export interface Ghost {
  id: string
  label: string
  lon: number
  lat: number
  heading: number | null
  moving: boolean
  stale: boolean
}

/** Degrees clockwise from north, from one position to the next on a plane that is small enough. */
export function headingOf(from: LonLat, to: LonLat): number | null {
  const x = (to[0] - from[0]) * Math.cos((from[1] * Math.PI) / 180)
  const y = to[1] - from[1]
  if (x === 0 && y === 0) return null
  return ((Math.atan2(x, y) * 180) / Math.PI + 360) % 360
}

/** Things with at least one position at or before `at`; silent for longer than `staleMs` is stale. */
export function ghostsAt(past: Iterable<Past>, at: number, staleMs = 600_000): Ghost[] {
  const ghosts: Ghost[] = []
  for (const one of past) {
    const i = lastIndex(one.t, at)
    if (i < 0) continue
    const place = positionAt(one.t, one.v, at) ?? one.v[i]!
    const next = one.v[i + 1]
    const heading = next ? headingOf(one.v[i]!, next) : i > 0 ? headingOf(one.v[i - 1]!, one.v[i]!) : null
    const age = at - one.t[i]!
    ghosts.push({ id: one.id, label: one.label, lon: place[0], lat: place[1], heading, moving: (one.speed[i] ?? 0) > 1 && age < 60_000, stale: age > staleMs && i === one.t.length - 1 })
  }
  return ghosts
}

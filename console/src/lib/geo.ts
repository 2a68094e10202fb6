// Geometry on the map: WGS 84 (lon, lat) in degrees, Mercator in [0, 1] as MapLibre has it.

export type LonLat = [number, number]
export type Bounds = [number, number, number, number]

export function mercatorX(lon: number): number {
  return (180 + lon) / 360
}

export function mercatorY(lat: number): number {
  return (180 - (180 / Math.PI) * Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360))) / 360
}

/** Great-circle distance in metres on a sphere of 6 371 008.8 m. */
export function distanceM(a: LonLat, b: LonLat): number {
  const rad = Math.PI / 180
  const h = Math.sin(((b[1] - a[1]) * rad) / 2) ** 2 + Math.cos(a[1] * rad) * Math.cos(b[1] * rad) * Math.sin(((b[0] - a[0]) * rad) / 2) ** 2
  return 2 * 6371008.8 * Math.asin(Math.sqrt(h))
}

/** Every position of any GeoJSON geometry. */
export function positions(geometry: GeoJSON.Geometry): LonLat[] {
  const out: LonLat[] = []
  const walk = (value: unknown): void => {
    if (!Array.isArray(value)) return
    if (typeof value[0] === 'number') out.push([value[0], value[1] as number])
    else value.forEach(walk)
  }
  if (geometry.type === 'GeometryCollection') geometry.geometries.forEach((one) => out.push(...positions(one)))
  else walk(geometry.coordinates)
  return out
}

/** Smallest box around positions; null when there is none. */
export function boundsOf(points: LonLat[]): Bounds | null {
  if (!points.length) return null
  const box: Bounds = [Infinity, Infinity, -Infinity, -Infinity]
  for (const [lon, lat] of points) {
    box[0] = Math.min(box[0], lon)
    box[1] = Math.min(box[1], lat)
    box[2] = Math.max(box[2], lon)
    box[3] = Math.max(box[3], lat)
  }
  return box
}

/** Index of the last entry of sorted `t` that is ≤ `at`; -1 when all are later. */
export function lastIndex(t: ArrayLike<number>, at: number): number {
  let low = 0
  let high = t.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (t[middle]! <= at) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** Where a track was at `at`: between two points in a straight line, null outside the track or in a gap longer than `gapMs`. */
export function positionAt(t: number[], v: LonLat[], at: number, gapMs = 300_000): LonLat | null {
  const i = lastIndex(t, at)
  if (i < 0) return null
  const here = v[i]!
  const next = v[i + 1]
  if (!next) return at - t[i]! <= gapMs ? here : null
  const span = t[i + 1]! - t[i]!
  if (span > gapMs) return at - t[i]! <= gapMs / 2 ? here : null
  const share = span ? (at - t[i]!) / span : 0
  return [here[0] + (next[0] - here[0]) * share, here[1] + (next[1] - here[1]) * share]
}

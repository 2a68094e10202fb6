// Time series for drawing: what was measured, with its gaps left open.

export interface Signal {
  name: string
  title: string
  unit: string
  /** `line`: joined values; `band`: on and off. */
  kind: 'line' | 'band'
  t: number[]
  v: (number | null)[]
}

export interface Span {
  from: number
  to: number
}

/** Longer than this between two values is a gap: nothing is drawn through it. */
export const GAP_MS = 3 * 60_000

/** Values with a null where something is missing for longer than `gap`; t and v stay the same length. */
export function withGaps(t: readonly number[], v: readonly (number | null)[], gap = GAP_MS): { t: number[]; v: (number | null)[] } {
  const out: { t: number[]; v: (number | null)[] } = { t: [], v: [] }
  t.forEach((at, i) => {
    const before = t[i - 1]
    if (before !== undefined && at - before > gap) {
      out.t.push(before + 1)
      out.v.push(null)
    }
    out.t.push(at)
    out.v.push(v[i] ?? null)
  })
  return out
}

/** Stretches where a yes-or-no signal says yes. A value holds until the next one, at most for `gap`. */
export function spansOf(t: readonly number[], v: readonly unknown[], gap = GAP_MS): Span[] {
  const spans: Span[] = []
  t.forEach((at, i) => {
    if (!v[i]) return
    const next = t[i + 1]
    const to = next !== undefined && next - at <= gap ? next : at + Math.min(gap, 10_000)
    const last = spans[spans.length - 1]
    if (last && at <= last.to) last.to = to
    else spans.push({ from: at, to })
  })
  return spans
}

/** Lowest and highest value, 0 included where it is near; null without values. */
export function rangeOf(v: readonly (number | null)[]): [number, number] | null {
  let low = Infinity
  let high = -Infinity
  for (const one of v) {
    if (one === null || !Number.isFinite(one)) continue
    if (one < low) low = one
    if (one > high) high = one
  }
  if (low > high) return null
  if (low > 0 && low < high * 0.4) low = 0
  const room = (high - low || Math.abs(high) || 1) * 0.08
  return [low === 0 ? 0 : low - room, high + room]
}

/** The newest value at or before `at`, unless it is older than `gap`. */
export function valueAt(t: readonly number[], v: readonly unknown[], at: number, gap = GAP_MS): unknown {
  let low = 0
  let high = t.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (t[middle]! <= at) low = middle + 1
    else high = middle
  }
  return low > 0 && at - t[low - 1]! <= gap ? v[low - 1] : null
}

/** An SVG path through the values of a small picture, gaps left open; '' without values. */
export function sparkPath(t: readonly number[], v: readonly (number | null)[], width: number, height: number, span: Span, gap = GAP_MS): string {
  const range = rangeOf(v)
  if (!range) return ''
  const [low, high] = range
  const length = span.to - span.from || 1
  let path = ''
  let pen = false
  let last = -Infinity
  t.forEach((at, i) => {
    const one = v[i]
    if (one === null || one === undefined || at < span.from || at > span.to) {
      pen = false
      return
    }
    if (at - last > gap) pen = false
    last = at
    path += `${pen ? 'L' : 'M'}${(((at - span.from) / length) * width).toFixed(1)} ${(height - ((one - low) / (high - low || 1)) * height).toFixed(1)}`
    pen = true
  })
  return path
}

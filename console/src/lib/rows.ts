// Which rows of a long list are drawn: the visible ones and a few above and below.

export interface Slice {
  first: number
  last: number
  before: number
  after: number
}

/** `first` to `last` (exclusive) of `count` rows of `height` px, and the space that stands for the others. */
export function visible(count: number, height: number, top: number, view: number, spare = 12): Slice {
  const first = Math.max(0, Math.min(count, Math.floor(top / height) - spare))
  const last = Math.max(first, Math.min(count, Math.ceil((top + view) / height) + spare))
  return { first, last, before: first * height, after: (count - last) * height }
}

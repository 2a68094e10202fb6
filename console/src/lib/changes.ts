// What an action changed, whatever form the trail has it in.

export interface Change {
  name: string
  before: string | null
  after: string | null
}

function text(value: unknown): string | null {
  if (value === null || value === undefined || value === '') return null
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

/** Reads `[{name|title, before, after}]`, `{name: [before, after]}` and `{name: after}`. */
export function changesOf(raw: unknown): Change[] {
  if (!raw || typeof raw !== 'object') return []
  if (Array.isArray(raw)) {
    return raw.flatMap((one: unknown) => {
      if (typeof one === 'string') return [{ name: one, before: null, after: null }]
      if (!one || typeof one !== 'object') return []
      const row = one as Record<string, unknown>
      const name = text(row.title) ?? text(row.name)
      return name ? [{ name, before: text(row.before ?? row.old ?? row.from), after: text(row.after ?? row.new ?? row.to) }] : []
    })
  }
  return Object.entries(raw).map(([name, value]) => (Array.isArray(value) && value.length === 2 ? { name, before: text(value[0]), after: text(value[1]) } : { name, before: null, after: text(value) }))
}

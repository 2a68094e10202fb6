// Names of people and things, as far as they are known.

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/

/** True for an RFC 3339 instant, whatever the kind of its field says. */
export function isInstant(value: unknown): value is string {
  return typeof value === 'string' && INSTANT.test(value)
}

export function isId(value: unknown): value is string {
  return typeof value === 'string' && value.startsWith('urn:')
}

/** What is known of an id, else its last part: `urn:ngsi-ld:AgriFarm:F050` → `F050`, `token:C02` → `C02`. A person's name stays. */
export function nameOf(id: string, names?: ReadonlyMap<string, string>): string {
  const known = names?.get(id)
  if (known) return known
  return /^(urn|token|source|group):/.test(id) ? (id.split(':').pop() ?? id) : id
}

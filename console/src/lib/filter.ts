// Table filters: one list of conditions, read as a sentence and sent as an NGSI-LD query (`q`, ETSI GS CIM 009 clause 4.9).

export const OPERATORS = ['==', '!=', '>=', '<=', '>', '<', '~='] as const
export type Operator = (typeof OPERATORS)[number]

export interface Condition {
  attribute: string
  operator: Operator
  value: string
}

/** Which comparisons make sense for a kind of column. */
export function operatorsFor(kind: string): Operator[] {
  if (kind === 'number' || kind === 'instant') return ['>=', '<=', '>', '<', '==', '!=']
  if (kind === 'text') return ['~=', '==', '!=']
  return ['==', '!=']
}

/** A value as the query language writes it: numbers, booleans and instants bare, texts quoted. */
export function literal(value: string, kind: string): string {
  if (kind === 'number' && value.trim() !== '' && Number.isFinite(Number(value))) return String(Number(value))
  if (kind === 'boolean' || kind === 'instant') return value
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

/** The `q` of all conditions together (`;` is and); '' when there is none. */
export function toQuery(conditions: Condition[], kinds: Record<string, string>): string {
  return conditions
    .filter((one) => one.value !== '')
    .map((one) => {
      const kind = kinds[one.attribute] ?? 'text'
      // A pattern matches anywhere and what people type is not a regular expression.
      const value = one.operator === '~=' ? `"${one.value.replace(/[.*+?^${}()|[\]\\"]/g, '\\$&')}"` : literal(one.value, kind)
      return `${one.attribute}${one.operator}${value}`
    })
    .join(';')
}

/** Conditions as they stand in the address (`where=attribute|operator|value`), so that a link shows the same rows. */
export function toParams(conditions: Condition[]): string[] {
  return conditions.map((one) => [one.attribute, one.operator, one.value].join('|'))
}

/** Back from the address; what cannot be read is left out. */
export function fromParams(params: string[]): Condition[] {
  return params.flatMap((text) => {
    const [attribute, operator, ...rest] = text.split('|')
    return attribute && (OPERATORS as readonly string[]).includes(operator ?? '') ? [{ attribute, operator: operator as Operator, value: rest.join('|') }] : []
  })
}

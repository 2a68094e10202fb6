// Numbers as words. A value that is missing is never written as 0: the caller gets null and says "unknown".

/** Grouped digits; at most `digits` after the point. */
export function numberText(value: number, digits = 0): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: 0 })
}

/** A mass in kg: `640 kg`, `2.9 t`. */
export function massText(kg: number): string {
  return Math.abs(kg) < 1000 ? `${numberText(Math.round(kg))} kg` : `${(kg / 1000).toLocaleString('en-US', { minimumFractionDigits: 1, maximumFractionDigits: 1 })} t`
}

/** A value with its unit; true and false are left to the caller's words. */
export function valueText(value: unknown, unit = '', digits = 1): string {
  if (value === null || value === undefined || value === '') return ''
  const text = typeof value === 'number' ? numberText(value, Math.abs(value) >= 100 ? 0 : digits) : String(value)
  return unit ? `${text} ${unit}` : text
}

/** The plain unit of a UN/CEFACT code; an unknown code is shown as it is. */
export function unitText(code: string | null | undefined): string {
  const known: Record<string, string> = { KGM: 'kg', KMH: 'km/h', DD: '°', MTR: 'm', MTK: 'm²', VLT: 'V', P1: '%', TNE: 't', SEC: 's', HUR: 'h', MTS: 'm/s' }
  return code ? (known[code] ?? code) : ''
}

/** `N 36.6204, E 126.9012`: a position that can be read out over the phone. */
export function placeText(lon: number, lat: number): string {
  return `${lat < 0 ? 'S' : 'N'} ${Math.abs(lat).toFixed(5)}, ${lon < 0 ? 'W' : 'E'} ${Math.abs(lon).toFixed(5)}`
}

/** Eight winds. */
export function windText(degrees: number): string {
  return ['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW'][Math.round((((degrees % 360) + 360) % 360) / 45) % 8] ?? ''
}

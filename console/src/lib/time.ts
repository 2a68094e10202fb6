// Instants are milliseconds UTC here; they become words in the city's time zone at the last moment.

export interface Words {
  (key: string, values?: Record<string, string | number>): string
}

const formats = new Map<string, Intl.DateTimeFormat>()

function format(lang: string, zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${lang}|${zone}|${JSON.stringify(options)}`
  let found = formats.get(key)
  if (!found) formats.set(key, (found = new Intl.DateTimeFormat(lang === 'ko' ? 'ko-KR' : 'en-GB', { timeZone: zone, hourCycle: 'h23', ...options })))
  return found
}

/** `02:14:09` */
export function clockText(ms: number, zone: string): string {
  return format('en', zone, { hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(ms)
}

/** `02:14` */
export function minuteText(ms: number, zone: string): string {
  return format('en', zone, { hour: '2-digit', minute: '2-digit' }).format(ms)
}

/** `Mon 23 Nov` or `11월 23일 (월)` */
export function dayText(ms: number, zone: string, lang: string): string {
  return format(lang, zone, { weekday: 'short', day: 'numeric', month: 'short' }).format(ms)
}

/** `2026-11-23`: a day that two instants can be compared by. */
export function dayKey(ms: number, zone: string): string {
  const parts = format('en', zone, { year: 'numeric', month: '2-digit', day: '2-digit' }).formatToParts(ms)
  const part = (type: string) => parts.find((one) => one.type === type)?.value ?? ''
  return `${part('year')}-${part('month')}-${part('day')}`
}

/** The clock time alone today, with its day otherwise. */
export function exactText(ms: number, now: number, zone: string, lang: string): string {
  const clock = clockText(ms, zone)
  if (dayKey(ms, zone) === dayKey(now, zone)) return clock
  return `${format(lang, zone, { day: 'numeric', month: 'short' }).format(ms)} ${clock}`
}

/** The whole instant with its zone, for titles and print. */
export function fullText(ms: number, zone: string): string {
  return `${dayKey(ms, zone)} ${clockText(ms, zone)} ${zone}`
}

/** A length of time in its largest sensible unit; `ms` ≥ 0. */
export function lengthText(ms: number, t: Words): string {
  const s = Math.floor(ms / 1000)
  if (s < 60) return t('time.s', { n: s })
  const min = Math.floor(s / 60)
  if (min < 60) return t('time.min', { n: min })
  const h = Math.floor(min / 60)
  if (h < 48) return min % 60 && h < 6 ? t('time.h_min', { h, min: min % 60 }) : t('time.h', { n: h })
  return t('time.d', { n: Math.floor(h / 24) })
}

/** `3 min ago`, `in 2 h`, `now` when less than five seconds apart. */
export function relativeText(ms: number, now: number, t: Words): string {
  const apart = now - ms
  if (Math.abs(apart) < 5000) return t('time.now')
  const length = lengthText(Math.abs(apart), t)
  return apart > 0 ? t('time.ago', { length }) : t('time.in', { length })
}

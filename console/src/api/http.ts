// The one way to the server. Answers are JSON; every failure is a Problem (RFC 9457) that says what to do.

export class Problem extends Error {
  readonly status: number
  readonly code: string
  readonly title: string
  readonly detail: string
  readonly body: Record<string, unknown>

  constructor(status: number, body: Record<string, unknown>) {
    const text = (key: string) => (typeof body[key] === 'string' ? (body[key] as string) : '')
    super(text('detail') || text('title') || `HTTP ${status}`)
    this.status = status
    this.body = body
    this.code = text('code')
    this.title = text('title') || `HTTP ${status}`
    this.detail = text('detail')
  }
}

let language = 'en'
let onRefused: () => void = () => undefined

/** Language of texts in answers. */
export function speak(lang: string): void {
  language = lang
}

export function spoken(): string {
  return language
}

/** Called when the server no longer knows who we are. */
export function whenRefused(call: () => void): void {
  onRefused = call
}

export function query(params: Record<string, string | number | string[] | null | undefined>): string {
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(params)) {
    const text = Array.isArray(value) ? value.join(',') : value
    if (text !== null && text !== undefined && text !== '') search.set(key, String(text))
  }
  const text = search.toString()
  return text ? `?${text}` : ''
}

/** Asks the server. Throws Problem; status 0 means that the server could not be reached. */
export async function ask<T>(path: string, init: { method?: string; body?: unknown; headers?: Record<string, string>; signal?: AbortSignal } = {}): Promise<T> {
  let response: Response
  try {
    response = await fetch(path, {
      method: init.method ?? 'GET',
      headers: { accept: 'application/json', 'accept-language': language, ...(init.body === undefined ? {} : { 'content-type': 'application/json' }), ...init.headers },
      body: init.body === undefined ? undefined : JSON.stringify(init.body),
      signal: init.signal,
      credentials: 'same-origin'
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Problem(0, { title: 'unreachable', code: 'unreachable' })
  }
  if (response.status === 204) return undefined as T
  const body: unknown = await response.json().catch(() => ({}))
  if (!response.ok) {
    const problem = new Problem(response.status, (body ?? {}) as Record<string, unknown>)
    if (response.status === 401 && path !== '/api/session') onRefused()
    throw problem
  }
  return body as T
}

export function post<T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<T> {
  return ask<T>(path, { method: 'POST', body, headers })
}

// The address is the state: a screen and what it shows can be sent to a colleague.

export type Screen = 'situation' | 'incident' | 'thing' | 'tables' | 'record' | 'indicators' | 'sources' | 'none'

export interface Route {
  screen: Screen
  id: string
}

export function parsePath(path: string): Route {
  const [head = '', ...rest] = path.replace(/^\/+|\/+$/g, '').split('/')
  const id = decodeURIComponent(rest.join('/'))
  if (!head) return { screen: 'situation', id: '' }
  const screens: Record<string, Screen> = { incidents: 'incident', things: 'thing', tables: 'tables', records: 'record', indicators: 'indicators', sources: 'sources' }
  const screen = screens[head]
  if (!screen || ((screen === 'incident' || screen === 'thing' || screen === 'record') && !id)) return { screen: 'none', id: '' }
  return { screen, id }
}

class Router {
  #path = $state(location.pathname)
  #search = $state(location.search)
  route = $derived(parsePath(this.#path))
  params = $derived(new URLSearchParams(this.#search))

  constructor() {
    window.addEventListener('popstate', () => this.#read())
  }

  go(address: string, how: 'push' | 'replace' = 'push'): void {
    if (how === 'push') history.pushState(null, '', address)
    else history.replaceState(history.state, '', address)
    const moved = location.pathname !== this.#path
    this.#read()
    if (moved && how === 'push') requestAnimationFrame(() => document.querySelector<HTMLElement>('#main')?.focus({ preventScroll: true }))
  }

  /** Changes what the screen shows without a new place in the history. */
  set(values: Record<string, string | string[] | null>): void {
    const next = new URLSearchParams(location.search)
    for (const [key, value] of Object.entries(values)) {
      next.delete(key)
      for (const one of Array.isArray(value) ? value : value ? [value] : []) next.append(key, one)
    }
    const search = next.toString()
    this.go(location.pathname + (search ? `?${search}` : ''), 'replace')
  }

  #read(): void {
    this.#path = location.pathname
    this.#search = location.search
  }
}

export const router = new Router()

/** Links inside the console change the screen without loading the page; all others are the browser's. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  const link = (event.target as Element | null)?.closest?.('a')
  const address = link?.getAttribute('href')
  if (!link || !address?.startsWith('/') || address.startsWith('/api/') || link.target || link.hasAttribute('download')) return
  event.preventDefault()
  router.go(address)
}

export const addressOf = {
  incident: (id: string) => `/incidents/${encodeURIComponent(id)}`,
  // A source is no thing of the city: what is said about one leads to where sources are.
  thing: (id: string) => (id.startsWith('urn:ngsi-ld:Source:') ? '/sources' : `/things/${encodeURIComponent(id)}`),
  record: (id: string) => `/records/${encodeURIComponent(id)}`,
  table: (type: string) => `/tables/${encodeURIComponent(type)}`
}

// Every key of the console in one place: screens say what they do, `?` lists it.
import { router } from './router.svelte'

export interface Key {
  keys: string
  /** Catalogue key of what it does. */
  does: string
  run: () => void
}

class Keyboard {
  help = $state(false)
  palette = $state(false)
  /** Keys of the screen that is open. */
  screen = $state.raw<Key[]>([])
  readonly common: Key[] = [
    { keys: 'mod+k', does: 'key.search', run: () => (this.palette = true) },
    { keys: '/', does: 'key.search', run: () => (this.palette = true) },
    { keys: '?', does: 'key.help', run: () => (this.help = true) },
    { keys: 'g s', does: 'key.situation', run: () => router.go('/') },
    { keys: 'g t', does: 'key.tables', run: () => router.go('/tables') },
    { keys: 'g i', does: 'key.indicators', run: () => router.go('/indicators') },
    { keys: 'g o', does: 'key.sources', run: () => router.go('/sources') }
  ]
  #first = ''
  #timer = 0

  /** A screen's keys while it is open: call in an effect, the result removes them. */
  use(keys: Key[]): () => void {
    this.screen = keys
    return () => {
      if (this.screen === keys) this.screen = []
    }
  }

  press = (event: KeyboardEvent): void => {
    if (event.defaultPrevented) return
    const modified = event.metaKey || event.ctrlKey
    if (modified && event.key.toLowerCase() === 'k') {
      event.preventDefault()
      this.palette = !this.palette
      return
    }
    if (modified || event.altKey || this.help || this.palette) return
    const target = event.target as HTMLElement
    const typing = target.matches?.('input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]')
    if (typing || document.querySelector('dialog[open]')) return
    // Enter and the space bar belong to the button or link that has the focus.
    if ((event.key === 'Enter' || event.key === ' ') && target.closest?.('button, a, summary, input')) return
    if (event.key.startsWith('Arrow') && target.closest?.('input, .maplibregl-canvas-container, [role=tablist], [role=grid]')) return
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key
    const pressed = this.#first ? `${this.#first} ${name}` : name
    const all = [...this.screen, ...this.common]
    const found = all.find((one) => one.keys.split('|').includes(pressed))
    window.clearTimeout(this.#timer)
    this.#first = ''
    if (found) {
      event.preventDefault()
      found.run()
    } else if (all.some((one) => one.keys.startsWith(`${name} `))) {
      this.#first = name
      this.#timer = window.setTimeout(() => (this.#first = ''), 1200)
    }
  }
}

export const keyboard = new Keyboard()

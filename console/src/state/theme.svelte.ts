export type Choice = 'system' | 'light' | 'dark'
const KEPT = 'madang.theme'
const dark = window.matchMedia('(prefers-color-scheme: dark)')

class Theme {
  choice = $state<Choice>((localStorage.getItem(KEPT) as Choice | null) ?? 'system')
  #system = $state<'light' | 'dark'>(dark.matches ? 'dark' : 'light')

  constructor() {
    dark.addEventListener('change', () => (this.#system = dark.matches ? 'dark' : 'light'))
    this.#tell()
  }

  /** What is shown. */
  get now(): 'light' | 'dark' {
    return this.choice === 'system' ? this.#system : this.choice
  }

  set(choice: Choice): void {
    this.choice = choice
    localStorage.setItem(KEPT, choice)
    this.#tell()
  }

  #tell(): void {
    if (this.choice === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = this.choice
  }
}

export const theme = new Theme()

import { speak } from '../api/http'
import en from '../locale/en.json'
import ko from '../locale/ko.json'

export type Lang = 'en' | 'ko'
const CATALOGUES: Record<Lang, Record<string, string>> = { en, ko }
const KEPT = 'madang.lang'

function first(): Lang {
  const kept = localStorage.getItem(KEPT)
  if (kept === 'en' || kept === 'ko') return kept
  return navigator.languages.some((one) => one.startsWith('ko')) ? 'ko' : 'en'
}

class Language {
  now = $state<Lang>(first())

  constructor() {
    this.#tell()
  }

  set(lang: Lang): void {
    this.now = lang
    localStorage.setItem(KEPT, lang)
    this.#tell()
  }

  #tell(): void {
    speak(this.now)
    document.documentElement.lang = this.now
  }
}

export const lang = new Language()

/** The text of a key in the reader's language, with its {places} filled. */
export function t(key: string, values: Record<string, string | number> = {}): string {
  const text = CATALOGUES[lang.now][key] ?? key
  return text.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place))
}

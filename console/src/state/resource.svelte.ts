import { Problem } from '../api/http'

/** Something read from the server: what it is, whether it is being read, and what went wrong. What was read stays while it is read again. */
export class Resource<T> {
  data = $state.raw<T | null>(null)
  problem = $state.raw<Problem | null>(null)
  loading = $state(false)
  #turn = 0

  async load(read: () => Promise<T>): Promise<void> {
    const turn = ++this.#turn
    this.loading = true
    try {
      const data = await read()
      if (turn !== this.#turn) return
      this.data = data
      this.problem = null
    } catch (error) {
      if (turn !== this.#turn) return
      if (error instanceof DOMException && error.name === 'AbortError') return
      this.problem = error instanceof Problem ? error : new Problem(0, { title: String(error), code: 'console' })
    } finally {
      if (turn === this.#turn) this.loading = false
    }
  }

  /** Forgets everything; used when another thing is shown. */
  clear(): void {
    this.#turn++
    this.data = null
    this.problem = null
    this.loading = false
  }
}

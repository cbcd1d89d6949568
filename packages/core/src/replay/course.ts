import { isoInstant } from '../instant.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { elapsedOf, utilizationOf, type Account } from '../policy/measures.ts'
import type { ReplayCourse } from './report.ts'

/** Points that are kept at most: when there are more, every other one goes. */
const MOST_POINTS = 240

/** How well quotas are used as time goes by, in as many points whatever the length of the trace. */
export class Course {
  readonly #accounts: readonly Account[]
  readonly #ledger: Ledger
  readonly #atMs: number[] = []
  readonly #utilization: number[][]
  readonly #elapsed: number[][]
  /** One quarter-hour in so many is kept. */
  #every = 1
  #seen = 0

  constructor(accounts: readonly Account[], ledger: Ledger) {
    this.#accounts = accounts.filter(({ quota }) => quota !== undefined)
    this.#ledger = ledger
    this.#utilization = this.#accounts.map(() => [])
    this.#elapsed = this.#accounts.map(() => [])
  }

  look(nowMs: number): void {
    this.#seen += 1
    if ((this.#seen - 1) % this.#every !== 0) return
    this.#atMs.push(nowMs)
    const { meters } = this.#ledger
    for (const [index, account] of this.#accounts.entries()) {
      this.#utilization[index]?.push(utilizationOf(account, meters))
      this.#elapsed[index]?.push(elapsedOf(account, meters, nowMs))
    }
    if (this.#atMs.length > MOST_POINTS) this.#thin()
  }

  get points(): readonly ReplayCourse[] {
    const at = this.#atMs.map(isoInstant)
    return this.#accounts.map(({ backend }, index) => ({
      backend: backend.name,
      at,
      utilization: this.#utilization[index] ?? [],
      elapsed: this.#elapsed[index] ?? [],
    }))
  }

  #thin(): void {
    this.#every *= 2
    for (const column of [this.#atMs, ...this.#utilization, ...this.#elapsed]) {
      const kept = column.filter((_, index) => index % 2 === 0)
      column.splice(0, column.length, ...kept)
    }
  }
}

/** Attempts at a backend that failed with none that succeeded between them. */
export interface Failures {
  count: number
  /** The first of them. Ms since the epoch. */
  readonly sinceMs: number
  down: boolean
}

const OUTAGE = {
  /** A backend is down after so many failures in a row … */
  failures: 5,
  /** … over at least so long: a burst that fails together is one mishap. */
  leastMs: 60_000,
  /** It is expected back after as long again as it has been away, but not before this. */
  leastAwayMs: 3_600_000,
}

/** Which backends are down: what hosts report of their attempts is all that is known. */
export class Outages {
  readonly #failures: Record<string, Failures>

  /** @param failures by backend: plain JSON, changed in place. */
  constructor(failures: Record<string, Failures>) {
    this.#failures = failures
  }

  /** @returns what is known of the failures, where with this one the backend is down; it was not before. */
  failed(backend: string, nowMs: number): Failures | undefined {
    const failures = this.#of(backend) ?? (this.#failures[backend] = { count: 0, sinceMs: nowMs, down: false })
    failures.count += 1
    if (failures.down || failures.count < OUTAGE.failures || nowMs - failures.sinceMs < OUTAGE.leastMs) return undefined
    failures.down = true
    return failures
  }

  /** @returns what is known of the outage that this success ends, if it does. */
  succeeded(backend: string): Failures | undefined {
    const failures = this.#of(backend)
    if (failures === undefined) return undefined
    delete this.#failures[backend]
    return failures.down ? failures : undefined
  }

  /** When a backend that is down is expected back, ms since the epoch; 0 where it is up. How long an outage will last is best guessed by how long it has. */
  backMs(backend: string, nowMs: number): number {
    const failures = this.#of(backend)
    return failures?.down === true ? nowMs + Math.max(OUTAGE.leastAwayMs, nowMs - failures.sinceMs) : 0
  }

  #of(backend: string): Failures | undefined {
    return Object.hasOwn(this.#failures, backend) ? this.#failures[backend] : undefined
  }
}

import { MancipleError } from '../errors.ts'
import { claimedOf, type Limit, type MeterState, type Quantities, type Unit } from '../limit.ts'
import { NANO_PER_USD } from '../money.ts'
import { shareOf } from './measures.ts'

const UNITS: Readonly<Record<Unit, number>> = { usd: 0, tokens: 1, requests: 2 }

/** The standing of every limit, by its place in the policy: copied once per request into flat arrays, which are quicker to read again and again than the meters. */
export class Totals {
  readonly #quantity: Float64Array
  readonly #unit: Uint8Array
  /** Settled and used beside the ledger. */
  readonly #settled: Float64Array
  /** Settled, held, presumed and used beside the ledger. */
  readonly #claimed: Float64Array
  /** By unit: what the call that is looked at asks at most. */
  readonly #asked = new Float64Array(3)

  constructor(limits: readonly Limit[]) {
    this.#quantity = Float64Array.from(limits, (limit) => limit.quantity)
    this.#unit = Uint8Array.from(limits, (limit) => UNITS[limit.unit])
    this.#settled = new Float64Array(limits.length)
    this.#claimed = new Float64Array(limits.length)
  }

  /** @throws MancipleError `LEDGER_DAMAGED` where the meters are not those of the policy's limits, or not finite: comparing with them would fail open. */
  open(meters: readonly MeterState[]): void {
    const count = this.#quantity.length
    if (meters.length !== count) throw new MancipleError('LEDGER_DAMAGED', `totals of ${meters.length} limits where the policy has ${count}`)
    for (let limit = 0; limit < count; limit += 1) {
      const meter = meters[limit]!
      const { settled, beside } = meter
      const claimed = claimedOf(meter)
      if (!Number.isFinite(claimed)) throw new MancipleError('LEDGER_DAMAGED', `the total of ${meters[limit]!.limit.name} is ${claimed}`)
      this.#settled[limit] = settled + beside
      this.#claimed[limit] = claimed
    }
  }

  ask(estimate: Quantities): void {
    this.#asked[0] = estimate.costNano
    this.#asked[1] = estimate.tokens
    this.#asked[2] = estimate.requests
  }

  /** (Settled + used beside the ledger) ÷ quantity. */
  spent(limit: number): number {
    return shareOf(this.#settled[limit]!, this.#quantity[limit]!)
  }

  /** (What is claimed + what is asked, where the limit covers the call) ÷ quantity. */
  used(limit: number, covered: boolean): number {
    return shareOf(this.#claimed[limit]! + (covered ? this.#asked[this.#unit[limit]!]! : 0), this.#quantity[limit]!)
  }

  /** What is left, in USD or, of a limit that counts something else, in its own unit. */
  left(limit: number): number {
    const left = this.#quantity[limit]! - this.#claimed[limit]!
    return this.#unit[limit] === UNITS.usd ? left / NANO_PER_USD : left
  }

  /** The tightest of these limits, with what is asked. 0 where there are none. */
  tightest(limits: readonly number[]): number {
    let used = 0
    for (let i = 0; i < limits.length; i += 1) used = Math.max(used, this.used(limits[i]!, true))
    return used
  }
}

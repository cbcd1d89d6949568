import type { Quantities } from '../limit.ts'
import type { KnownPrice } from '../pricing/price-book.ts'
import type { CheckedRequest } from '../request.ts'
import type { Pacing } from './pacing.ts'

interface Likely extends Quantities {
  costNano: number
  tokens: number
}

/** What the request under way is worth to each backend and would take of its limits on average: for its scores, and for pacing to learn from. One request at a time. */
export class PacedScores {
  readonly #pacing: Pacing
  /** By backend of the plan: suitability with the shift of rules; NaN where the request may not go there. */
  readonly #values: Float64Array
  readonly #likely: readonly Likely[]
  readonly #tolls: Float64Array
  #fallback = 0
  #outputShare = 0

  constructor(pacing: Pacing) {
    const { backends } = pacing.plan
    this.#pacing = pacing
    this.#values = new Float64Array(backends.length)
    this.#tolls = new Float64Array(backends.length)
    this.#likely = backends.map(() => ({ costNano: 0, tokens: 0, requests: 1 }))
  }

  /** Whether work may go to a local backend while a paid one has room. */
  get shortage(): boolean {
    return this.#pacing.shortage
  }

  begin({ taskType, inputTokens }: CheckedRequest): void {
    this.#values.fill(Number.NaN)
    this.#tolls.fill(Number.NaN)
    this.#fallback = 0
    this.#outputShare = this.#pacing.outputShare(taskType ?? '', inputTokens)
  }

  /** What the call is worth elsewhere. That of the backend's first candidate: prices choose between backends, never between the models of one. @param backend by its place in the plan. */
  toll(backend: number, price: KnownPrice, request: CheckedRequest, maxOutputTokens: number): number {
    const known = this.#tolls[backend] ?? 0
    const likely = this.#likely[backend]
    if (likely === undefined || !Number.isNaN(known)) return known
    const outputTokens = this.#outputOf(request, maxOutputTokens)
    likely.costNano = price.boundNano(request.inputTokens, outputTokens)
    likely.tokens = request.inputTokens + outputTokens
    return (this.#tolls[backend] = this.#pacing.toll(backend, likely))
  }

  /** The request may go to this backend, now or once there is room. */
  suits(backend: number, value: number): void {
    const known = this.#values[backend] ?? 0
    if (!(known >= value)) this.#values[backend] = value
  }

  /** The request may go to a local backend. */
  suitsLocal(value: number): void {
    if (value > this.#fallback) this.#fallback = value
  }

  /** What a call is likely to cost, nano-USD: to be compared with the truth. */
  likelyNano(price: KnownPrice, request: CheckedRequest, maxOutputTokens: number): number {
    return price.boundNano(request.inputTokens, this.#outputOf(request, maxOutputTokens))
  }

  /** Counts the request as demand, wherever it went. */
  observe(nowMs: number): void {
    this.#pacing.observe(nowMs, this.#values, this.#likely, this.#fallback)
  }

  #outputOf({ n }: CheckedRequest, maxOutputTokens: number): number {
    return Math.ceil(this.#outputShare * maxOutputTokens * n)
  }
}

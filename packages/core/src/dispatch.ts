import type { Decision } from './decision.ts'
import { MancipleError } from './errors.ts'
import type { CallStatus, Hold, LedgerEntry, Settlement, UsageSource } from './ledger/record.ts'
import type { Quantities } from './limit.ts'
import type { KnownPrice } from './pricing/price-book.ts'
import { checkUsage, type Usage } from './pricing/usage.ts'

/** What became of a dispatch. */
export interface Outcome {
  /** Undefined: nothing was reported; the hold stands for it. */
  readonly usage?: Usage
  /** `ok` unless given. */
  readonly status?: CallStatus
  /** `reported` where there is a usage, else `hold`. */
  readonly usageSource?: UsageSource
  /** Since the decision, unless given. Ms. */
  readonly durationMs?: number
}

/** One attempt at one backend: settle it or release it, once. Disposing of one that is still open bills its hold. */
export interface Dispatch extends AsyncDisposable {
  readonly decision: Decision
  /**
   * Bills the call. Resolves when the entry is on disk.
   * @throws MancipleError `HOLD_ENDED` when it was settled or released before, `USAGE_INVALID` (nothing is settled then), `LEDGER_FAULT` when the disk failed.
   */
  settle(outcome: Usage | Outcome): Promise<LedgerEntry>
  /** The call never took place. @throws MancipleError `HOLD_ENDED`. */
  release(reason: string): Promise<void>
}

/** What was agreed when the hold was made, to bill by. */
export interface Terms {
  readonly holdId: string
  readonly price: KnownPrice
  readonly estimate: Quantities
  readonly inputTokens: number
  readonly maxOutputTokens: number
  readonly startedMs: number
}

/** The books of one dispatch, as the shell offers them. */
export interface Books {
  settle(holdId: string, settlement: Settlement): Promise<LedgerEntry>
  release(holdId: string, reason: string): Promise<void>
  monotonicMs(): number
}

/** A class, not closures: one is made for every decision. */
export class HeldDispatch implements Dispatch {
  readonly decision: Decision
  readonly #terms: Terms | undefined
  readonly #books: Books
  #open: boolean

  /** @param terms undefined for a refused call, which holds nothing. */
  constructor(decision: Decision, terms: Terms | undefined, books: Books) {
    this.decision = decision
    this.#terms = terms
    this.#books = books
    this.#open = terms !== undefined
  }

  async settle(outcome: Usage | Outcome): Promise<LedgerEntry> {
    const full: Outcome = 'inputTokens' in outcome ? { usage: outcome } : outcome
    const usage = full.usage === undefined ? undefined : checkUsage(full.usage)
    const terms = this.#end()
    return this.#books.settle(terms.holdId, settlementOf({ ...full, ...(usage === undefined ? {} : { usage }) }, terms, this.#books.monotonicMs()))
  }

  async release(reason: string): Promise<void> {
    await this.#books.release(this.#end().holdId, reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#open) await this.settle({})
  }

  #end(): Terms {
    if (this.#terms === undefined) throw new MancipleError('HOLD_ENDED', `a refused call has no hold: ${this.decision.reasons.join('; ')}`)
    if (!this.#open) throw new MancipleError('HOLD_ENDED', `dispatch ${this.#terms.holdId}`, { hold: this.#terms.holdId })
    this.#open = false
    return this.#terms
  }
}

/** The truth where there is one, else the hold, which is what the call may have cost. */
export function settlementOf(outcome: Outcome, terms: Terms, nowMs: number): Settlement {
  const { usage } = outcome
  return {
    costNano: usage === undefined ? terms.estimate.costNano : terms.price.costNano(usage),
    promptTokens: usage?.inputTokens ?? terms.inputTokens,
    completionTokens: usage?.outputTokens ?? terms.maxOutputTokens,
    cacheReadTokens: usage?.cacheReadTokens ?? 0,
    cacheWriteTokens: usage?.cacheWriteTokens ?? 0,
    reasoningTokens: usage?.reasoningTokens ?? 0,
    durationMs: Math.max(0, Math.round(outcome.durationMs ?? nowMs - terms.startedMs)),
    status: outcome.status ?? 'ok',
    usageSource: outcome.usageSource ?? (usage === undefined ? 'hold' : 'reported'),
  }
}

/** What a hold that is given up without word is billed: all of it. */
export function settlementOfHold(hold: Hold, nowMs: number): Settlement {
  return {
    costNano: hold.estimate.costNano,
    promptTokens: hold.inputTokens,
    completionTokens: hold.estimate.tokens - hold.inputTokens,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
    durationMs: Math.max(0, nowMs - hold.atMs),
    status: 'aborted',
    usageSource: 'hold',
  }
}

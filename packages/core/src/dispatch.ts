import type { Decision } from './decision.ts'
import { MancipleError } from './errors.ts'
import type { Settled } from './ledger/ledger.ts'
import type { CallStatus, Hold, LedgerEntry, Settlement, UsageSource } from './ledger/record.ts'
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

/** The books of one dispatch, as the shell offers them. */
export interface Books {
  settleNow(terms: Terms, settlement: Settlement): Settled
  /** Resolves when what was settled is on disk. @throws MancipleError `LEDGER_FAULT`. */
  written(durable: Promise<void>): Promise<void>
  release(hold: Hold, reason: string): Promise<void>
  monotonicMs(): number
}

/** What a dispatch was agreed on: to bill by. */
export interface Terms {
  readonly hold: Hold
  readonly price: KnownPrice
  readonly startedMs: number
  /** What the call was likely to cost; 0 where nobody asked. Nano-USD. */
  readonly likelyNano: number
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
    const { entry, durable } = this.settleNow(outcome)
    await this.#books.written(durable)
    return entry
  }

  /** The synchronous step of {@link settle}, without waiting for the disk: what a replay takes. @throws MancipleError as `settle`. */
  settleNow(outcome: Usage | Outcome): Settled {
    const full: Outcome = 'inputTokens' in outcome ? { usage: outcome } : outcome
    checkDuration(full.durationMs)
    const usage = full.usage === undefined ? undefined : checkUsage(full.usage)
    const terms = this.#live()
    const { hold, price, startedMs } = terms
    const durationMs = full.durationMs ?? this.#books.monotonicMs() - startedMs
    const truth = usage === undefined ? settlementOfHold(hold, durationMs) : settlementOf(usage, price, durationMs)
    const status = full.status ?? 'ok'
    this.#open = false
    return this.#books.settleNow(terms, { ...truth, status, usageSource: full.usageSource ?? truth.usageSource })
  }

  async release(reason: string): Promise<void> {
    await this.#books.release(this.#end().hold, reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#open) await this.settle({})
  }

  #end(): Terms {
    const terms = this.#live()
    this.#open = false
    return terms
  }

  #live(): Terms {
    if (this.#terms === undefined) throw new MancipleError('HOLD_ENDED', `a refused call has no hold: ${this.decision.reasons.join('; ')}`)
    const { id } = this.#terms.hold
    if (!this.#open) throw new MancipleError('HOLD_ENDED', `dispatch ${id}`, { hold: id })
    return this.#terms
  }
}

function checkDuration(durationMs: number | undefined): void {
  if (durationMs !== undefined && !(durationMs >= 0 && Number.isFinite(durationMs))) {
    throw new MancipleError('USAGE_INVALID', `durationMs: expected a number from 0, found ${String(durationMs)}`)
  }
}

function settlementOf(usage: Required<Usage>, price: KnownPrice, durationMs: number): Settlement {
  return {
    costNano: price.costNano(usage),
    promptTokens: usage.inputTokens,
    completionTokens: usage.outputTokens,
    cacheReadTokens: usage.cacheReadTokens,
    cacheWriteTokens: usage.cacheWriteTokens,
    reasoningTokens: usage.reasoningTokens,
    durationMs: Math.max(0, Math.round(durationMs)),
    status: 'ok',
    usageSource: 'reported',
  }
}

/** Where nothing is known of a call, the hold stands for it: that is what it may have cost. */
export function settlementOfHold(hold: Hold, durationMs: number): Settlement {
  return {
    costNano: hold.estimate.costNano,
    promptTokens: hold.inputTokens,
    completionTokens: hold.estimate.tokens - hold.inputTokens,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
    durationMs: Math.max(0, Math.round(durationMs)),
    status: 'aborted',
    usageSource: 'hold',
  }
}

import type { CallStatus, Dispatch, Outcome, Usage } from '@manciple/core'
import { MancipleError } from '@manciple/core'

/** What one attempt is accounted by. */
export interface CallTerms {
  readonly dispatch: Dispatch
  /** Id of the hold. */
  readonly id: string
  readonly backend: string
  /** The bound of the input that the hold was made for, tokens. */
  readonly inputTokens: number
  /** Forced onto the request, times the answers asked for: no output is larger. */
  readonly outputBound: number
  /** Whether the model may write what the stream does not show, such as hidden reasoning: then only the output bound bounds what it has written. */
  readonly hiddenOutput?: boolean
  /** Whether the input may be written to a cache at a price of its own. Asked where the provider has not reported it: it is billed as if all of it were. */
  readonly writesCache?: () => boolean
  /** Real ms after which a call of which nothing more is heard is settled; up to an eighth later where something had been heard. */
  readonly timeoutMs: number
  /** Called once, when the call has been settled or released. */
  readonly onEnd?: (call: Call) => void
  /** Called when the books did not take what was reported. */
  readonly onFault: (error: unknown) => void
}

/** A call's silence is counted in this many parts of its time-out: to hear something is then one assignment, and a process that stood still hears first. */
const SILENT_TICKS = 8

/**
 * One attempt at one backend, billed exactly once: whatever ends it first counts, and what comes later changes nothing.
 * No method throws or waits; the entry is synced behind the response.
 */
export class Call {
  readonly id: string
  readonly backend: string
  readonly #terms: CallTerms
  readonly #startedMs = performance.now()
  readonly #timer: NodeJS.Timeout
  /** Ticks since something was heard, the one under way included. */
  #silentTicks = 1
  /** Since the last usage. */
  #unreportedBytes = 0
  #streaming = false
  #usage: Usage | undefined
  #ended = false

  constructor(terms: CallTerms) {
    this.id = terms.id
    this.backend = terms.backend
    this.#terms = terms
    this.#timer = setInterval(
      () => {
        if (this.#silentTicks >= SILENT_TICKS) this.abandon('expired')
        this.#silentTicks += 1
      },
      Math.ceil(terms.timeoutMs / SILENT_TICKS),
    )
    this.#timer.unref()
  }

  /** Whether a token of the answer has been seen. */
  get streaming(): boolean {
    return this.#streaming
  }

  /** Something came that is not output: the provider is alive. */
  heard(): void {
    this.#silentTicks = 0
  }

  /** A chunk of a stream: how much output it brought, and the usage where it reports all up to now. */
  progress(outputBytes: number, usage: Usage | undefined): void {
    this.heard()
    this.#streaming = true
    if (usage === undefined) this.#unreportedBytes += outputBytes
    else {
      this.#usage = usage
      this.#unreportedBytes = 0
    }
  }

  /** The whole answer came. Bills the usage reported with it; where that is missing, what is known of it, else the hold. */
  answered(usage?: Usage): void {
    const reported = usage ?? (this.#unreportedBytes === 0 ? this.#usage : undefined)
    if (reported === undefined) this.#settleKnown('ok')
    else this.#settle({ status: 'ok', usage: reported })
  }

  /** The answer did not come whole, or nothing says that it did. Bills the input and the output so far, or, before a first token, the hold. */
  abandon(status: Exclude<CallStatus, 'ok'>): void {
    this.#settleKnown(status)
  }

  /** The call was never served. */
  release(reason: string): void {
    if (this.#end()) this.#watch(this.#terms.dispatch.release(reason))
  }

  #settleKnown(status: CallStatus): void {
    const usage = this.#soFar()
    this.#settle(usage === undefined ? { status } : { status, usage, usageSource: 'partial' })
  }

  /** No token is shorter than a byte, so bytes bound what has been written since the last usage; what the provider has reported is exact. */
  #soFar(): Usage | undefined {
    const { inputTokens, outputBound, hiddenOutput, writesCache } = this.#terms
    if (!this.#streaming || (hiddenOutput === true && this.#usage === undefined)) return undefined
    const known = this.#usage ?? { inputTokens, outputTokens: 0, ...(writesCache?.() === true ? { cacheWriteTokens: inputTokens } : {}) }
    const written = hiddenOutput === true && this.#unreportedBytes > 0 ? outputBound : known.outputTokens + this.#unreportedBytes
    return { ...known, outputTokens: Math.max(known.outputTokens, Math.min(written, outputBound)) }
  }

  #settle(outcome: Outcome): void {
    if (!this.#end()) return
    const durationMs = Math.round(performance.now() - this.#startedMs)
    const settled = this.#terms.dispatch.settle({ ...outcome, durationMs }).catch((error: unknown) => {
      if (!(error instanceof MancipleError) || error.code !== 'USAGE_INVALID') throw error
      this.#terms.onFault(error)
      return this.#terms.dispatch.settle({ status: outcome.status ?? 'ok', durationMs })
    })
    this.#watch(settled)
  }

  /** @returns whether this is the end: false when the call had ended before. */
  #end(): boolean {
    if (this.#ended) return false
    this.#ended = true
    clearInterval(this.#timer)
    this.#terms.onEnd?.(this)
    return true
  }

  #watch(done: Promise<unknown>): void {
    done.catch(this.#terms.onFault)
  }
}

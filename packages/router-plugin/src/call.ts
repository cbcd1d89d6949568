import type { Dispatch, Outcome, Usage } from '@manciple/core'
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
  /** Real ms after which a call of which nothing more is heard is settled. */
  readonly timeoutMs: number
  /** Called once, when the call has been settled or released. */
  readonly onEnd: (call: Call) => void
  /** Called when the books did not take what was reported. */
  readonly onFault: (error: unknown) => void
}

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
  #streamedBytes = 0
  #streaming = false
  #usage: Usage | undefined
  #ended = false

  constructor(terms: CallTerms) {
    this.id = terms.id
    this.backend = terms.backend
    this.#terms = terms
    this.#timer = setTimeout(() => {
      this.abandon('expired')
    }, terms.timeoutMs)
    this.#timer.unref()
  }

  /** Whether a token of the answer has been seen. */
  get streaming(): boolean {
    return this.#streaming
  }

  /** A chunk of a stream: how much output it brought, and the usage reported up to now. */
  progress(outputBytes: number, usage: Usage | undefined): void {
    this.#streaming = true
    this.#streamedBytes += outputBytes
    this.#usage = usage ?? this.#usage
  }

  /** The whole answer came. Bills the usage reported with it, else the hold. */
  answered(usage: Usage | undefined = this.#usage): void {
    this.#settle(usage === undefined ? { status: 'ok' } : { status: 'ok', usage })
  }

  /** The answer did not come whole, or nothing says that it did. Bills the input and the output so far, or, before a first token, the hold. */
  abandon(status: 'error' | 'cut' | 'expired'): void {
    this.#settle(this.#streaming ? { status, usage: this.#soFar(), usageSource: 'partial' } : { status })
  }

  /** The call was never served. */
  release(reason: string): void {
    if (this.#end()) this.#watch(this.#terms.dispatch.release(reason))
  }

  /** No token is shorter than a byte, so bytes bound what has been written so far; what the provider has reported is exact. */
  #soFar(): Usage {
    const seen = Math.min(this.#streamedBytes, this.#terms.outputBound)
    if (this.#usage === undefined) return { inputTokens: this.#terms.inputTokens, outputTokens: seen }
    return this.#usage
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
    clearTimeout(this.#timer)
    this.#terms.onEnd(this)
    return true
  }

  #watch(done: Promise<unknown>): void {
    done.catch(this.#terms.onFault)
  }
}

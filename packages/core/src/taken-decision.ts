import type { CandidateRecord, Decision, Verdict } from './decision.ts'
import type { HeldDispatch } from './dispatch.ts'
import type { Hold } from './ledger/record.ts'
import type { Assessment, CandidateList } from './policy/decide.ts'
import type { Reasons } from './policy/reasons.ts'

/** What one synchronous step decided: the dispatch, and what it was chosen from. */
export interface DecidedNow {
  readonly dispatch: HeldDispatch
  /** Resolves when the hold is on disk. */
  readonly durable: Promise<void>
  /** Costs nothing, so it may go whatever becomes of the disk. */
  readonly local: boolean
  readonly assessments: readonly Assessment[]
  /** Undefined when refused. */
  readonly taken: Assessment | undefined
}

/** A call that nobody may take. @param resetMs when a cloud backend could next take it. */
export function refusedDecision(reasons: readonly string[], candidates: readonly CandidateRecord[], policy: string, resetMs: number | undefined): Decision {
  const nobody = { backend: undefined, model: undefined, maxOutputTokens: 0, hold: undefined, estimateNano: 0 }
  return { verdict: 'refuse', ...nobody, reasons, policy, resetMs, candidates }
}

/** Writes its reasons and candidates out when somebody asks for them. A class, since a getter in an object literal costs as much as the rest of a decision. */
export class TakenDecision implements Decision {
  readonly verdict: Verdict
  readonly backend: string
  readonly model: string
  readonly maxOutputTokens: number
  readonly hold: string
  readonly estimateNano: number
  readonly policy: string
  readonly resetMs: number | undefined
  readonly #reasonsLater: Reasons
  #reasons: readonly string[] | undefined
  readonly #candidates: CandidateList

  constructor(verdict: Verdict, taken: Assessment, reasons: Reasons, hold: Hold, candidates: CandidateList, resetMs: number | undefined) {
    this.verdict = verdict
    this.backend = taken.backend.name
    this.model = taken.model
    this.maxOutputTokens = taken.maxOutputTokens
    this.hold = hold.id
    this.estimateNano = hold.estimate.costNano
    this.policy = hold.policy
    this.resetMs = resetMs
    this.#reasonsLater = reasons
    this.#candidates = candidates
  }

  get reasons(): readonly string[] {
    return (this.#reasons ??= this.#reasonsLater())
  }

  get candidates(): readonly CandidateRecord[] {
    return this.#candidates.toJSON()
  }

  /** All of it: getters would not be written. */
  toJSON(): Decision {
    const { verdict, backend, model, maxOutputTokens, hold, estimateNano, reasons, policy, resetMs, candidates } = this
    return { verdict, backend, model, maxOutputTokens, hold, estimateNano, reasons, policy, resetMs, candidates }
  }

  /** What `console.log` shows in Node. */
  [Symbol.for('nodejs.util.inspect.custom')](): Decision {
    return this.toJSON()
  }
}

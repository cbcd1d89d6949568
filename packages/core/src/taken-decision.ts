import type { CandidateRecord, Decision, Verdict } from './decision.ts'
import type { HeldDispatch } from './dispatch.ts'
import type { Hold } from './ledger/record.ts'
import type { Assessment, CandidateList } from './policy/decide.ts'

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

/** Writes its candidates out when somebody asks for them. A class, since a getter in an object literal costs as much as the rest of a decision. */
export class TakenDecision implements Decision {
  readonly verdict: Verdict
  readonly backend: string
  readonly model: string
  readonly maxOutputTokens: number
  readonly reasons: readonly string[]
  readonly hold: string
  readonly estimateNano: number
  readonly policy: string
  readonly resetMs: number | undefined
  readonly #candidates: CandidateList

  constructor(verdict: Verdict, taken: Assessment, reasons: readonly string[], hold: Hold, candidates: CandidateList, resetMs: number | undefined) {
    this.verdict = verdict
    this.backend = taken.backend.name
    this.model = taken.model
    this.maxOutputTokens = taken.maxOutputTokens
    this.reasons = reasons
    this.hold = hold.id
    this.estimateNano = hold.estimate.costNano
    this.policy = hold.policy
    this.resetMs = resetMs
    this.#candidates = candidates
  }

  get candidates(): readonly CandidateRecord[] {
    return this.#candidates.toJSON()
  }
}

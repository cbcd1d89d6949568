import type { Clock } from './clock.ts'
import type { DecideRequest, Decision } from './decision.ts'
import type { CallStatus, LedgerEntry, UsageSource } from './ledger/record.ts'
import type { Notice } from './notices/notice.ts'
import type { Usage } from './pricing/usage.ts'

export interface MancipleOptions {
  /** Path of the policy file, or `{ text }` with its content. */
  readonly config: string | { readonly text: string }
  /** Folder of the ledger, made where it is missing; or `memory` for tests and replays. */
  readonly ledger: string
  readonly clock?: Clock
}

/** What became of a dispatch. */
export interface Outcome {
  /** Undefined: nothing was reported; the hold stands for it. */
  readonly usage?: Usage
  /** `ok` unless given. */
  readonly status?: CallStatus
  /** `reported` where there is a usage, else `hold`. */
  readonly usageSource?: UsageSource
  /** Since the decision, unless given. */
  readonly durationMs?: number
}

/** One attempt at one backend: settle it or release it, once. */
export interface Dispatch extends AsyncDisposable {
  readonly decision: Decision
  /** Bills the call. Resolves when the entry is on disk. @throws MancipleError `HOLD_ENDED`, `USAGE_INVALID`. */
  settle(outcome: Usage | Outcome): Promise<LedgerEntry>
  /** The call never took place. @throws MancipleError `HOLD_ENDED`. */
  release(reason: string): Promise<void>
}

export interface Manciple {
  /** Decides and reserves in one synchronous step; resolves when the hold is on disk. A refusal is a decision, not an error. @throws MancipleError `REQUEST_INVALID`, `BACKEND_UNKNOWN`, `CLOSED`. */
  decide(request: DecideRequest): Promise<Dispatch>
  on(event: 'notice', listener: (notice: Notice) => void): () => void
  close(): Promise<void>
  /** For a process that exits now: settles what is open with its hold, writes and syncs in one blocking step. */
  closeSync(): void
}

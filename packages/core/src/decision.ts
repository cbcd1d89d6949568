/** Why a candidate was not taken. */
export type OutReason = 'forbidden' | 'no-room' | 'price-unknown' | 'outscored' | 'not-asked'

/** One candidate of a decision, as the ledger keeps it for `explain`. */
export interface CandidateRecord {
  readonly backend: string
  readonly model: string
  readonly estimate_nano: number | null
  readonly score: number
  /** Absent for the one taken. */
  readonly out?: OutReason
  /** Names of the limits that lacked room. */
  readonly limits?: readonly string[]
  /** Names of the rules that matched. */
  readonly rules?: readonly string[]
}

/** The candidates of a decision as the ledger keeps them: records, or what `JSON.stringify` makes into them when a line is written. */
export type Candidates = readonly CandidateRecord[] | { toJSON(): readonly CandidateRecord[] }

/** What a router asks before a dispatch. */
export interface DecideRequest {
  /** The backend that the caller would like. Unknown names are an error. */
  readonly backend?: string
  /** The model that the caller would like; the backend's first model where absent. */
  readonly model?: string
  readonly taskId?: string
  readonly taskType?: string
  readonly tags?: readonly string[]
  /** Input tokens, or an upper bound of them. Whole, not negative. */
  readonly inputTokens: number
  /** The request's own bound on output tokens, 0 for one that writes nothing, such as embeddings; the policy's `max_output_tokens` where absent. */
  readonly maxOutputTokens?: number
  /** A thinking budget: output is never cut below it. */
  readonly minOutputTokens?: number
  /** How many answers are asked for; 1 unless given. */
  readonly n?: number
  /** Backends that may serve this call; the policy's, unless given. Local backends always may. */
  readonly candidates?: readonly string[]
  /** Only the named backend, or local. */
  readonly pinned?: boolean
}

export type Verdict = 'dispatch' | 'reroute' | 'refuse'

/** `dispatch`: what was asked for, or the best where nothing was. `reroute`: another backend or model. `refuse`: nobody may take it. */
export interface Decision {
  readonly verdict: Verdict
  /** Undefined when refused. */
  readonly backend: string | undefined
  readonly model: string | undefined
  /** To be forced onto the request: what the hold pays for. */
  readonly maxOutputTokens: number
  /** Words for people, the decisive one first. */
  readonly reasons: readonly string[]
  /** Id of the hold; undefined when refused. */
  readonly hold: string | undefined
  /** Nano-USD set aside. */
  readonly estimateNano: number
  /** Version of the policy that ruled it. */
  readonly policy: string
  /** When a refused or rerouted call could next be served by a cloud backend, ms since the epoch, where a limit stood in its way. */
  readonly resetMs: number | undefined
  readonly candidates: readonly CandidateRecord[]
}

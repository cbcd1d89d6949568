import type { Candidates } from '../decision.ts'
import type { BackendKind, Quantities } from '../limit.ts'
import type { Notice } from '../notices/notice.ts'
import type { PriceSource } from '../pricing/price-book.ts'

export type CallStatus = 'ok' | 'error' | 'aborted' | 'cut' | 'expired'

/**
 * Where the numbers of an entry come from.
 * `reported`: by the provider. `partial`: what was known when the call was cut. `hold`: nothing was known, so the hold stands.
 */
export type UsageSource = 'reported' | 'partial' | 'hold'

/** `imported`: from before Manciple or beside it. `adjusted`: no call, but a correction. */
export type EntryStatus = CallStatus | 'imported' | 'adjusted'

/** `given`: the cost was written down by whoever imported or corrected it. */
export type CostSource = PriceSource | 'given'

/** One call, as it stands in the ledger. The first nine fields are the brief's, in the brief's order. */
export interface LedgerEntry {
  /** Ledger time of the reservation, ISO 8601 UTC. */
  readonly timestamp: string
  readonly backend: string
  readonly model: string
  /** All input tokens, cached ones included. */
  readonly prompt_tokens: number
  /** All output tokens, reasoning included. */
  readonly completion_tokens: number
  /** List price × usage. An exact multiple of 1e-9. Only a correction's, as its tokens, may be negative. */
  readonly cost_usd: number
  readonly task_id: string | null
  readonly task_type: string | null
  readonly duration_ms: number
  /** Unique across processes; also the id of the hold. */
  readonly id: string
  readonly requested_backend: string | null
  readonly status: EntryStatus
  readonly usage_source: UsageSource
  readonly cache_read_tokens: number
  readonly cache_write_tokens: number
  readonly reasoning_tokens: number
  readonly price_source: CostSource
  /** Version of the policy that ruled it. */
  readonly policy: string
  /** Present and true when the truth came out above the hold. */
  readonly overrun?: true
  /** How many requests a correction adds or takes back; where absent, the entry is one. */
  readonly requests?: number
}

/** What is set aside for one dispatch, with all that `explain` needs later. */
export interface ReserveOrder {
  readonly atMs: number
  readonly backend: string
  readonly kind: BackendKind
  readonly model: string
  readonly taskId: string | null
  /** Limits by task type see `''` where there is none. */
  readonly taskType: string | null
  readonly requestedBackend: string | null
  readonly inputTokens: number
  readonly maxOutputTokens: number
  readonly estimate: Quantities
  readonly priceSource: PriceSource
  readonly policy: string
  readonly candidates: Candidates
}

export interface Hold extends ReserveOrder {
  readonly id: string
}

/** The truth about a dispatch. */
export interface Settlement {
  readonly costNano: number
  readonly promptTokens: number
  readonly completionTokens: number
  readonly cacheReadTokens: number
  readonly cacheWriteTokens: number
  readonly reasoningTokens: number
  readonly durationMs: number
  readonly status: CallStatus
  readonly usageSource: UsageSource
}

/** A call that nobody took. */
export interface RefuseOrder {
  readonly atMs: number
  readonly taskId: string | null
  readonly taskType: string | null
  readonly requestedBackend: string | null
  readonly reason: string
  readonly policy: string
  readonly candidates: Candidates
}

/** A provider's own reading of a quota, and what the ledger knew then. */
export interface Observation {
  readonly backend: string
  /** Share of the quota used, 0 to 1, or more. */
  readonly used: number
  readonly at: string
  readonly source: string
  /** Name of the limit that is the quota. Where one of the three is absent, the reading limits nothing. */
  readonly limit?: string
  /** What the ledger had settled of it by then, in the limit's unit. */
  readonly settled?: number
  /** When the window ends that it speaks of, ISO 8601 UTC. */
  readonly until?: string
}

/** What a correction is of. */
export interface AdjustOrder {
  /** Ledger time now. */
  readonly atMs: number
  /** When what it corrects was spent, not after `atMs`: the windows of that time count it. */
  readonly spentMs: number
  readonly backend: string
  readonly kind: BackendKind
  /** `''`: of no model in particular; limits by model do not see it. */
  readonly model: string
  readonly taskId: string | null
  readonly taskType: string | null
  /** Each is what is missing in the books, or, negative, what they have too much. Whole. */
  readonly costNano: number
  readonly promptTokens: number
  readonly completionTokens: number
  readonly requests: number
  readonly reason: string
}

/** A call that Manciple did not rule: from before it was there, or beside it. */
export interface ImportOrder {
  /** Ledger time now. */
  readonly atMs: number
  /** When it took place, not after `atMs`. */
  readonly spentMs: number
  readonly backend: string
  readonly kind: BackendKind
  readonly model: string
  readonly taskId: string | null
  readonly taskType: string | null
  readonly costNano: number
  readonly promptTokens: number
  readonly completionTokens: number
  readonly cacheReadTokens: number
  readonly cacheWriteTokens: number
  readonly reasoningTokens: number
  readonly durationMs: number
  readonly priceSource: CostSource
  /** Always the same for the same call, so that it counts once however often it is imported. */
  readonly id: string
  /** Where it was read, and what it is called there: `claude-code msg_01…:req_01…`. */
  readonly source: string
}

/** A correction of spend. `timestamp` is when what it corrects was spent, `time` when it was made; the figures are signed. */
export interface Adjustment extends Pick<LedgerEntry, 'timestamp' | 'backend' | 'model' | 'prompt_tokens' | 'completion_tokens' | 'cost_usd'> {
  readonly kind: BackendKind
  readonly task_id: string | null
  readonly task_type: string | null
  readonly requests: number
  readonly id: string
  readonly policy: string
}

/** Lines `from` to `to`, both included. */
export interface SeqRange {
  readonly from: number
  readonly to: number
}

/** A line of the journal, without `seq`, `synced` and `crc`. */
export type LedgerRecord =
  | { readonly type: 'open'; readonly ledger: string; readonly session: string; readonly time: string; readonly format: 1 }
  | { readonly type: 'policy'; readonly time: string; readonly version: string; readonly text: string }
  | { readonly type: 'reserve'; readonly hold: Hold }
  | { readonly type: 'settle'; readonly entry: LedgerEntry }
  | { readonly type: 'release'; readonly id: string; readonly time: string; readonly reason: string }
  | { readonly type: 'expire'; readonly id: string; readonly time: string }
  | { readonly type: 'refuse'; readonly order: RefuseOrder }
  | { readonly type: 'observe'; readonly observation: Observation }
  | { readonly type: 'notice'; readonly notice: Notice; readonly clears?: readonly string[] }
  /** Corrects spend, or, with `presumed`, ends that presumed hold: the call was never billed. */
  | { readonly type: 'adjust'; readonly time: string; readonly reason: string; readonly adjustment: Adjustment }
  | { readonly type: 'adjust'; readonly time: string; readonly reason: string; readonly presumed: string }
  | { readonly type: 'import'; readonly time: string; readonly source: string; readonly kind: BackendKind; readonly entry: LedgerEntry }
  /** The journal was damaged. The next `salvaged` lines stood after the damage and could be verified; those of `lost` could not, and are in `files`. Numbered from 1. */
  | {
      readonly type: 'repair'
      readonly number: number
      readonly time: string
      readonly lost: readonly SeqRange[]
      readonly bytes: number
      readonly salvaged: number
      readonly files: readonly string[]
    }

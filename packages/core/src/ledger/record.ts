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
  /** List price × usage. An exact multiple of 1e-9. */
  readonly cost_usd: number
  readonly task_id: string | null
  readonly task_type: string | null
  readonly duration_ms: number
  /** Unique across processes; also the id of the hold. */
  readonly id: string
  readonly requested_backend: string | null
  readonly status: CallStatus
  readonly usage_source: UsageSource
  readonly cache_read_tokens: number
  readonly cache_write_tokens: number
  readonly reasoning_tokens: number
  readonly price_source: PriceSource
  /** Version of the policy that ruled it. */
  readonly policy: string
  /** Present and true when the truth came out above the hold. */
  readonly overrun?: true
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

/** A provider's own reading of a quota. */
export interface Observation {
  readonly backend: string
  /** Share of the quota used, 0 to 1. */
  readonly used: number
  readonly at: string
  readonly source: string
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

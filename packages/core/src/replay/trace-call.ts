/** One call of a trace: what was asked, and what was used. */
export interface TraceCall {
  /** As the trace has it; for the lines of `--calls` alone. */
  readonly id: string
  /** When it was asked for, ms since the epoch, whole. */
  readonly atMs: number
  /** How long it took, ms, whole. It settles then. */
  readonly durationMs: number
  /** The backend and model that it named, where the trace says so. */
  readonly backend: string | undefined
  readonly model: string | undefined
  /** Where it named no backend: the provider that served it. It is taken to have named the policy's only backend of that provider. */
  readonly provider?: string
  readonly taskId: string | undefined
  readonly taskType: string | undefined
  /** All input tokens, cached ones included. */
  readonly inputTokens: number
  /** All output tokens, reasoning included. */
  readonly outputTokens: number
  readonly cacheReadTokens: number
  readonly cacheWriteTokens: number
  readonly reasoningTokens: number
  /** The request's own bound on output; undefined where the trace does not say. */
  readonly maxOutputTokens: number | undefined
}

/** What a provider said of a quota, as a ledger has it. */
export interface TraceReading {
  /** When it was noted, as far as the ledger shows: not before its own time. ms since the epoch. */
  readonly notedMs: number
  /** When it was so. */
  readonly readMs: number
  readonly backend: string
  /** Name of the limit that was read; undefined where the backend had no quota. */
  readonly quota: string | undefined
  /** Share of it that was used. */
  readonly used: number
  readonly source: string
}

export type TraceEvent = TraceCall | TraceReading

/** Whether an event is a call: nearly all are. */
export function isCall(event: TraceEvent): event is TraceCall {
  return 'atMs' in event
}

/** A mistake in a trace, and where. */
export interface TraceIssue {
  readonly file: string
  readonly line: number
  readonly text: string
}

/** A time during which a backend fails every call. */
export interface Outage {
  readonly backend: string
  readonly fromMs: number
  /** Not included. */
  readonly toMs: number
}

import type { Step } from './conformance-provider.ts'

/** One thing that can happen to a call. The suite runs it plain and streamed; the billing matrix has a row for it. */
export interface Situation {
  readonly name: string
  /** What `claude` does, request by request. `gpt` and `local` answer. */
  readonly steps: readonly Step[]
  /** When the client goes away: when the provider is stuck, or when the client has seen a part of the answer as well. */
  readonly aborts?: 'stuck' | 'stuck after text'
  /** The client's own time-out, ms. */
  readonly timeoutMs?: number
  /** How often the client tries again by itself. */
  readonly retries?: number
  /** Whether the client turns to `gpt` when `claude` fails it. */
  readonly failover?: boolean
  /** Whether the host hears no more of the call, so that its own time-out ends it. */
  readonly expires?: boolean
  /** Whether the answer comes whole. */
  readonly succeeds?: boolean
}

const turnedAway = (status: number): Situation => ({ name: `provider answers ${status}`, steps: [{ does: 'status', status }] })

/** All that the billing matrix has a row for, but the death of the host's own process. */
export const SITUATIONS: readonly Situation[] = [
  { name: 'success', steps: [{ does: 'answer' }], succeeds: true },
  { name: 'client aborts before the first token', steps: [{ does: 'silent' }], aborts: 'stuck' },
  { name: 'client aborts in the middle of the answer', steps: [{ does: 'stall' }], aborts: 'stuck after text' },
  { name: 'connection refused', steps: [{ does: 'refuse' }] },
  { name: 'connection cut in the middle of the answer', steps: [{ does: 'cut' }] },
  ...[400, 401, 429, 500, 529].map(turnedAway),
  { name: 'provider answers 504, a time-out of its own', steps: [{ does: 'status', status: 504 }] },
  { name: 'error event before the first token', steps: [{ does: 'error-first' }] },
  { name: 'error event inside the stream', steps: [{ does: 'error-event' }] },
  { name: 'client times out before the first token', steps: [{ does: 'silent' }], timeoutMs: 450 },
  { name: 'client times out in the middle of the answer', steps: [{ does: 'stall' }], timeoutMs: 450 },
  { name: 'nothing more is heard of the call', steps: [{ does: 'stall' }], expires: true },
  { name: 'client tries again after a 500', steps: [{ does: 'status', status: 500 }, { does: 'answer' }], retries: 1, succeeds: true },
  { name: 'client tries again after a time-out', steps: [{ does: 'silent' }, { does: 'answer' }], retries: 1, timeoutMs: 450, succeeds: true },
  { name: 'failover to another backend', steps: [{ does: 'status', status: 529 }], failover: true, succeeds: true },
  { name: 'usage is missing', steps: [{ does: 'answer', reports: 'never' }], succeeds: true },
  { name: 'usage is larger than the hold', steps: [{ does: 'answer', usage: { inputTokens: 40_000, outputTokens: 900 } }], succeeds: true },
  {
    name: 'cached and reasoning tokens',
    steps: [{ does: 'answer', usage: { inputTokens: 1000, outputTokens: 50, cacheReadTokens: 600, reasoningTokens: 30 } }],
    succeeds: true,
  },
  { name: 'usage comes twice', steps: [{ does: 'answer', reports: 'twice' }], succeeds: true },
]

import type { Ledger, LedgerPolicy, SpendRow } from '../../packages/core/src/ledger/ledger.ts'
import type { LedgerRecord } from '../../packages/core/src/ledger/record.ts'
import type { MeterState } from '../../packages/core/src/limit.ts'
import { MancipleError } from '../../packages/core/src/errors.ts'
import { DAY_MS, HOUR_MS, limit, MINUTE_MS, notice, order, policy, settlement } from '../contract/ledger-samples.ts'

/** One of each kind of window, small enough that some calls find no room. */
export const POLICY: LedgerPolicy = policy([
  limit({ name: 'day', quantity: 300 }),
  limit({ name: 'month', quantity: 4_000, window: { kind: 'month', day: 15 } }),
  limit({ name: 'session', quantity: 3_000, unit: 'tokens', window: { kind: 'first-use', spanMs: 5 * HOUR_MS }, scope: { backend: 'claude' } }),
  limit({ name: 'rolling', quantity: 12, unit: 'requests', window: { kind: 'rolling', spanMs: 2 * HOUR_MS }, scope: { backend: 'kimi' } }),
  limit({ name: 'bulk', quantity: 900, window: { kind: 'rolling', spanMs: 3 * DAY_MS }, scope: { taskType: 'bulk' }, hard: false }),
])

export const CALLS = [
  { backend: 'claude', kind: 'cloud', model: 'sonnet', taskType: 'reasoning' },
  { backend: 'kimi', kind: 'cloud', model: 'k2', taskType: 'bulk' },
  { backend: 'local', kind: 'local', model: 'llama', taskType: null },
] as const

const STEPS_MS = [0, 0, 0, 1000, MINUTE_MS, 7 * MINUTE_MS, 20 * MINUTE_MS]
/** No life of a writer takes longer than this of ledger time. */
export const LIFE_MS = 21 * HOUR_MS
export const MOST_STEPS = LIFE_MS / (20 * MINUTE_MS)

/** A change that somebody asked of a ledger. */
export type Attempt =
  | { readonly op: 'reserve'; readonly id: string; readonly call: number; readonly atMs: number; readonly costNano: number; readonly tokens: number }
  | { readonly op: 'settle'; readonly id: string; readonly costNano: number; readonly tokens: number }
  | { readonly op: 'release'; readonly id: string }
  | { readonly op: 'notice'; readonly episode: string }

export interface Tried {
  readonly attempt: Attempt
  /** Resolves when it is acknowledged. */
  readonly durable: Promise<unknown>
}

/** Numbers from 0 up to, not including, 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A router that does whatever a router may do, in an order that only its seed knows. */
export class Workload {
  readonly #ledger: Ledger
  readonly #random: () => number
  /** Holds that a settle or a release may still end, those of the process before among them. */
  readonly #ids: string[]
  #nowMs: number
  #notices = 0

  constructor(ledger: Ledger, random: () => number, nowMs: number) {
    this.#ledger = ledger
    this.#random = random
    this.#nowMs = nowMs
    this.#ids = ledger.opened.presumed.map(({ id }) => id)
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** @returns undefined where nothing was changed: no room, or a hold that has ended. */
  step(): Tried | undefined {
    this.#nowMs += STEPS_MS[this.below(STEPS_MS.length)] ?? 0
    this.#ledger.advance(this.#nowMs)
    const kind = this.#random()
    if (kind < 0.5) return this.#reserve()
    if (kind < 0.8) return this.#settle()
    return kind < 0.93 ? this.#release() : this.#notice()
  }

  below(end: number): number {
    return Math.floor(this.#random() * end)
  }

  #reserve(): Tried | undefined {
    const call = this.below(CALLS.length)
    const estimate = { costNano: this.below(60), tokens: this.below(500), requests: 1 }
    const reserved = this.#ledger.reserve(order({ ...CALLS[call], atMs: this.#nowMs, estimate }))
    if (!reserved.ok) return undefined
    const { id } = reserved.hold
    this.#ids.push(id)
    return { attempt: { op: 'reserve', id, call, atMs: this.#nowMs, costNano: estimate.costNano, tokens: estimate.tokens }, durable: reserved.durable }
  }

  #settle(): Tried | undefined {
    return this.#end((id) => {
      const truth = { costNano: this.below(80), tokens: this.below(600) }
      const { durable } = this.#ledger.settle(id, settlement({ costNano: truth.costNano, promptTokens: truth.tokens, completionTokens: 0 }))
      return { attempt: { op: 'settle', id, ...truth }, durable }
    })
  }

  #release(): Tried | undefined {
    return this.#end((id) => {
      // Only a rejection would tell whether a presumed one has ended; late settles show that they can be.
      if (!this.#ledger.openHolds.has(id)) return undefined
      return { attempt: { op: 'release', id }, durable: this.#ledger.release(id, 'connection refused', this.#nowMs) }
    })
  }

  #notice(): Tried {
    const episode = `${this.#nowMs}-${this.#notices++}`
    return { attempt: { op: 'notice', episode }, durable: this.#ledger.notice(notice({ episode }), this.#nowMs) }
  }

  #end(step: (id: string) => Tried | undefined): Tried | undefined {
    const [id] = this.#ids.splice(this.below(this.#ids.length), 1)
    if (id === undefined) return undefined
    try {
      return step(id)
    } catch (error) {
      if (error instanceof MancipleError && error.code === 'HOLD_ENDED') return undefined
      throw error
    }
  }
}

/** What an attempt and the record that came of it have in common; undefined for records that nobody attempts. */
export function keyOf(tried: Attempt | LedgerRecord): string | undefined {
  if ('op' in tried) {
    if (tried.op === 'reserve') return `reserve ${tried.id} ${CALLS[tried.call]?.backend} ${tried.atMs} ${tried.costNano} ${tried.tokens}`
    if (tried.op === 'settle') return `settle ${tried.id} ${tried.costNano} ${tried.tokens}`
    return tried.op === 'release' ? `release ${tried.id}` : `notice ${tried.episode}`
  }
  switch (tried.type) {
    case 'reserve': {
      const { id, backend, atMs, estimate } = tried.hold
      return `reserve ${id} ${backend} ${atMs} ${estimate.costNano} ${estimate.tokens}`
    }
    case 'settle': {
      const { id, cost_usd: costUsd, prompt_tokens: promptTokens, completion_tokens: completionTokens } = tried.entry
      return `settle ${id} ${Math.round(costUsd * 1e9)} ${promptTokens + completionTokens}`
    }
    case 'release':
      return `release ${tried.id}`
    case 'notice':
      return `notice ${tried.notice.episode}`
    default:
      return undefined
  }
}

/** All that a ledger says of money, as plain JSON. */
export interface View {
  readonly meters: readonly { readonly name: string; readonly settled: number; readonly held: number; readonly presumed: number }[]
  readonly costNano: number
  readonly tokens: number
  readonly requests: number
  readonly openHolds: readonly string[]
}

export function viewOf(books: {
  readonly meters: readonly MeterState[]
  readonly openHolds: { keys(): Iterable<string> }
  spend(startMs: number, endMs: number): readonly SpendRow[]
}): View {
  const rows = books.spend(0, Number.MAX_SAFE_INTEGER)
  const total = (unit: 'costNano' | 'tokens' | 'requests'): number => rows.reduce((sum, row) => sum + row[unit], 0)
  return {
    meters: books.meters.map(({ limit: { name }, settled, held, presumed }) => ({ name, settled, held, presumed })),
    costNano: total('costNano'),
    tokens: total('tokens'),
    requests: total('requests'),
    openHolds: [...books.openHolds.keys()],
  }
}

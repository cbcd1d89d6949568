import { calcPrice, type ConditionalPrice, type ModelPrice } from '@pydantic/genai-prices'
import type { BackendKind } from '../limit.ts'
import type { NanoUsd } from '../money.ts'
import { DAY_MS } from '../windows.ts'
import { createInputPrice, createPrice, FREE, UNKNOWN } from './cost.ts'
import type { Usage } from './usage.ts'

/** A price as the policy file gives it: `free`, or USD per million tokens. Cache prices default to the input price. */
export type PriceOverride =
  | 'free'
  | { readonly inputMtok: number; readonly outputMtok: number; readonly cacheReadMtok?: number; readonly cacheWriteMtok?: number }

/** Where a price comes from: the price list, the policy's `prices:`, or declared free. */
export type PriceSource = 'list' | 'policy' | 'free'

/** Three states, never mixed. An unknown price is never 0. */
export type Price = KnownPrice | { readonly kind: 'unknown' }

export interface KnownPrice {
  readonly kind: 'priced' | 'free'
  readonly source: PriceSource
  /** The list has no price for output, as for embedding models: the price of a call that may write is unknown. See {@link isPriced}. */
  readonly inputOnly: boolean
  /**
   * Exact list price of a usage, rounded to nano once, half up. The usage has been checked.
   *
   * Reasoning is billed as output, cache reads and writes as input, where the list has no price of their own for them. A usage does not tell how long a
   * cache write lives, so all of them have the list's ordinary (5 minutes) price; nor does it tell text from sound and pictures, so all tokens have the text
   * price, and searches and other hosted tools none.
   * @throws MancipleError `USAGE_INVALID` above `MAX_NANO`, the most that a ledger can count, and for output that has no price.
   */
  costNano(usage: Usage): NanoUsd
  /**
   * No usage with at most this input and output costs more: dearest tier that this input can reach, dearest of plain, cache-read and cache-write input.
   * Rounded up. Ends at 2^53 − 1, which is above every limit.
   */
  boundNano(inputTokens: number, maxOutputTokens: number): NanoUsd
  /** The largest output whose bound is within `roomNano`, at most `maxOutputTokens`; -1 where even the input does not fit. */
  outputWithin(roomNano: NanoUsd, inputTokens: number, maxOutputTokens: number): number
}

/** Whether a price says what a call costs that may write so much. */
export function isPriced(price: Price, maxOutputTokens: number): price is KnownPrice {
  return price.kind !== 'unknown' && (maxOutputTokens === 0 || !price.inputOnly)
}

export interface PriceBook {
  /** The price in force at `atMs`. Resolves a model once; afterwards a look-up in memory. */
  price(backend: { readonly name: string; readonly kind: BackendKind; readonly provider: string | undefined }, model: string, atMs: number): Price
}

/** A model name may come from whoever calls the router: what is remembered has an end. */
const MAX_MODELS = 10_000

/**
 * Prices by the policy's own `prices:` first, else by the list of `@pydantic/genai-prices`. A local backend is free, whatever `prices:` says.
 * Unknown: a cloud backend without provider, a model that the list does not have, and one without a price for text input
 * (the list has some with no price at all, which genai-prices itself computes as 0). One without a price for text output has a price for calls that write
 * nothing.
 *
 * @param overrides by model name, exactly as the policy writes it.
 */
export function createPriceBook(overrides: ReadonlyMap<string, PriceOverride>): PriceBook {
  const own = new Map([...overrides].map(([model, override]) => [model, fromOverride(override)]))
  const listed = new Map<string, Map<string, Listed>>()

  function inList(provider: string, model: string, atMs: number): Price {
    let models = listed.get(provider)
    if (models === undefined) listed.set(provider, (models = new Map()))
    let found = models.get(model)
    if (found === undefined || atMs < found.now.fromMs || atMs >= found.now.untilMs) {
      const dated = found?.dated ?? resolve(provider, model, atMs)
      if (models.size >= MAX_MODELS) models.clear()
      models.set(model, (found = { dated, now: activeAt(dated, atMs) }))
    }
    return found.now.price
  }

  return {
    price(backend, model, atMs) {
      if (backend.kind === 'local') return FREE
      const override = own.get(model)
      if (override !== undefined) return override
      // genai-prices takes an empty name for none and guesses by the model alone: a guess is no price.
      return backend.provider ? inList(backend.provider, model, atMs) : UNKNOWN
    },
  }
}

/** When a price of the list applies: from an instant on, or between two times of each UTC day, in ms. */
type Condition = { readonly kind: 'from'; readonly ms: number } | { readonly kind: 'daily'; readonly startMs: number; readonly endMs: number }

interface Dated {
  readonly condition: Condition | undefined
  readonly price: Price
}

/** The price in force from `fromMs` up to, not including, `untilMs`. */
interface Active {
  readonly price: Price
  readonly fromMs: number
  readonly untilMs: number
}

interface Listed {
  /** In the list's order: the last one that applies is in force, and the first where none does. */
  readonly dated: readonly Dated[]
  /** For the latest look-up. */
  readonly now: Active
}

function fromOverride(override: PriceOverride): Price {
  if (override === 'free') return FREE
  const { inputMtok: input, outputMtok: output, cacheReadMtok: cacheRead = input, cacheWriteMtok: cacheWrite = input } = override
  return createPrice({ input, output, cacheRead, cacheWrite, reasoning: output, request: 0 }, 'policy')
}

function resolve(provider: string, model: string, atMs: number): readonly Dated[] {
  const found = calcPrice({}, model, { providerId: provider, timestamp: new Date(atMs) })
  if (found === null) return []
  const { prices } = found.model
  const conditional: readonly ConditionalPrice[] = Array.isArray(prices) ? prices : [{ prices }]
  return conditional.map(({ constraint, prices: entry }) => ({ condition: constraint && toCondition(constraint), price: fromList(entry) }))
}

function fromList(entry: ModelPrice): Price {
  const { input_mtok: input, output_mtok: output } = entry
  if (input === undefined) return UNKNOWN
  const { cache_read_mtok: cacheRead = input, cache_write_mtok: cacheWrite = input, requests_kcount: request = 0 } = entry
  if (output === undefined) return createInputPrice({ input, cacheRead, cacheWrite, request }, 'list')
  const { output_reasoning_mtok: reasoning = output } = entry
  return createPrice({ input, output, cacheRead, cacheWrite, reasoning, request }, 'list')
}

function toCondition(constraint: NonNullable<ConditionalPrice['constraint']>): Condition {
  if (constraint.type === 'start_date') return { kind: 'from', ms: Date.parse(constraint.start_date) }
  return { kind: 'daily', startMs: timeOfDay(constraint.start_time), endMs: timeOfDay(constraint.end_time) }
}

/** ms since UTC midnight of a time like `16:30:00Z` or `18:30:00+02:00`. */
function timeOfDay(time: string): number {
  return sinceMidnight(Date.parse(`1970-01-01T${time}`))
}

function sinceMidnight(ms: number): number {
  return ((ms % DAY_MS) + DAY_MS) % DAY_MS
}

function activeAt(dated: readonly Dated[], atMs: number): Active {
  const { price } = dated.findLast(({ condition }) => applies(condition, atMs)) ?? dated[0] ?? { price: UNKNOWN }
  const changes = dated.flatMap(({ condition }) => changesAround(condition, atMs))
  return {
    price,
    fromMs: Math.max(...changes.filter((ms) => ms <= atMs)),
    untilMs: Math.min(...changes.filter((ms) => ms > atMs)),
  }
}

function applies(condition: Condition | undefined, atMs: number): boolean {
  if (condition === undefined) return true
  if (condition.kind === 'from') return atMs >= condition.ms
  const { startMs, endMs } = condition
  const ms = sinceMidnight(atMs)
  return endMs < startMs ? ms >= startMs || ms < endMs : ms >= startMs && ms < endMs
}

/** The instants near `atMs` at which a condition may begin or cease to apply; of those each day, the ones of yesterday, today and tomorrow. */
function changesAround(condition: Condition | undefined, atMs: number): number[] {
  if (condition === undefined) return []
  if (condition.kind === 'from') return [condition.ms]
  const midnight = atMs - sinceMidnight(atMs)
  return [-DAY_MS, 0, DAY_MS].flatMap((day) => [midnight + day + condition.startMs, midnight + day + condition.endMs])
}

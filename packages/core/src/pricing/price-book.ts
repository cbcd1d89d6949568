import type { BackendKind } from '../limit.ts'
import type { NanoUsd } from '../money.ts'
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
  /** Exact list price of a usage, rounded to nano once, half up. */
  costNano(usage: Usage): NanoUsd
  /** No usage with at most this input and output costs more: dearest tier that this input can reach, dearest of plain, cache-read and cache-write input. Rounded up. */
  boundNano(inputTokens: number, maxOutputTokens: number): NanoUsd
  /** The largest output whose bound is within `roomNano`, at most `maxOutputTokens`; -1 where even the input does not fit. */
  outputWithin(roomNano: NanoUsd, inputTokens: number, maxOutputTokens: number): number
}

export interface PriceBook {
  /** The price in force at `atMs`. Resolves a model once; afterwards a look-up in memory. */
  price(backend: { readonly name: string; readonly kind: BackendKind; readonly provider: string | undefined }, model: string, atMs: number): Price
}

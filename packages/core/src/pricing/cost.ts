import { MancipleError } from '../errors.ts'
import { divideHalfUp, divideUp, MAX_NANO, type NanoUsd } from '../money.ts'
import type { KnownPrice, Price, PriceSource } from './price-book.ts'
import type { Usage } from './usage.ts'

/**
 * A price that may depend on the size of the input: all of the tokens, not only those beyond it, cost the price of the last tier whose `start` the
 * call's whole input (cached tokens included) exceeds. This is genai-prices' rule.
 */
export type Tariff = number | { readonly base: number; readonly tiers: readonly { readonly start: number; readonly price: number }[] }

/** What a model costs: USD per million tokens, and per thousand requests. `cacheRead` and `cacheWrite` are parts of the input, `reasoning` of the output. */
export type Rates = Readonly<Record<'input' | 'cacheRead' | 'cacheWrite' | 'output' | 'reasoning' | 'request', Tariff>>

export const UNKNOWN: Price = { kind: 'unknown' }

export const FREE: KnownPrice = {
  kind: 'free',
  source: 'free',
  inputOnly: false,
  costNano: () => 0,
  boundNano: () => 0,
  outputWithin: (roomNano, _inputTokens, maxOutputTokens) => (roomNano < 0 ? -1 : maxOutputTokens),
}

/**
 * Compiles a price. Each number means its shortest decimal text; all of them become whole numerators over one denominator, so that
 * `costNano = Σ tokens × numerator / denominator`, rounded once. Unknown where a number is negative or not finite.
 */
export function createPrice(rates: Rates, source: PriceSource): Price {
  const amounts = Object.values(rates).flatMap(amountsOf)
  if (!amounts.every((amount) => amount >= 0 && amount < Infinity)) return UNKNOWN
  const compiled = compile(rates)
  return {
    kind: 'priced',
    source,
    inputOnly: false,
    costNano: (usage) => costNano(compiled, usage),
    boundNano: (inputTokens, maxOutputTokens) => boundNano(compiled, inputTokens, maxOutputTokens),
    outputWithin: (roomNano, inputTokens, maxOutputTokens) => outputWithin(compiled, roomNano, inputTokens, maxOutputTokens),
  }
}

/** The same for a model whose output has no price. What writes nothing is priced; no output is within any room, and one that came all the same has no cost. */
export function createInputPrice(rates: Omit<Rates, 'output' | 'reasoning'>, source: PriceSource): Price {
  const price = createPrice({ ...rates, output: 0, reasoning: 0 }, source)
  if (price.kind === 'unknown') return price
  return {
    ...price,
    inputOnly: true,
    costNano(usage) {
      if (usage.outputTokens === 0) return price.costNano(usage)
      throw new MancipleError('USAGE_INVALID', `usage: ${usage.outputTokens} output tokens of a model that has a price for its input alone`)
    },
    boundNano: (inputTokens, maxOutputTokens) => (maxOutputTokens === 0 ? price.boundNano(inputTokens, 0) : Number.MAX_SAFE_INTEGER),
    outputWithin: (roomNano, inputTokens) => price.outputWithin(roomNano, inputTokens, 0),
  }
}

/** Numerators per token, and per request. `top…` is the dearest that an input of this size or less can be charged. */
type Numerators<N> = Readonly<Record<keyof Rates | 'topInput' | 'topOutput' | 'topRequest', N>>

/** The numerators for inputs above `above`, up to the next segment. */
interface Segment {
  readonly above: number
  readonly exact: Numerators<bigint>
  readonly fast: Numerators<number>
}

interface Compiled {
  /** By `above`, ascending; the first takes every input. */
  readonly segments: readonly [Segment, ...Segment[]]
  readonly exactDenominator: bigint
  readonly denominator: number
}

/**
 * A sum of products of non-negative doubles that comes out below 2^53 is exact: rounding is monotone, so every term was below 2^53 as well.
 * Anything else (a numerator too large for a double included) is computed again in bigints.
 */
const EXACT = 2 ** 53

function costNano({ segments, denominator, exactDenominator }: Compiled, usage: Usage): NanoUsd {
  const { inputTokens, outputTokens, cacheReadTokens = 0, cacheWriteTokens = 0, reasoningTokens = 0 } = usage
  const { fast, exact } = segmentOf(segments, inputTokens)
  const plain = inputTokens - cacheReadTokens - cacheWriteTokens
  const answer = outputTokens - reasoningTokens
  const sum =
    fast.request +
    plain * fast.input +
    cacheReadTokens * fast.cacheRead +
    cacheWriteTokens * fast.cacheWrite +
    answer * fast.output +
    reasoningTokens * fast.reasoning
  if (sum < EXACT) {
    const rest = sum % denominator
    return checkCost((sum - rest) / denominator + (2 * rest >= denominator ? 1 : 0))
  }
  const exactSum =
    exact.request +
    BigInt(plain) * exact.input +
    BigInt(cacheReadTokens) * exact.cacheRead +
    BigInt(cacheWriteTokens) * exact.cacheWrite +
    BigInt(answer) * exact.output +
    BigInt(reasoningTokens) * exact.reasoning
  return checkCost(Number(divideHalfUp(exactSum, exactDenominator)))
}

function checkCost(nano: NanoUsd): NanoUsd {
  if (nano <= MAX_NANO) return nano
  throw new MancipleError('USAGE_INVALID', `usage: costs ${nano} nano-USD, more than the ${MAX_NANO} that a ledger can count`)
}

function boundNano({ segments, denominator, exactDenominator }: Compiled, inputTokens: number, maxOutputTokens: number): NanoUsd {
  const { fast, exact } = segmentOf(segments, inputTokens)
  const sum = fast.topRequest + inputTokens * fast.topInput + maxOutputTokens * fast.topOutput
  if (sum < EXACT) {
    const rest = sum % denominator
    return (sum - rest) / denominator + (rest > 0 ? 1 : 0)
  }
  const exactSum = exact.topRequest + BigInt(inputTokens) * exact.topInput + BigInt(maxOutputTokens) * exact.topOutput
  return Math.min(Number(divideUp(exactSum, exactDenominator)), Number.MAX_SAFE_INTEGER)
}

function outputWithin({ segments, denominator, exactDenominator }: Compiled, roomNano: NanoUsd, inputTokens: number, maxOutputTokens: number): number {
  // Bounds end there, so any output is within.
  if (roomNano >= Number.MAX_SAFE_INTEGER) return maxOutputTokens
  const { fast, exact } = segmentOf(segments, inputTokens)
  const room = roomNano * denominator
  const sum = fast.topRequest + inputTokens * fast.topInput
  if (room < EXACT && sum < EXACT) {
    const left = room - sum
    if (left < 0) return -1
    return fast.topOutput === 0 ? maxOutputTokens : Math.min(maxOutputTokens, (left - (left % fast.topOutput)) / fast.topOutput)
  }
  const left = BigInt(roomNano) * exactDenominator - exact.topRequest - BigInt(inputTokens) * exact.topInput
  if (left < 0n) return -1
  return exact.topOutput === 0n ? maxOutputTokens : Math.min(maxOutputTokens, Number(left / exact.topOutput))
}

function segmentOf(segments: Compiled['segments'], inputTokens: number): Segment {
  let found = segments[0]
  for (const segment of segments) if (inputTokens > segment.above) found = segment
  return found
}

function compile(rates: Rates): Compiled {
  const tariffs = Object.values(rates)
  const scale = Math.max(3, ...tariffs.flatMap(amountsOf).map((amount) => decimal(amount).scale))
  const starts = new Set(tariffs.flatMap((tariff) => (typeof tariff === 'number' ? [] : tariff.tiers.map(({ start }) => start))))
  let last = segmentAt(rates, -1, scale, undefined)
  const segments: [Segment, ...Segment[]] = [last]
  for (const start of [...starts].toSorted((a, b) => a - b)) {
    last = segmentAt(rates, start, scale, last)
    segments.push(last)
  }
  // USD per million tokens × 10^9 nano a USD = 10^3 nano a token.
  const exactDenominator = 10n ** BigInt(scale - 3)
  return { segments, exactDenominator, denominator: Number(exactDenominator) }
}

function segmentAt(rates: Rates, above: number, scale: number, previous: Segment | undefined): Segment {
  const numerator = (tariff: Tariff): bigint => scaled(amountAbove(tariff, above), scale)
  const input = numerator(rates.input)
  const cacheRead = numerator(rates.cacheRead)
  const cacheWrite = numerator(rates.cacheWrite)
  const output = numerator(rates.output)
  const reasoning = numerator(rates.reasoning)
  // Per thousand requests, so a thousand times what the same number means per million tokens.
  const request = 1000n * numerator(rates.request)
  // The tiers below can be reached as well, by a smaller input.
  const below = previous?.exact
  const exact = {
    input,
    cacheRead,
    cacheWrite,
    output,
    reasoning,
    request,
    topInput: largest(input, cacheRead, cacheWrite, below?.topInput ?? 0n),
    topOutput: largest(output, reasoning, below?.topOutput ?? 0n),
    topRequest: largest(request, below?.topRequest ?? 0n),
  }
  return { above, exact, fast: toDoubles(exact) }
}

function toDoubles(exact: Numerators<bigint>): Numerators<number> {
  return {
    input: Number(exact.input),
    cacheRead: Number(exact.cacheRead),
    cacheWrite: Number(exact.cacheWrite),
    output: Number(exact.output),
    reasoning: Number(exact.reasoning),
    request: Number(exact.request),
    topInput: Number(exact.topInput),
    topOutput: Number(exact.topOutput),
    topRequest: Number(exact.topRequest),
  }
}

function amountsOf(tariff: Tariff): number[] {
  return typeof tariff === 'number' ? [tariff] : [tariff.base, ...tariff.tiers.map(({ price }) => price)]
}

/** The amount for inputs just above `above`. */
function amountAbove(tariff: Tariff, above: number): number {
  if (typeof tariff === 'number') return tariff
  const reached = tariff.tiers.toSorted((a, b) => a.start - b.start).findLast(({ start }) => start <= above)
  return reached?.price ?? tariff.base
}

function largest(first: bigint, ...rest: readonly bigint[]): bigint {
  return rest.reduce((most, value) => (value > most ? value : most), first)
}

/** A finite, non-negative number as its shortest decimal text says it: `digits / 10^scale`. */
function decimal(amount: number): { readonly digits: bigint; readonly scale: number } {
  const [mantissa = '', exponent = '0'] = String(amount).split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  return { digits: BigInt(whole + fraction), scale: fraction.length - Number(exponent) }
}

/** `amount × 10^scale`, where `scale` is at least the amount's own. */
function scaled(amount: number, scale: number): bigint {
  const { digits, scale: own } = decimal(amount)
  return digits * 10n ** BigInt(scale - own)
}

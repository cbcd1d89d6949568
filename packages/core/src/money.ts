/**
 * Money is a whole number of nano-USD: 1 USD = 1,000,000,000.
 * A double holds such numbers exactly up to {@link MAX_NANO}.
 */
export type NanoUsd = number

export const NANO_PER_USD = 1_000_000_000

/** The largest amount that limits and ledgers accept: above it `used > 1` could no longer tell one nano from none. 2^52 nano-USD, about 4.5 million USD. */
export const MAX_NANO = 2 ** 52

/** Digits, a fraction and the exponent that JavaScript and YAML write for very small numbers. Bounded, so that a hostile text stays cheap. */
const DECIMAL = /^(\d{1,20})(?:\.(\d{1,40}))?(?:e([+-]?\d{1,3}))?$/i

/**
 * USD as written → nano-USD, exactly: `0.57` → 570000000. A number is read by its shortest decimal text, never by multiplying floats.
 * @returns undefined where the amount is not a plain decimal, is negative or not finite, does not fit nine decimals, or exceeds {@link MAX_NANO}.
 */
export function usdToNano(usd: number | string): NanoUsd | undefined {
  const match = DECIMAL.exec(String(usd))
  if (match === null) return undefined
  const [, whole = '', fraction = '', exponent = '0'] = match
  const digits = BigInt(whole + fraction)
  const shift = 9 + Number(exponent) - fraction.length
  const scale = 10n ** BigInt(Math.abs(shift))
  if (shift < 0 && digits % scale !== 0n) return undefined
  const nano = shift < 0 ? digits / scale : digits * scale
  return nano <= BigInt(MAX_NANO) ? Number(nano) : undefined
}

/**
 * The double nearest to `nano / 1e9`, for JSON; never to be added up.
 * Up to 10^15 nano-USD (a million USD) its JSON text is the exact decimal, and `Math.round(nanoToUsd(n) * 1e9) === n`.
 */
export function nanoToUsd(nano: NanoUsd): number {
  return nano / NANO_PER_USD
}

/**
 * For people: `$1,234.50`, `-$0.05`. The magnitude is rounded half up to `decimals` (0 to 9, 2 unless given), from the integer.
 * A non-zero amount that would show as zero shows its first two digits that count: `$0.0012`.
 */
export function formatUsd(nano: NanoUsd, decimals = 2): string {
  const magnitude = BigInt(Math.abs(nano))
  const sign = nano < 0 ? '-' : ''
  const shown = toFixed(magnitude, decimals)
  if (magnitude === 0n || /[1-9]/.test(shown)) return sign + shown
  const leadingPlace = 10 - String(magnitude).length
  return sign + toFixed(magnitude, Math.min(leadingPlace + 1, 9)).replace(/0+$/, '')
}

function toFixed(magnitude: bigint, decimals: number): string {
  const digits = String(divideHalfUp(magnitude, 10n ** BigInt(9 - decimals))).padStart(decimals + 1, '0')
  const whole = digits.slice(0, digits.length - decimals).replace(/\B(?=(\d{3})+$)/g, ',')
  return decimals === 0 ? `$${whole}` : `$${whole}.${digits.slice(-decimals)}`
}

/** The quotient rounded to the nearest whole number, a half up. `numerator ≥ 0`, `denominator > 0`. */
export function divideHalfUp(numerator: bigint, denominator: bigint): bigint {
  return (2n * numerator + denominator) / (2n * denominator)
}

/** The smallest whole number that is not below the quotient. `numerator ≥ 0`, `denominator > 0`. */
export function divideUp(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator
}

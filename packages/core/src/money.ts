/**
 * Money is a whole number of nano-USD: 1 USD = 1,000,000,000.
 * A double holds such numbers exactly up to {@link MAX_NANO}.
 */
export type NanoUsd = number

export const NANO_PER_USD = 1_000_000_000

/** The largest amount that limits and ledgers accept: above it `used > 1` could no longer tell one nano from none. 2^52 nano-USD, about 4.5 million USD. */
export const MAX_NANO = 2 ** 52

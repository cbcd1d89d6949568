import { formatInstant, formatUsd, NANO_PER_USD, type Unit } from '@manciple/core'

const CENT = NANO_PER_USD / 100
const LARGE_USD = 100_000
const LARGE_COUNT = 10_000_000

/** Decimals that suit a column of these amounts, nano-USD: 2 where all are at least a dollar, or nothing; else 4. */
export function decimalsFor(nanos: readonly number[]): number {
  return nanos.every((nano) => nano === 0 || Math.abs(nano) >= NANO_PER_USD) ? 2 : 4
}

/** In at most eight characters or so: `$12.34`, `$123.5k`, `45,000`, `45M`. */
export function shortQuantity(quantity: number, unit: Unit): string {
  if (unit !== 'usd') return shortCount(quantity)
  if (quantity > 0 && quantity < CENT) return '<$0.01'
  const usd = Math.abs(quantity) / NANO_PER_USD
  return usd < LARGE_USD ? formatUsd(quantity) : `${quantity < 0 ? '-' : ''}$${scaled(usd)}`
}

/** What a limit or quota allows, with its unit where that is not money: `$20.00`, `900k tokens`, `1,500 requests`. */
export function shortAmount(quantity: number, unit: Unit): string {
  if (unit === 'usd') return shortQuantity(quantity, unit)
  const round = quantity >= 10_000 && quantity % 1000 === 0
  return `${round && quantity < 1_000_000 ? `${quantity / 1000}k` : shortCount(quantity)} ${unit}`
}

/** `1,234,567`, and from ten millions on `12.3M`. */
export function shortCount(count: number): string {
  return Math.abs(count) < LARGE_COUNT ? count.toLocaleString('en-US') : `${count < 0 ? '-' : ''}${scaled(Math.abs(count))}`
}

/** 100,000 and more, to one decimal, rounded down. */
function scaled(quantity: number): string {
  const [suffix, size] = quantity < 1e6 ? ['k', 1e3] : quantity < 1e9 ? ['M', 1e6] : quantity < 1e12 ? ['B', 1e9] : ['T', 1e12]
  return `${Math.floor((quantity / Number(size)) * 10) / 10}${suffix}`
}

/** Whole percent, rounded down, so that 100% is full; `<1%` for what is next to nothing. */
export function percent(share: number): string {
  return share > 0 && share < 0.01 ? '<1%' : `${Math.floor(share * 100 + 1e-9)}%`
}

const FAR_MS = 300 * 86_400_000

/** A time to come, in the zone: `12-01 00:00`, and where that would not say the year, `2027-12-01`. */
export function shortInstant(iso: string, zone: string, nowIso: string): string {
  const text = formatInstant(Date.parse(iso), zone)
  return Date.parse(iso) - Date.parse(nowIso) > FAR_MS ? text.slice(0, 10) : text.slice(5)
}

/** `1 line`, `2,000 lines`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${shortCount(count)} ${count === 1 ? one : many}`
}

/** `9.3 kB`, `1.2 GB`. */
export function size(bytes: number): string {
  const [unit, factor] = bytes < 1e3 ? ['B', 1] : bytes < 1e6 ? ['kB', 1e3] : bytes < 1e9 ? ['MB', 1e6] : ['GB', 1e9]
  return `${Math.round((bytes / Number(factor)) * 10) / 10} ${unit}`
}

/** An object for programs. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

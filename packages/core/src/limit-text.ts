import { formatUsd } from './money.ts'
import type { MeterState, Unit } from './limit.ts'

/** `$12.34`, `1,500 requests`. */
export function formatQuantity(quantity: number, unit: Unit): string {
  return unit === 'usd' ? formatUsd(quantity) : `${quantity.toLocaleString('en-US')} ${unit}`
}

/** What a provider's reading says, by whom and how long ago: `anthropic-usage read 91% 12 min ago, $3.10 of it used beside the router`. Empty where there is none. */
export function readingText({ limit, reading }: MeterState, nowMs: number): string {
  if (reading === undefined) return ''
  const beside = reading.beside === 0 ? '' : `, ${formatQuantity(reading.beside, limit.unit)} of it used beside the router`
  return `${reading.source} read ${Math.round(reading.used * 100)}% ${ageText(nowMs - Date.parse(reading.at))} ago${beside}`
}

function ageText(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / 60_000))
  if (minutes < 120) return `${minutes} min`
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`
}

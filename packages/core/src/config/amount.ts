import type { Amount, Unit } from '../limit.ts'
import { MAX_NANO, NANO_PER_USD, usdToNano } from '../money.ts'
import { formatWindow, parseWindow } from '../window-text.ts'
import { meantAmount } from './meant-amount.ts'

/** Why a text is not an amount: what is wrong with it, the form that it should have, and, where one is near, the amount that was meant. */
export interface AmountProblem {
  readonly problem: string
  readonly expected: string
  readonly hint?: string
}

/** The form of an amount, for messages. */
export const AMOUNT_FORM = 'QUANTITY/WINDOW, like 20.00/month, 900k tokens/5h@first-use or 1500 requests/day'

const WINDOW_FORM = 'one of day, week, month, quarter, year, month@15, week@Mon 09:00, 5h@first-use, or rolling 5h, 7d'
const QUANTITY = /^(-?)(\d+(?:\.\d+)?)([kM]?)(?: +(\S.*))?$/
const FACTORS: Readonly<Record<string, number>> = { '': 1, k: 1_000, M: 1_000_000 }

/**
 * Reads `QUANTITY/WINDOW`: US dollars unless it says `tokens` or `requests`, which may be counted in thousands (`900k`) or millions (`45M`).
 * 0 is allowed: it switches off what it limits. The largest quantity is {@link MAX_NANO}, in the amount's own unit (nano-USD for money).
 */
export function parseAmount(value: unknown): Amount | AmountProblem {
  const read = readAmountText(value)
  const hint = 'problem' in read ? hintFor(value) : undefined
  return hint === undefined ? read : { ...read, hint }
}

function readAmountText(value: unknown): Amount | AmountProblem {
  if (typeof value !== 'string') return { problem: 'not an amount', expected: AMOUNT_FORM }
  const [quantityText = '', windowText, ...more] = value.split('/').map((part) => part.trim())
  if (windowText === undefined) return { problem: 'an amount without a window', expected: AMOUNT_FORM }
  if (more.length > 0) return { problem: 'more than one window', expected: `one window for each amount: ${AMOUNT_FORM}` }
  const quantity = parseQuantity(quantityText)
  if ('problem' in quantity) return quantity
  const window = parseWindow(windowText)
  if (window === undefined) return { problem: `an unknown window \`${windowText}\``, expected: WINDOW_FORM }
  return { ...quantity, window }
}

/** The inverse of {@link parseAmount}: `parseAmount(formatAmount(amount))` equals `amount`. */
export function formatAmount(amount: Amount): string {
  return `${formatQuantity(amount.quantity, amount.unit)}/${formatWindow(amount.window)}`
}

function formatQuantity(quantity: number, unit: Unit): string {
  if (unit === 'usd') {
    const decimals = String(quantity % NANO_PER_USD)
      .padStart(9, '0')
      .replace(/0{1,7}$/, '')
    return `${Math.floor(quantity / NANO_PER_USD)}.${decimals}`
  }
  if (quantity > 0 && quantity % 1_000_000 === 0) return `${quantity / 1_000_000}M ${unit}`
  if (quantity > 0 && quantity % 1_000 === 0) return `${quantity / 1_000}k ${unit}`
  return `${quantity} ${unit}`
}

function parseQuantity(text: string): Pick<Amount, 'quantity' | 'unit'> | AmountProblem {
  const match = QUANTITY.exec(text)
  if (match === null) return quantityProblem(text)
  const [, sign, digits = '', suffix = '', unitText] = match
  if (sign === '-') return { problem: 'a negative quantity', expected: `0 or more: ${AMOUNT_FORM}` }
  if (unitText !== undefined && unitText !== 'tokens' && unitText !== 'requests')
    return { problem: `an unknown unit \`${unitText}\``, expected: 'US dollars, written without a unit, or `tokens` or `requests`' }
  const unit: Unit = unitText ?? 'usd'
  if (unit === 'usd' && suffix !== '')
    return { problem: `a dollar amount in \`${suffix}\``, expected: 'dollars written out, like 2000.00/month; only tokens and requests take k and M' }
  const quantity = unit === 'usd' ? usdToNano(digits) : counted(digits, suffix)
  if (quantity === undefined) {
    return unit === 'usd'
      ? { problem: 'a dollar amount too fine or too large', expected: 'at most 9 decimals and at most 4,500,000.00' }
      : { problem: `a quantity of ${unit} that is not whole or too large`, expected: `a whole number of ${unit}, at most ${MAX_NANO}` }
  }
  return { quantity, unit }
}

/** `1.5` and `M` are 1,500,000: exact, by moving the decimal point instead of multiplying a fraction. */
function counted(digits: string, suffix: string): number | undefined {
  const [whole = '', decimals = ''] = digits.split('.')
  const places = suffix === 'M' ? 6 : suffix === 'k' ? 3 : 0
  const significant = decimals.replace(/0+$/, '')
  if (significant.length > places) return undefined
  const quantity = Number(whole) * (FACTORS[suffix] ?? 1) + Number(significant.padEnd(places, '0'))
  return quantity <= MAX_NANO ? quantity : undefined
}

function quantityProblem(text: string): AmountProblem {
  if (text === '') return { problem: 'an amount without a quantity', expected: AMOUNT_FORM }
  if (/^\d+,\d+/.test(text)) return { problem: 'a comma in the quantity', expected: 'a decimal point, and no separator between thousands' }
  if (/^[$€£]|[$€£]$/.test(text)) return { problem: 'a currency sign', expected: 'US dollars without a sign' }
  if (/^\d+(\.\d+)? *(m|K)\b/.test(text)) return { problem: 'an unknown suffix', expected: 'k for thousands or M for millions' }
  return { problem: 'a quantity that is not a number', expected: AMOUNT_FORM }
}

/** The amount that was meant, with the user's own number. */
function hintFor(value: unknown): string | undefined {
  const meant = typeof value === 'string' || typeof value === 'number' ? meantAmount(String(value)) : undefined
  const texts = meant?.texts.filter((text) => !('problem' in readAmountText(text))) ?? []
  if (texts.length === 0) return undefined
  if (meant?.lacks === 'window') return `say for how long, like ${texts.join(', or, for US dollars, ')}`
  return meant?.lacks === 'dollars' ? `write what it is in US dollars, like ${texts[0]}` : `write ${texts.join(', or, for US dollars, ')}`
}

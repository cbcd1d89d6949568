import { nearest } from '../nearest.ts'

/** What somebody probably meant by a text that is no amount. */
export interface MeantAmount {
  /** The amount in its right form; two where dollars or tokens may be meant. */
  readonly texts: readonly string[]
  /** What the text did not say, so that the amount is no more than an example. */
  readonly lacks?: 'window' | 'dollars'
}

const MAX_LENGTH = 100
const DOLLARS = /^(?:us)?\$?$|^(?:usd|us dollars?|dollars?)$/
const FOREIGN = /[€£¥]|^(?:eur|euros?|gbp|pounds?|chf|jpy|cny|rmb|yuan)$/
const UNITS: ReadonlyMap<string, string> = new Map([
  ...['tok', 'toks', 'token', 'tokens', 'tks'].map((word) => [word, 'tokens'] as const),
  ...['req', 'reqs', 'request', 'requests', 'call', 'calls'].map((word) => [word, 'requests'] as const),
])
const WINDOWS: ReadonlyMap<string, string> = new Map([
  ...['day', 'days', 'daily', 'd'].map((word) => [word, 'day'] as const),
  ...['week', 'weeks', 'weekly', 'wk', 'w'].map((word) => [word, 'week'] as const),
  ...['month', 'months', 'monthly', 'mo', 'mon', 'mth'].map((word) => [word, 'month'] as const),
  ...['quarter', 'quarters', 'quarterly', 'qtr', 'q'].map((word) => [word, 'quarter'] as const),
  ...['year', 'years', 'yearly', 'annually', 'annum', 'yr', 'y'].map((word) => [word, 'year'] as const),
  ...['hour', 'hours', 'hourly', 'hr', 'h'].map((word) => [word, '1h'] as const),
])
const SPAN = /^(\d+) *(minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|wks?|w)( *@ *first[- ]?use)?$/

/** Reads an amount as people write it elsewhere: `$5.00`, `50 USD`, `10/hour`, `5.00 per month`, `900K tokens/day`. Undefined where it cannot be made out. */
export function meantAmount(text: string): MeantAmount | undefined {
  // Nobody means an amount by a long text, and some take long to search.
  if (text.length > MAX_LENGTH) return undefined
  const [, before = '', digits = '', rest = ''] = /^([^\d-]*?) *(\d(?:[\d.,_ ]*\d)?) *(.*)$/s.exec(text.trim()) ?? []
  const number = plainNumber(digits)
  const [, suffix = '', after = ''] = /^([kKmM]?)(?![A-Za-z])(.*)$/s.exec(rest) ?? ['', '', rest]
  const { unit, window } = partsOf(after.trim())
  const words = [before, unit].map((word) => word.trim().toLowerCase()).filter((word) => word !== '')
  const span = window === undefined ? 'month' : meantWindow(window)
  if (number === undefined || span === undefined) return undefined
  const lacks = window === undefined ? { lacks: 'window' as const } : {}
  const factor = suffix === 'K' ? 'k' : suffix === 'm' ? 'M' : suffix
  const dollars = dollarsOf(number, factor)
  if (words.some((word) => FOREIGN.test(word))) return words.length > 1 ? undefined : { texts: [`${dollars}/${span}`], lacks: 'dollars' }
  if (words.length === 0 && factor !== '') return { texts: [`${number}${factor} tokens/${span}`, `${dollars}/${span}`], ...lacks }
  if (words.every((word) => DOLLARS.test(word))) return { texts: [`${dollars}/${span}`], ...lacks }
  const [word = ''] = words
  const counted = UNITS.get(word) ?? nearest(word, ['tokens', 'requests'])
  return counted === undefined || words.length > 1 ? undefined : { texts: [`${number}${factor} ${counted}/${span}`], ...lacks }
}

/** The number in a text such as `$5.00`, `50 USD` or, for `daily_limit_usd`, `5.00/day`, where the key says already that it is in US dollars, and for how long. */
export function meantDollars(text: string, key: string): string | undefined {
  if (text.length > MAX_LENGTH) return undefined
  const [, digits, window] = /^(?:us)?\$? *(\d(?:[\d.,_ ]*\d)?) *(?:\$|usd|(?:us )?dollars?)?(?: *(?:\/|per ) *(\w+))?$/i.exec(text) ?? []
  const fits = window === undefined || (key === 'daily_limit_usd' ? 'day' : 'month') === meantWindow(window)
  return digits === undefined || !fits ? undefined : plainNumber(digits)
}

/** A number without separators between thousands, with a decimal point. In `1,000` the comma separates thousands, in `5,00` and `1.000,50` it is a decimal comma. */
function plainNumber(text: string): string | undefined {
  const digits = text.replace(/[_ ]/g, '')
  if (/^\d+(\.\d+)?$/.test(digits)) return digits
  if (/^\d{1,3}(,\d{3})+(\.\d+)?$/.test(digits)) return digits.replaceAll(',', '')
  if (/^\d{1,3}(\.\d{3})+,\d+$/.test(digits)) return digits.replaceAll('.', '').replace(',', '.')
  return /^\d+,\d+$/.test(digits) ? digits.replace(',', '.') : undefined
}

/** What stands behind the number: a unit, and after `/`, `per` or `a`, or as the last word, a window. */
function partsOf(after: string): { readonly unit: string; readonly window: string | undefined } {
  const [, unit, window] = /^(.*?)(?:\/|\b(?:per|each|every|an?) )(.*)$/s.exec(after) ?? []
  if (unit !== undefined && window !== undefined) return { unit, window: window.trim() }
  const last = /(?:^| )(\w+ly)$/.exec(after)
  return last === null ? { unit: after, window: undefined } : { unit: after.slice(0, last.index), window: last[1] }
}

function meantWindow(text: string): string | undefined {
  const window = text.toLowerCase().replace(/^(?:per|each|every|an?) /, '')
  const named = WINDOWS.get(window)
  if (named !== undefined) return named
  const [, count = '', unit = '', use] = SPAN.exec(window) ?? []
  if (unit !== '')
    return `${unit.startsWith('w') ? 7 * Number(count) : count}${unit.startsWith('w') ? 'd' : unit.charAt(0)}${use === undefined ? '' : '@first-use'}`
  const [, weekday = '', time = ''] = /^week *@ *(mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?(?:,? *(?:at )?(\d{1,2}:\d\d))?$/.exec(window) ?? []
  if (weekday !== '') return `week@${weekday.charAt(0).toUpperCase()}${weekday.slice(1)}${time === '' ? '' : ` ${time}`}`
  const day = /^month *@ *(\d{1,2})(?:st|nd|rd|th)?$/.exec(window)?.[1]
  if (day !== undefined) return `month@${day}`
  return /^[a-z]+$/.test(window) ? nearest(window, ['day', 'week', 'month', 'quarter', 'year']) : text
}

/** A number of dollars, written out. */
function dollarsOf(number: string, factor: string): string {
  const [whole = '', decimals = ''] = number.split('.')
  const places = factor === 'M' ? 6 : factor === 'k' ? 3 : 0
  const digits = decimals.padEnd(places, '0')
  return `${BigInt(whole + digits.slice(0, places))}.${digits.slice(places).padEnd(2, '0')}`
}

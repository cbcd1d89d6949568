import type { Limit } from '../limit.ts'
import type { Policy } from '../policy/policy.ts'
import { formatAmount } from './amount.ts'
import { oneLine } from './issues.ts'

/** A limit that a new policy adds, drops or alters. */
interface LimitChange {
  readonly name: string
  readonly before: Limit | undefined
  readonly after: Limit | undefined
}

/** Of rules and of prices, so many changes are told one by one. */
const MAX_TOLD = 5

/** What is different in a new policy, in words: each limit (`claude.month: 20.00/month → 15.00/month`), rule and price, and the other sections by name. */
export function policyChanges(before: Policy, after: Policy): readonly string[] {
  const limits = limitChanges(before, after).filter(
    ({ before: old, after: now }) => old === undefined || now === undefined || !isSame(old, { ...now, hard: old.hard }),
  )
  return [
    ...limits.map(formatChange),
    ...valueChange('hard_stop', before.hardStop, after.hardStop),
    ...valueChange('warning_threshold', before.warningThreshold, after.warningThreshold),
    ...valueChange('timezone', before.timezone, after.timezone),
    ...valueChange('max_output_tokens', before.maxOutputTokens, after.maxOutputTokens),
    ...namedChanges('rule', rulesByName(before), rulesByName(after)),
    ...namedChanges('price of', before.prices, after.prices),
    ...sectionChange('backends', withoutQuotas(before), withoutQuotas(after)),
    ...sectionChange('floors', before.floors, after.floors),
    ...sectionChange('preferences', before.preferences, after.preferences),
  ]
}

function sectionChange(section: string, before: unknown, after: unknown): readonly string[] {
  return plain(before) === plain(after) ? [] : [`${section} changed`]
}

/** Without their lines: a rule that has moved is the same. */
function rulesByName({ rules }: Policy): ReadonlyMap<string, unknown> {
  return new Map(rules.map(({ line: _line, ...rule }) => [rule.name, rule]))
}

/** Which limit is a backend's quota follows from the limits, which are told by themselves. */
function withoutQuotas({ backends }: Policy): unknown {
  return backends.map(({ quota: _quota, ...backend }) => backend)
}

function valueChange(key: string, before: unknown, after: unknown): readonly string[] {
  return before === after ? [] : [`${key}: ${String(before)} → ${String(after)}`]
}

function namedChanges(what: string, before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): readonly string[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].filter((name) => plain(before.get(name)) !== plain(after.get(name)))
  const told = names.slice(0, MAX_TOLD).map((name) => `${what} \`${oneLine(name)}\` ${!after.has(name) ? 'dropped' : before.has(name) ? 'changed' : 'added'}`)
  return names.length <= MAX_TOLD ? told : [...told, `${names.length - MAX_TOLD} more of them`]
}

/** A value as text that is equal where the values are. */
function plain(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (part instanceof Map ? [...part] : part)) ?? ''
}

/** What becomes of the limits from one policy to the next: altered and dropped ones first, then new ones. */
function limitChanges(before: Policy, after: Policy): readonly LimitChange[] {
  const oldLimits = new Map(before.limits.map((limit) => [limit.name, limit]))
  const newLimits = new Map(after.limits.map((limit) => [limit.name, limit]))
  const names = new Set([...oldLimits.keys(), ...newLimits.keys()])
  return [...names].map((name) => ({ name, before: oldLimits.get(name), after: newLimits.get(name) })).filter((change) => !isSame(change.before, change.after))
}

function formatChange({ name, before, after }: LimitChange): string {
  const hasMoved = before !== undefined && after !== undefined && scopeKey(before) !== scopeKey(after)
  return `${name}: ${formatIfAny(before)} → ${formatIfAny(after)}${hasMoved ? ' of other calls' : ''}`
}

function formatIfAny(limit: Limit | undefined): string {
  return limit === undefined ? 'none' : formatAmount(limit)
}

/** Whether a new policy could be a file that is only half-written: `cut` short of what is in force, or still `growing` beyond it. */
export type Doubt = 'none' | 'growing' | 'cut'

/**
 * What a new policy could be, whatever was edited before the place where a save has got to.
 *
 * A cut within a line leaves no line break at the end (`50.00` cut to `5`). One between two lines leaves out entries of the policy in force, or ends in
 * the midst of what has been added or moved. So a file that counts at once has a whole last line, or that of the old text, and every entry of the old one,
 * and ends with the same entry, whatever that now says. What the old text begins with, and a drastic change of a limit, is in doubt as well.
 */
export function doubtOf(before: Policy, after: Policy): Doubt {
  if (before.text === after.text) return 'none'
  const isCut = before.text.startsWith(after.text) || lacksSomething(before, after) || limitChanges(before, after).some(isDrastic)
  if (isCut) return 'cut'
  return before.outline?.end === after.outline?.end ? 'none' : 'growing'
}

function lacksSomething({ text: oldText, outline: old }: Policy, { text, outline }: Policy): boolean {
  if (old === undefined || outline === undefined) return false
  const isLastLineWhole = outline.isLastLineWhole || lastLineOf(text) === lastLineOf(oldText)
  return !isLastLineWhole || [...old.entries].some((entry) => !outline.entries.has(entry))
}

function lastLineOf(text: string): string {
  return text.slice(text.lastIndexOf('\n') + 1)
}

function isDrastic({ before, after }: LimitChange): boolean {
  if (before === undefined) return false
  if (after === undefined || !isSame({ ...before, quantity: after.quantity }, after)) return true
  return Math.abs(after.quantity - before.quantity) > before.quantity / 2
}

function isSame(a: Limit | undefined, b: Limit | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && formatAmount(a) === formatAmount(b) && a.hard === b.hard && scopeKey(a) === scopeKey(b))
}

function scopeKey({ scope }: Limit): string {
  return JSON.stringify([scope.backend, scope.model, scope.taskType])
}

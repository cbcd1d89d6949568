import type { Limit, Scope } from '../limit.ts'
import { formatUsd } from '../money.ts'
import type { Rule } from '../policy/policy.ts'
import type { PriceOverride } from '../pricing/price-book.ts'
import type { Window } from '../windows.ts'
import { formatAmount } from './amount.ts'
import type { DeclaredBackend } from './backends.ts'
import { oneLine } from './issues.ts'
import type { DeclaredLimit } from './limits.ts'
import { nearest } from './nearest.ts'
import type { Tree } from './tree.ts'
import { factsInTheWay } from './unmatchable.ts'

/**
 * Below this multiple of the even pace, a daily limit keeps a month's quota from being used up:
 * even with perfect foresight, 2 times lets 84 % to 97 % of it be reached, 5 times 99 %.
 */
const LEAST_DAILY_PACE = 5
const DAYS_PER_MONTH = 30
const NANO_PER_CENT = 10_000_000

/** Adds advice on what a policy may say but hardly means. */
export function adviseOn(
  tree: Tree,
  backends: readonly DeclaredBackend[],
  declared: readonly DeclaredLimit[],
  prices: ReadonlyMap<string, PriceOverride>,
  rules: readonly Rule[],
): void {
  const limits = declared.map(({ limit }) => limit)
  for (const each of declared) {
    adviseOnReach(tree, each, limits)
    adviseOnDailyPace(tree, each, limits)
  }
  adviseOnLocal(tree, backends, declared)
  adviseOnUncovered(tree, backends, limits)
  adviseOnPrices(tree, backends, prices)
  adviseOnRules(tree, rules, backends, prices)
}

/** A limit that another one, at least as wide and as long, always reaches first. */
function adviseOnReach(tree: Tree, { limit, path }: DeclaredLimit, limits: readonly Limit[]): void {
  const isStronger = (other: Limit) =>
    other.unit === limit.unit && other.quantity < limit.quantity && isWithin(limit.window, other.window) && isPartOf(limit.scope, other.scope)
  const stronger = limits.find(isStronger)
  if (stronger === undefined) return
  tree.advise(path, {
    message: `The limit \`${limit.name}\` can never bind: \`${stronger.name}\` is reached first`,
    found: formatAmount(limit),
    expected: `at most ${formatAmount(stronger)}, the amount of \`${stronger.name}\``,
  })
}

function adviseOnDailyPace(tree: Tree, { limit, path }: DeclaredLimit, limits: readonly Limit[]): void {
  if (limit.window.kind !== 'day' || limit.unit !== 'usd') return
  const month = limits.find(
    (other) => other.window.kind === 'month' && other.unit === 'usd' && isPartOf(limit.scope, other.scope) && isPartOf(other.scope, limit.scope),
  )
  if (month === undefined || limit.quantity * DAYS_PER_MONTH >= LEAST_DAILY_PACE * month.quantity) return
  const leastCents = Math.ceil((LEAST_DAILY_PACE * month.quantity) / DAYS_PER_MONTH / NANO_PER_CENT)
  const multiple = (limit.quantity * DAYS_PER_MONTH) / month.quantity
  tree.advise(path, {
    message: `The daily limit \`${limit.name}\` may keep \`${month.name}\` from being used up`,
    found: `${formatAmount(limit)}, ${multiple.toFixed(1)} times the even pace of ${formatAmount(month)}`,
    expected: `at least ${LEAST_DAILY_PACE} times the even pace, ${formatUsd(leastCents * NANO_PER_CENT)} a day`,
    hint: 'work comes in bursts: what a tight day refuses is rarely made up for before the month ends',
  })
}

function adviseOnLocal(tree: Tree, backends: readonly DeclaredBackend[], declared: readonly DeclaredLimit[]): void {
  const local = new Set(backends.filter(({ kind }) => kind === 'local').map(({ name }) => name))
  for (const { limit, path } of declared) {
    if (limit.unit !== 'usd' || limit.scope.backend === undefined || !local.has(limit.scope.backend)) continue
    tree.advise(path, {
      message: `The limit \`${limit.name}\` can never bind: local calls cost nothing`,
      found: formatAmount(limit),
      expected: 'tokens or requests for a local backend',
    })
  }
}

function adviseOnUncovered(tree: Tree, backends: readonly DeclaredBackend[], limits: readonly Limit[]): void {
  const isCovered = (backend: string) => limits.some(({ scope }) => isPartOf({ backend }, scope))
  const open = backends.filter(({ kind, name }) => kind === 'cloud' && !isCovered(name)).map(({ name }) => name)
  if (open.length === 0) return
  tree.advise([], {
    message: `Nothing limits the calls of ${open.join(', ')} as a whole`,
    found: 'no limit that covers all its calls',
    expected: 'an amount under `budgets:`, or a quota or limit of the backend',
  })
}

function adviseOnPrices(tree: Tree, backends: readonly DeclaredBackend[], prices: ReadonlyMap<string, PriceOverride>): void {
  const models = backends.flatMap((backend) => backend.models)
  for (const model of prices.keys()) {
    const meant = models.includes(model) ? undefined : nearest(model, models)
    if (meant === undefined || prices.has(meant)) continue
    tree.advise(['prices', model], {
      message: `No backend lists the model \`${model}\``,
      found: model,
      expected: 'the name of a model as its backend lists it',
      hint: `did you mean \`${meant}\`?`,
      at: 'key',
    })
  }
}

function adviseOnRules(tree: Tree, rules: readonly Rule[], backends: readonly DeclaredBackend[], prices: ReadonlyMap<string, PriceOverride>): void {
  const priced = new Set(prices.keys())
  for (const [index, { name, conditions }] of rules.entries()) {
    const facts = factsInTheWay(conditions, backends, priced)
    if (facts === undefined) continue
    tree.advise(['rules', index, 'conditions'], {
      message: `No request can match the rule \`${oneLine(name)}\``,
      found: `conditions that no ${facts.join(' and ')} can meet`,
      expected: 'conditions that some request can meet at some time',
      hint: 'all parts of an `all` must be true at once; `any` is content with one of them',
      at: 'key',
    })
  }
}

/** Whether every cloud call that `narrow` covers is covered by `wide` too. */
function isPartOf(narrow: Scope, wide: Scope): boolean {
  return (['backend', 'model', 'taskType'] as const).every((key) => wide[key] === undefined || wide[key] === narrow[key])
}

/** Whether each span of `short` lies within one span of `long`, for certain. */
function isWithin(short: Window, long: Window): boolean {
  if (short.kind === long.kind) return JSON.stringify(short) === JSON.stringify(long)
  switch (long.kind) {
    case 'week':
      return short.kind === 'day' && long.minute === 0
    case 'month':
      return short.kind === 'day'
    case 'quarter':
      return short.kind === 'day' || (short.kind === 'month' && short.day === 1)
    case 'year':
      return short.kind === 'day' || short.kind === 'quarter' || (short.kind === 'month' && short.day === 1)
    default:
      return false
  }
}

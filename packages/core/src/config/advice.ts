import type { Limit, Scope } from '../limit.ts'
import { formatUsd } from '../money.ts'
import type { Condition, Leaf, Rule } from '../policy/policy.ts'
import type { PriceOverride } from '../pricing/price-book.ts'
import type { Window } from '../windows.ts'
import { formatAmount } from './amount.ts'
import type { DeclaredBackend } from './backends.ts'
import { oneLine } from './issues.ts'
import type { DeclaredLimit } from './limits.ts'
import { nearest } from '../nearest.ts'
import { MAX_ISSUES, type Path, type Tree } from './tree.ts'
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
  const byBackend = Map.groupBy(limits, ({ scope }) => scope.backend)
  for (const each of declared) {
    const { backend } = each.limit.scope
    const own = byBackend.get(backend) ?? []
    adviseOnNothing(tree, each)
    adviseOnReach(tree, each, backend === undefined ? own : [...(byBackend.get(undefined) ?? []), ...own])
    adviseOnDailyPace(tree, each, own)
  }
  if (limits.some(({ hard }) => !hard)) adviseOnSoftStop(tree)
  adviseOnLocal(tree, backends, declared)
  adviseOnUncovered(tree, backends, limits)
  adviseOnPrices(tree, backends, prices)
  adviseOnFree(tree, backends, prices)
  adviseOnRules(tree, rules, backends, prices)
}

/** A limit of 0 switches off what it limits; one over everything, all cloud calls. */
function adviseOnNothing(tree: Tree, { limit, path }: DeclaredLimit): void {
  if (limit.quantity > 0 || !limit.hard || Object.keys(limit.scope).length > 0) return
  tree.advise(path, {
    message: `The limit \`${limit.name}\` is nothing: every cloud call will be refused`,
    found: formatAmount(limit),
    expected: 'more than 0, or no such limit',
  })
}

function adviseOnSoftStop(tree: Tree): void {
  tree.advise(['budgets', 'hard_stop'], {
    message: 'Limits refuse nothing while `hard_stop` is false: they only warn, and spending goes on',
    expected: 'true, unless that is what you want',
  })
}

/** A limit that another one, at least as wide and as long, always reaches first. */
function adviseOnReach(tree: Tree, { limit, path }: DeclaredLimit, limits: readonly Limit[]): void {
  const isStronger = (other: Limit) =>
    other.unit === limit.unit && other.quantity < limit.quantity && isPartOf(limit.scope, other.scope) && isWithin(limit.window, other.window)
  const stronger = limits.find(isStronger)
  if (stronger === undefined) return
  tree.advise(path, {
    message: `The limit \`${limit.name}\` can never bind: \`${stronger.name}\` is reached first`,
    found: formatAmount(limit),
    expected: `at most ${formatAmount(stronger)}, the amount of \`${stronger.name}\``,
  })
}

function adviseOnDailyPace(tree: Tree, { limit, path }: DeclaredLimit, limits: readonly Limit[]): void {
  if (limit.window.kind !== 'day' || limit.unit !== 'usd' || limit.quantity === 0) return
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
  const covered = new Set(limits.flatMap(({ scope: { backend, model, taskType } }) => (model === undefined && taskType === undefined ? [backend] : [])))
  const open = covered.has(undefined) ? [] : backends.filter(({ kind, name }) => kind === 'cloud' && !covered.has(name)).map(({ name }) => name)
  if (open.length === 0) return
  tree.advise([], {
    message: `Nothing limits the calls of ${open.join(', ')} as a whole`,
    found: 'no limit that covers all its calls',
    expected: 'an amount under `budgets:`, or a quota or limit of the backend',
  })
}

function adviseOnPrices(tree: Tree, backends: readonly DeclaredBackend[], prices: ReadonlyMap<string, PriceOverride>): void {
  const models = new Set(backends.flatMap((backend) => backend.models))
  const unlisted = [...prices.keys()].filter((model) => !models.has(model)).slice(0, MAX_ISSUES)
  for (const model of unlisted) {
    const meant = nearest(model, [...models])
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

/** What is free counts in no limit in US dollars, and draws all work to itself. */
function adviseOnFree(tree: Tree, backends: readonly DeclaredBackend[], prices: ReadonlyMap<string, PriceOverride>): void {
  for (const [model, price] of prices) {
    const serving = backends.find(({ kind, models }) => kind === 'cloud' && models.includes(model))
    if (serving === undefined || (price !== 'free' && (price.inputMtok > 0 || price.outputMtok > 0))) continue
    tree.advise(['prices', model], {
      message: `The model \`${oneLine(model)}\` of the cloud backend \`${serving.name}\` is free: no limit in US dollars counts its calls`,
      found: price === 'free' ? 'free' : 'a price of 0',
      expected: 'what it costs, unless it is free indeed',
    })
  }
}

function adviseOnRules(tree: Tree, rules: readonly Rule[], backends: readonly DeclaredBackend[], prices: ReadonlyMap<string, PriceOverride>): void {
  const priced = new Set(prices.keys())
  for (const [index, { name, conditions, event }] of rules.entries()) {
    const path: Path = ['rules', index, 'conditions']
    for (const [leaf, at] of leavesWithPaths(conditions, path)) adviseOnPercent(tree, at, leaf)
    if (event.type === 'forbid' && factsInTheWay({ not: conditions }, backends, priced) !== undefined)
      tree.advise(path, {
        message: `Every request matches the rule \`${oneLine(name)}\`, which forbids: nothing will be served`,
        found: 'conditions that are always met',
        expected: 'conditions that some request does not meet at some time',
        at: 'key',
      })
    const facts = factsInTheWay(conditions, backends, priced)
    if (facts === undefined) continue
    tree.advise(path, {
      message: `No request can match the rule \`${oneLine(name)}\``,
      found: `conditions that no ${facts.join(' and ')} can meet`,
      expected: 'conditions that some request can meet at some time',
      hint: 'all parts of an `all` must be true at once; `any` is content with one of them',
      at: 'key',
    })
  }
}

function leavesWithPaths(condition: Condition, path: Path): readonly (readonly [Leaf, Path])[] {
  if ('fact' in condition) return [[condition, path]]
  if ('not' in condition) return leavesWithPaths(condition.not, [...path, 'not'])
  const [key, list] = 'all' in condition ? ['all', condition.all] : ['any', condition.any]
  return list.flatMap((child, index) => leavesWithPaths(child, [...path, key, index]))
}

const SHARES = /\.(used|spent|remaining|utilization|elapsed)$/
/** From here on a share is a percentage by mistake: five times a limit is never meant. */
const LEAST_PERCENT = 5

function adviseOnPercent(tree: Tree, path: Path, { fact, value }: Leaf): void {
  if (typeof value !== 'number' || value < LEAST_PERCENT || !SHARES.test(fact)) return
  tree.advise([...path, 'value'], {
    message: `\`${fact}\` is a share, 1 for all of it, and is compared with ${value}`,
    expected: 'a number from 0 to 1',
    ...(value <= 100 && { hint: `did you mean ${value / 100}?` }),
  })
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

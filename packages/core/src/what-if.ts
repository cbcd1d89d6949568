import { freeOf, quantityOf, type MeterState, type Quantities, type Unit } from './limit.ts'
import { formatUsd } from './money.ts'
import { best, LEAST_OUTPUT, RANK, type Assessment, type Planner } from './policy/decide.ts'
import type { RuleExplanation } from './policy/rule-set.ts'
import { estimate } from './pricing/estimate.ts'
import type { CheckedRequest } from './request.ts'

/** One thing that would have to be different. */
export type Change =
  /** `more` of the limit's unit (nano-USD, tokens, requests) would have to be free. */
  | { readonly kind: 'room'; readonly limit: string; readonly unit: Unit; readonly more: number }
  /** The rule would have to be gone, or not match. */
  | { readonly kind: 'without-rule'; readonly rule: string; readonly line: number | undefined }
  | { readonly kind: 'price'; readonly model: string }
  /** The score would have to be higher by more than this. `instead`: rules of which it is enough that one did not match. */
  | { readonly kind: 'score'; readonly more: number; readonly instead: readonly string[] }
  /** No better kind of candidate could be left: a local one is taken when no cloud backend may take the call, or when the request names it. */
  | { readonly kind: 'last-resort' }

/** The smallest change found with which a candidate would have been taken. */
export interface WhatIf {
  readonly changes: readonly Change[]
  /** For people: `with $0.12 more free in claude.month`. */
  readonly text: string
}

/** One decision, and the means to take it again. */
export interface Judged {
  readonly request: CheckedRequest
  readonly planner: Planner
  readonly meters: readonly MeterState[]
  readonly assessments: readonly Assessment[]
  /** Judges the same request on other totals, candidates in the same order. */
  judge(meters: readonly MeterState[]): readonly Assessment[]
}

/**
 * What would have to be different for a candidate to be taken. Each step is tried on the planner itself.
 * @param index of the candidate among the assessments.
 * @param roomier what {@link withRoom} found for it.
 * @param rules what json-rules-engine said of it.
 * @param winnersRules what it said of the one that was taken.
 * @returns undefined for the one that was taken.
 */
export function whatIf(
  judged: Judged,
  index: number,
  roomier: Roomier | undefined,
  rules: readonly RuleExplanation[],
  winnersRules: readonly RuleExplanation[],
): WhatIf | undefined {
  const { assessments } = judged
  const candidate = assessments[index]
  if (candidate === undefined || candidate === best(assessments)) return undefined
  if (candidate.out === 'price-unknown') return told([{ kind: 'price', model: candidate.model }])
  const changes: Change[] = []
  let field = { assessments, candidate }
  if (candidate.out === 'no-room') {
    if (roomier === undefined) return undefined
    changes.push(...roomier.changes)
    field = roomier
  }
  if (field.candidate.out === 'forbidden') {
    changes.push(...rules.filter(({ rule, matched }) => matched && rule.event.type === 'forbid' && !isCeiling(rule, changes)).map(withoutRule))
    field = allowed(judged.request, judged.planner, field)
  }
  changes.push(...toWin(field, rules, winnersRules))
  return told(changes)
}

interface Field {
  readonly assessments: readonly Assessment[]
  readonly candidate: Assessment
}

/** A field in which a candidate has the room that it lacked. */
export type Roomier = Field & { readonly changes: readonly Change[] }

/** With room in every limit that lacks it: for the shortest answer that is of use, where that is enough, else for the whole. */
export function withRoom(judged: Judged, index: number): Roomier | undefined {
  const { request, planner, meters, assessments } = judged
  const candidate = assessments[index]
  if (candidate?.out !== 'no-room' || candidate.price === undefined) return undefined
  const { price } = candidate
  const asked = candidate.maxOutputTokens
  const least = Math.min(asked, Math.max(LEAST_OUTPUT, request.minOutputTokens))
  const covering = planner.limitsOf(candidate.backend, candidate.model, request.taskType)
  let found: Roomier | undefined
  for (const maxOutputTokens of new Set([least, asked])) {
    const wanted = estimate(price, { inputTokens: request.inputTokens, maxOutputTokens, n: request.n })
    const missing = missingIn(covering, meters, wanted)
    const tried = judged.judge(meters.map((meter, at) => withMore(meter, missing.get(at) ?? 0)))
    const now = tried[index]
    if (now === undefined || now.out === 'no-room') continue
    const changes = [...missing].flatMap(([at, more]) => roomIn(meters[at], more))
    found = { assessments: tried, candidate: now, changes }
    if (best(tried) === now) return found
  }
  return found
}

/** By limit: how much of its unit is missing. */
function missingIn(limits: readonly number[], meters: readonly MeterState[], wanted: Quantities): ReadonlyMap<number, number> {
  const missing = new Map<number, number>()
  for (const index of limits) {
    const meter = meters[index]
    if (meter === undefined || !meter.limit.hard) continue
    const more = quantityOf(meter.limit.unit, wanted) - freeOf(meter)
    if (more > 0) missing.set(index, more)
  }
  return missing
}

/** As if less were held: what is spent, which floors and warnings look at, stays. */
function withMore(meter: MeterState, more: number): MeterState {
  if (more === 0) return meter
  const { limit, settled, held, presumed, beside, reading, bounds } = meter
  return { limit, settled, held: held - more, presumed, beside, reading, bounds, roomAt: (quantity) => meter.roomAt(quantity) }
}

function roomIn(meter: MeterState | undefined, more: number): Change[] {
  return meter === undefined ? [] : [{ kind: 'room', limit: meter.limit.name, unit: meter.limit.unit, more }]
}

/** A limit's own rule goes with the room that the limit has. */
function isCeiling({ event }: RuleExplanation['rule'], changes: readonly Change[]): boolean {
  return changes.some((change) => change.kind === 'room' && change.limit === event.params.limit)
}

function withoutRule({ rule }: RuleExplanation): Change {
  return { kind: 'without-rule', rule: rule.name, line: rule.line }
}

/** As the candidate would stand if nothing forbade it. */
function allowed(request: CheckedRequest, { policy }: Planner, { assessments, candidate }: Field): Field {
  const isShort = candidate.maxOutputTokens < (request.maxOutputTokens ?? policy.maxOutputTokens)
  const isNamedLocal = candidate.backend.kind === 'local' && request.backend === candidate.backend.name
  const rank = candidate.backend.kind === 'local' && !isNamedLocal ? RANK.local : isShort ? RANK.shortened : RANK.whole
  const now: Assessment = { ...candidate, out: undefined, rank }
  return { assessments: assessments.map((one) => (one === candidate ? now : one)), candidate: now }
}

/** What a candidate that may take the call lacks to be the best. */
function toWin({ assessments, candidate }: Field, rules: readonly RuleExplanation[], winnersRules: readonly RuleExplanation[]): readonly Change[] {
  const winner = best(assessments)
  if (winner === undefined || winner === candidate) return []
  if (winner.rank < candidate.rank) return [{ kind: 'last-resort' }]
  const more = winner.score - candidate.score
  const moves = (matches: readonly RuleExplanation[], type: 'prefer' | 'avoid'): readonly string[] =>
    matches.filter(({ rule, matched }) => matched && rule.event.type === type && (rule.event.params.by ?? 0.2) > more).map(({ rule }) => rule.name)
  return [{ kind: 'score', more, instead: [...new Set([...moves(winnersRules, 'prefer'), ...moves(rules, 'avoid')])] }]
}

function told(changes: readonly Change[]): WhatIf {
  return { changes, text: changes.map(changeText).join(', and ') }
}

function changeText(change: Change): string {
  switch (change.kind) {
    case 'room':
      return `with ${change.unit === 'usd' ? formatUsd(change.more) : `${change.more} ${change.unit}`} more free in ${change.limit}`
    case 'without-rule':
      return `without rule "${change.rule}"${change.line === undefined ? '' : ` (line ${change.line})`}`
    case 'price':
      return `with a price for ${change.model} under \`prices:\``
    case 'score':
      // Of equal scores the one that stands first wins: what the request names.
      return `${change.more === 0 ? 'with any higher score, or where the request names it' : `with a score more than ${change.more.toFixed(2)} higher`}${change.instead.map((rule) => `, or without rule "${rule}"`).join('')}`
    case 'last-resort':
      return 'when no other backend may take the call, or when the request names it'
  }
}

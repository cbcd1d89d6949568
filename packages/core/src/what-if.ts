import { freeOf, quantityOf, type MeterState, type Quantities, type Unit } from './limit.ts'
import { formatUsd, NANO_PER_USD } from './money.ts'
import { best, createPlanner, isShortened, LEAST_OUTPUT, type Assessment, type Planner } from './policy/decide.ts'
import type { Rule } from './policy/policy.ts'
import { shiftOf } from './policy/rule-set.ts'
import { withoutRules } from './policy/without-rules.ts'
import { estimate } from './pricing/estimate.ts'
import { createPriceBook } from './pricing/price-book.ts'
import type { CheckedRequest } from './request.ts'

/** One thing that would have to be different. */
export type Change =
  /** `more` of the limit's unit (nano-USD, tokens, requests) would have to be free. Of money as much as is shown: rounded up to a cent, and below a dollar to three digits that count. */
  | { readonly kind: 'room'; readonly limit: string; readonly unit: Unit; readonly more: number }
  /** The rule would have to be gone, or not match. */
  | { readonly kind: 'without-rule'; readonly rule: string; readonly line: number | undefined }
  /** The model would have to have a price, and one for which there is room. */
  | { readonly kind: 'price'; readonly model: string }
  /** The score would have to be higher by more than this. */
  | { readonly kind: 'score'; readonly more: number }
  /** The request would have to name this backend and model. */
  | { readonly kind: 'named'; readonly backend: string; readonly model: string }
  /** No other backend could be left that may take the call. */
  | { readonly kind: 'last-resort' }

/** The smallest change found with which a candidate would have been taken. */
export interface WhatIf {
  /** Needed, all of them. */
  readonly changes: readonly Change[]
  /** One of these as well, whichever; empty where nothing more is needed. */
  readonly oneOf: readonly Change[]
  /** For people: `with $0.12 more free in claude.month`. */
  readonly text: string
}

/** What a decision is taken by. */
export interface Circumstances {
  readonly request: CheckedRequest
  readonly planner: Planner
  readonly meters: readonly MeterState[]
}

export type Judge = (circumstances: Circumstances) => readonly Assessment[]

/**
 * What would have to be different for a candidate to be taken. Nothing is said that has not been tried on the planner; pacing stays as it is.
 * @param name the candidate.
 * @returns undefined for the one that was taken, and where nothing was found.
 */
export function whatIf(actual: Circumstances, name: Candidate, judge: Judge): WhatIf | undefined {
  const trial = (circumstances: Circumstances): Trial => tried(circumstances, name, judge)
  const changes: Change[] = []
  let now = trial(actual)
  if (now.isTaken) return undefined
  // What no longer is forbidden may lack room for the whole answer.
  for (const step of [withPrice, withRoom, withRulesGone, withRoom]) {
    const next = now.isTaken || (step === withRoom && changes.some(({ kind }) => kind === 'room')) ? undefined : step(now, trial)
    if (next === undefined) continue
    changes.push(...next.changes)
    now = next.trial
  }
  if (now.isTaken) return told(changes, [])
  const oneOf = waysToWin(now, trial)
  return oneOf.length === 0 ? undefined : told(changes, oneOf)
}

/** A candidate by its names. */
interface Candidate {
  readonly backend: string
  readonly model: string
}

/** What the planner makes of a candidate under some circumstances. */
interface Trial {
  readonly circumstances: Circumstances
  readonly assessments: readonly Assessment[]
  /** Undefined where it is none: a request that names a local backend stays there. */
  readonly candidate: Assessment | undefined
  readonly isTaken: boolean
}

type Try = (circumstances: Circumstances) => Trial

function tried(circumstances: Circumstances, { backend, model }: Candidate, judge: Judge): Trial {
  const assessments = judge(circumstances)
  const candidate = assessments.find((one) => one.backend.name === backend && one.model === model)
  return { circumstances, assessments, candidate, isTaken: candidate !== undefined && candidate === best(assessments) }
}

/** A change that helps, and what the planner makes of it; undefined where it would not. */
type Step = (now: Trial, trial: Try) => { readonly changes: readonly Change[]; readonly trial: Trial } | undefined

/** With a price that is sure to leave room. */
const withPrice: Step = ({ circumstances, candidate }, trial) => {
  if (candidate?.out !== 'price-unknown') return undefined
  const { model } = candidate
  const { policy, rules } = circumstances.planner
  const priced = { ...policy, prices: new Map([...policy.prices, [model, 'free' as const]]) }
  const planner = createPlanner(priced, rules, createPriceBook(priced.prices))
  return { changes: [{ kind: 'price', model }], trial: trial({ ...circumstances, planner }) }
}

const withRulesGone: Step = ({ circumstances, candidate }, trial) => {
  if (candidate?.out !== 'forbidden') return undefined
  const rules = rulesOf(circumstances.planner, candidate).filter(({ event }) => event.type === 'forbid')
  return { changes: rules.map(withoutRule), trial: trial(without(rules, circumstances)) }
}

/** With room in every limit that lacks it: for the shortest answer that is of use, where that is enough, else for the whole. */
const withRoom: Step = ({ circumstances, candidate }, trial) => {
  if (candidate?.price === undefined || !(candidate.out === 'no-room' || isShortened(candidate))) return undefined
  const { request, planner, meters } = circumstances
  const asked = request.maxOutputTokens ?? planner.policy.maxOutputTokens
  const least = Math.min(asked, Math.max(LEAST_OUTPUT, request.minOutputTokens))
  const covering = planner.limitsOf(candidate.backend, candidate.model, request.taskType)
  let found
  for (const maxOutputTokens of new Set([least, asked])) {
    const missing = missingIn(covering, meters, estimate(candidate.price, { inputTokens: request.inputTokens, maxOutputTokens, n: request.n }))
    const roomier = trial({ ...circumstances, meters: meters.map((meter, at) => withMore(meter, missing.get(at) ?? 0)) })
    if (roomier.candidate === undefined || roomier.candidate.out === 'no-room') continue
    found = { changes: [...missing].flatMap(([at, more]) => roomIn(meters[at], more)), trial: roomier }
    if (roomier.isTaken) return found
  }
  // Room for the whole answer is not worth a word where something else decides.
  return candidate.out === 'no-room' ? found : undefined
}

/** By limit: how much of its unit is missing, as it is shown. */
function missingIn(limits: readonly number[], meters: readonly MeterState[], wanted: Quantities): ReadonlyMap<number, number> {
  const missing = new Map<number, number>()
  for (const index of limits) {
    const meter = meters[index]
    if (meter === undefined || !meter.limit.hard) continue
    const { unit } = meter.limit
    const more = quantityOf(unit, wanted) - freeOf(meter)
    if (more > 0) missing.set(index, unit === 'usd' ? shownUp(more) : more)
  }
  return missing
}

const NANO_PER_CENT = NANO_PER_USD / 100
const DIGITS = 3

/** Rounded up to what people can read, so that what they read is enough. */
function shownUp(nano: number): number {
  const step = nano >= NANO_PER_USD ? NANO_PER_CENT : 10 ** Math.max(0, String(nano).length - DIGITS)
  return Math.ceil(nano / step) * step
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

/** What a candidate that may take the call lacks to be the best: each of these is enough. */
function waysToWin({ circumstances, assessments, candidate }: Trial, trial: Try): readonly Change[] {
  const winner = best(assessments)
  if (candidate === undefined || winner === undefined || candidate.out !== undefined) return []
  const { request, planner } = circumstances
  const ways: Change[] = []
  if (winner.rank === candidate.rank) ways.push({ kind: 'score', more: winner.score - candidate.score })
  else if (best(assessments.filter(({ backend }) => backend === candidate.backend)) === candidate) ways.push({ kind: 'last-resort' })
  const movers = [
    ...rulesOf(planner, winner).filter(({ event }) => event.type === 'prefer'),
    ...rulesOf(planner, candidate).filter(({ event }) => event.type === 'avoid'),
  ]
  for (const rule of new Set(movers)) {
    if (shiftOf(rule) !== 0 && trial(without([rule], circumstances)).isTaken) ways.push(withoutRule(rule))
  }
  const backend = candidate.backend.name
  const { model } = candidate
  if (trial({ ...circumstances, request: { ...request, backend, model } }).isTaken) ways.push({ kind: 'named', backend, model })
  return ways
}

/** Rules that had a part in a candidate's assessment. */
function rulesOf({ rules }: Planner, { rules: matched, backend }: Assessment): readonly Rule[] {
  return [...rules.moving(backend), ...matched.flatMap((index) => rules.rules[index] ?? [])]
}

function without(gone: readonly Rule[], circumstances: Circumstances): Circumstances {
  const { policy, rules } = circumstances.planner
  return { ...circumstances, planner: createPlanner(policy, withoutRules(rules, new Set(gone)), createPriceBook(policy.prices)) }
}

function withoutRule({ name, line }: Rule): Change {
  return { kind: 'without-rule', rule: name, line }
}

function told(changes: readonly Change[], oneOf: readonly Change[]): WhatIf {
  const ways = oneOf.map(changeText).join(', or ')
  const all = [...changes.map(changeText), ...(oneOf.length === 0 ? [] : [changes.length > 0 && oneOf.length > 1 ? `either ${ways}` : ways])]
  return { changes, oneOf, text: all.join(', and ') }
}

function changeText(change: Change): string {
  switch (change.kind) {
    case 'room':
      return `with ${change.unit === 'usd' ? shownUsd(change.more) : `${change.more} ${change.unit}`} more free in ${change.limit}`
    case 'without-rule':
      return `without rule "${change.rule}"${change.line === undefined ? '' : ` (line ${change.line})`}`
    case 'price':
      return `with a price for ${change.model} under \`prices:\` that its limits have room for`
    case 'score':
      return change.more === 0 ? 'with any higher score' : `with a score more than ${(Math.ceil(change.more * 100 - 1e-9) / 100).toFixed(2)} higher`
    case 'named':
      return `where the request names ${change.backend}/${change.model}`
    case 'last-resort':
      return 'when no other backend may take the call'
  }
}

/** All of its digits that count: `$0.0139`. */
function shownUsd(nano: number): string {
  return formatUsd(nano, 9).replace(/(\.\d\d\d*?)0+$/, '$1')
}

import type { CandidateRecord, OutReason } from '../decision.ts'
import { MancipleError } from '../errors.ts'
import { covers, freeOf, quantityOf, type MeterState, type Quantities } from '../limit.ts'
import { nearest } from '../nearest.ts'
import { estimate } from '../pricing/estimate.ts'
import { isPriced, type KnownPrice, type PriceBook } from '../pricing/price-book.ts'
import type { CheckedRequest } from '../request.ts'
import type { PacedScores } from './paced-scores.ts'
import type { Backend, Policy } from './policy.ts'
import type { RuleOutcome, RuleSet } from './rule-set.ts'

/** An answer shorter than this is of no use: rather than cut below it, another candidate is taken. */
export const LEAST_OUTPUT = 256

/** Suitability of the backend that the request names, and of others that `preferences` does not mention: what is paid for suits better than what is not. */
const NAMED = 1
const UNMENTIONED = { cloud: 0.5, local: 0 } as const

/** Lower ranks win, whatever the score: a whole answer before a shortened one, any paid backend before a local one. A local backend has the rank of a whole answer where it is asked for, and under a shortage. */
export const RANK = { whole: 0, shortened: 1, local: 2, out: 3 } as const
type Rank = (typeof RANK)[keyof typeof RANK]

const NONE: readonly never[] = []

/** What one candidate would cost, and whether and how well it would do. */
export interface Assessment {
  readonly backend: Backend
  readonly model: string
  readonly rank: Rank
  /** Suitability, less the toll, and what rules move it by. */
  readonly score: number
  /** What pacing takes off for what the call draws from quotas and limits; below 0 where what is paid for would lapse. */
  readonly toll: number
  readonly price: KnownPrice | undefined
  readonly maxOutputTokens: number
  readonly estimate: Quantities | undefined
  readonly out: OutReason | undefined
  /** Limits without room, as indexes into the policy's. */
  readonly limits: readonly number[]
  /** Rules that matched, as indexes into the rule set's. */
  readonly rules: readonly number[]
}

/** A request, and what it is judged by. */
interface Asked {
  readonly request: CheckedRequest
  readonly meters: readonly MeterState[]
  readonly nowMs: number
  readonly paced: PacedScores | undefined
}

interface Candidate {
  readonly backend: Backend
  readonly model: string
  /** Place of its backend in the pacing plan, which has the cloud backends alone; -1 for a local one. */
  readonly paced: number
}

/** A candidate as requests of one kind see it. */
interface Choice extends Candidate {
  readonly suits: number
  /** Indexes of the limits that cover the call. */
  readonly limits: readonly number[]
  readonly local: boolean
  /** Of a local one: whether it is asked for, or suits better than any that is paid for. */
  readonly preferred: boolean
}

/** Requests of a task type that the policy tells apart; those of all others are of one kind. */
interface Kind {
  readonly taskType: string
  /** For requests that name nothing. */
  readonly unnamed: readonly Choice[]
  /** For those that name only what the policy lists: few, and asked for again and again. */
  readonly named: Map<string, readonly Choice[]>
}

/** Judges every candidate of a request. Reads totals, changes nothing. */
export interface Planner {
  readonly policy: Policy
  readonly rules: RuleSet
  /**
   * In order of preference by name: what the request names first, `local` last. Take them with {@link best}.
   * @param cloudClosed a fault stops cloud calls: only local candidates are judged.
   * @param paced undefined where nothing is paced.
   * @throws MancipleError `BACKEND_UNKNOWN`, `REQUEST_INVALID`.
   */
  plan(request: CheckedRequest, meters: readonly MeterState[], nowMs: number, cloudClosed: boolean, paced?: PacedScores): readonly Assessment[]
  /** Local candidates alone, without rules: for when rules cannot be evaluated. */
  localOnly(request: CheckedRequest, nowMs: number): readonly Assessment[]
  /** Indexes of the limits that cover a call. */
  limitsOf(backend: Backend, model: string, taskType: string | null): readonly number[]
}

export function createPlanner(policy: Policy, rules: RuleSet, prices: PriceBook): Planner {
  const backends = new Map(policy.backends.map((backend) => [backend.name, backend]))
  const cloud = policy.backends.filter(({ kind }) => kind === 'cloud')
  const candidateOf = (backend: Backend, model: string): Candidate => ({ backend, model, paced: cloud.indexOf(backend) })
  const listed = policy.backends.map((backend) => backend.models.map((model) => candidateOf(backend, model)))
  const all = listed.flat().sort((a, b) => Number(a.backend.kind === 'local') - Number(b.backend.kind === 'local'))

  function limitsOf(backend: Backend, model: string, taskType: string | null): readonly number[] {
    const call = { backend: backend.name, kind: backend.kind, model, taskType: taskType ?? '' }
    return policy.limits.flatMap((limit, index) => (covers(limit.scope, call) ? [index] : []))
  }

  function assess(candidate: Choice, { request, meters, nowMs, paced }: Asked, whole: Rank): Assessment {
    const { backend, model, suits, limits } = candidate
    const asked = request.maxOutputTokens ?? policy.maxOutputTokens
    const price = prices.price(backend, model, nowMs)
    if (!isPriced(price, asked)) return outOf(candidate, asked, suits, 'price-unknown')
    const toll = paced === undefined || candidate.paced < 0 ? 0 : paced.toll(candidate.paced, price, request, asked)
    const score = suits - toll
    let bound = boundOf(price, request, asked)
    let maxOutputTokens = asked
    if (!fits(limits, meters, bound)) {
      maxOutputTokens = longestOutput(price, request, asked, limits, meters)
      if (maxOutputTokens < Math.min(asked, Math.max(LEAST_OUTPUT, request.minOutputTokens))) {
        if (candidate.paced >= 0) paced?.suits(candidate.paced, suits)
        const short = limits.filter((index) => !fits([index], meters, bound))
        return { ...outOf(candidate, asked, score, 'no-room'), toll, price, estimate: bound, limits: short }
      }
      bound = boundOf(price, request, maxOutputTokens)
    }
    const assessment = { backend, model, rank: whole, score, toll, price, maxOutputTokens, estimate: bound, out: undefined, limits: NONE, rules: NONE }
    const judgement = judged(assessment, rules.judge(assessment), maxOutputTokens < asked)
    if (paced !== undefined && judgement.rank !== RANK.out) {
      if (candidate.paced < 0) paced.suitsLocal(judgement.score)
      else paced.suits(candidate.paced, judgement.score + toll)
    }
    return judgement
  }

  function plan(
    request: CheckedRequest,
    meters: readonly MeterState[],
    nowMs: number,
    cloudClosed: boolean,
    paced: PacedScores | undefined,
  ): readonly Assessment[] {
    const choices = choicesOf(request)
    rules.begin({ nowMs, taskType: request.taskType, taskId: request.taskId, tags: request.tags, inputTokens: request.inputTokens }, meters)
    paced?.begin(request)
    const localJoins = paced?.shortage === true && !request.pinned
    const asked = { request, meters, nowMs, paced }
    const assessments: Assessment[] = []
    for (const choice of choices) {
      if (!choice.local && cloudClosed) continue
      assessments.push(assess(choice, asked, choice.local && !choice.preferred && !localJoins ? RANK.local : RANK.whole))
    }
    return assessments
  }

  function kindOf(taskType: string): Kind {
    return { taskType, unnamed: choices(all, undefined, taskType), named: new Map() }
  }

  /** By task type. */
  const kinds = new Map([...policy.preferences.keys(), ...policy.limits.flatMap(({ scope }) => scope.taskType ?? [])].map((type) => [type, kindOf(type)]))
  const otherKind = kindOf('')

  function choicesOf(request: CheckedRequest): readonly Choice[] {
    const { taskType, unnamed, named } = (request.taskType === null ? undefined : kinds.get(request.taskType)) ?? otherKind
    if (request.backend === undefined && request.model === undefined && request.candidates === undefined) return unnamed
    if (request.candidates !== undefined) return choices(order(request), request.backend, taskType)
    const key = `${request.backend ?? ''}\n${request.model ?? ''}\n${request.pinned}`
    const found = named.get(key)
    if (found !== undefined) return found
    const candidates = order(request)
    const made = choices(candidates, request.backend, taskType)
    // Names of models that the policy does not list have no end.
    if (candidates.every((candidate) => all.includes(candidate))) named.set(key, made)
    return made
  }

  /** @param named the backend that the request names. */
  function choices(candidates: readonly Candidate[], named: string | undefined, taskType: string): readonly Choice[] {
    const row = policy.preferences.get(taskType)
    const bestCloud = Math.max(0, ...candidates.map(({ backend }) => (backend.kind === 'cloud' ? suitability(backend, named, row) : 0)))
    return candidates.map((candidate): Choice => {
      const { backend, model } = candidate
      const suits = suitability(backend, named, row)
      const local = backend.kind === 'local'
      const preferred = local && (named === backend.name || (row?.has(backend.name) === true && suits > bestCloud))
      return { ...candidate, suits, limits: limitsOf(backend, model, taskType), local, preferred }
    })
  }

  /** What the request names first, then other models of that backend, then the rest; local last. */
  function order(request: CheckedRequest): readonly Candidate[] {
    for (const name of request.candidates ?? NONE) known(name)
    const named = request.backend === undefined ? undefined : known(request.backend)
    let first = all.filter((candidate) => isNamed(candidate, request))
    if (request.model !== undefined && first.length === 0) first.push(candidateOf(namedFor(named, request.model), request.model))
    if (named !== undefined && !isCandidate(named, request)) first = []
    const rest = all.filter((candidate) => !first.includes(candidate) && allowed(candidate, request, named))
    if (named === undefined) return [...first, ...rest]
    const sameBackend = (candidate: Candidate): number => (candidate.backend === named ? 0 : 1)
    return [...first, ...rest.sort((a, b) => sameBackend(a) - sameBackend(b))]
  }

  function known(name: string): Backend {
    const backend = backends.get(name)
    if (backend !== undefined) return backend
    const names = [...backends.keys()]
    const meant = nearest(name, names)
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`
    throw new MancipleError('BACKEND_UNKNOWN', `backend ${JSON.stringify(name)}: the policy has ${names.join(', ')}${hint}`, { name })
  }

  function localOnly(request: CheckedRequest, nowMs: number): readonly Assessment[] {
    const maxOutputTokens = request.maxOutputTokens ?? policy.maxOutputTokens
    return all.flatMap(({ backend, model }): Assessment[] => {
      const price = prices.price(backend, model, nowMs)
      if (backend.kind !== 'local' || price.kind === 'unknown') return []
      const bound = boundOf(price, request, maxOutputTokens)
      return [
        {
          backend,
          model,
          rank: RANK.local,
          score: UNMENTIONED.local,
          toll: 0,
          price,
          maxOutputTokens,
          estimate: bound,
          out: undefined,
          limits: NONE,
          rules: NONE,
        },
      ]
    })
  }

  return { policy, rules, plan, localOnly, limitsOf }
}

/** How well a backend suits a request, 0 to 1. @param named the backend that it names. @param row of `preferences`, for its task type. */
export function suitability(backend: Backend, named: string | undefined, row: ReadonlyMap<string, number> | undefined): number {
  return backend.name === named ? NAMED : (row?.get(backend.name) ?? UNMENTIONED[backend.kind])
}

function isNamed(candidate: Candidate, request: CheckedRequest): boolean {
  if (request.backend !== undefined && candidate.backend.name !== request.backend) return false
  return request.model === undefined ? request.backend !== undefined : candidate.model === request.model
}

/** A model that the policy does not list is taken on the word of a request that names its backend; its price must be known all the same. */
function namedFor(named: Backend | undefined, model: string): Backend {
  if (named === undefined)
    throw new MancipleError('REQUEST_INVALID', `model ${JSON.stringify(model)}: no backend of the policy lists it; name its backend as well`)
  return named
}

function allowed(candidate: Candidate, request: CheckedRequest, named: Backend | undefined): boolean {
  const { backend } = candidate
  if (named?.kind === 'local') return backend === named
  return backend.kind === 'local' || (isCandidate(backend, request) && (backend === named || !request.pinned))
}

function isCandidate({ kind, name }: Backend, { candidates }: CheckedRequest): boolean {
  return candidates === undefined || kind === 'local' || candidates.includes(name)
}

/** In place: five are made for every decision. */
function judged(
  assessment: { -readonly [Field in keyof Assessment]: Assessment[Field] },
  { forbidden, shift, matched }: RuleOutcome,
  isShort: boolean,
): Assessment {
  assessment.score += shift
  if (matched.length > 0) assessment.rules = matched.slice()
  if (isShort && assessment.rank === RANK.whole) assessment.rank = RANK.shortened
  if (forbidden) {
    assessment.rank = RANK.out
    assessment.out = 'forbidden'
  }
  return assessment
}

function outOf({ backend, model }: Candidate, maxOutputTokens: number, score: number, out: OutReason): Assessment {
  return { backend, model, rank: RANK.out, score, toll: 0, price: undefined, maxOutputTokens, estimate: undefined, out, limits: NONE, rules: NONE }
}

function boundOf(price: KnownPrice, { inputTokens, n }: CheckedRequest, maxOutputTokens: number): Quantities {
  return estimate(price, { inputTokens, maxOutputTokens, n })
}

/** Whether every hard limit has room. */
function fits(limits: readonly number[], meters: readonly MeterState[], wanted: Quantities): boolean {
  for (const index of limits) {
    const meter = meters[index]
    if (meter !== undefined && meter.limit.hard && quantityOf(meter.limit.unit, wanted) > freeOf(meter)) return false
  }
  return true
}

/** The longest output that fits every hard limit, at most what was asked; negative where not even the input fits. */
function longestOutput(price: KnownPrice, request: CheckedRequest, asked: number, limits: readonly number[], meters: readonly MeterState[]): number {
  const { inputTokens, n } = request
  let longest = asked
  for (const index of limits) {
    const meter = meters[index]
    if (meter === undefined || !meter.limit.hard) continue
    const free = freeOf(meter)
    const { unit } = meter.limit
    if (unit === 'requests') longest = free < 1 ? -1 : longest
    else if (unit === 'tokens') longest = Math.min(longest, Math.floor((free - inputTokens) / n))
    else longest = Math.min(longest, Math.floor(price.outputWithin(free, inputTokens, asked * n) / n))
  }
  return longest
}

/** The best assessment that is not out and not in `tried`; earlier ones win ties. */
export function best(assessments: readonly Assessment[], tried?: ReadonlySet<Assessment>): Assessment | undefined {
  let winner: Assessment | undefined
  for (const assessment of assessments) {
    if (assessment.rank === RANK.out || tried?.has(assessment)) continue
    if (winner === undefined || assessment.rank < winner.rank || (assessment.rank === winner.rank && assessment.score > winner.score)) winner = assessment
  }
  return winner
}

export function isShortened(assessment: Assessment): boolean {
  return assessment.rank === RANK.shortened
}

/** The candidates of a decision, written out when somebody asks for them: most decisions are never looked at again. */
export class CandidateList {
  readonly #assessments: readonly Assessment[]
  readonly #taken: Assessment | undefined
  readonly #planner: Planner

  constructor(assessments: readonly Assessment[], taken: Assessment | undefined, planner: Planner) {
    this.#assessments = assessments
    this.#taken = taken
    this.#planner = planner
  }

  toJSON(): readonly CandidateRecord[] {
    return this.#assessments.map((assessment) => recordOf(assessment, this.#planner, this.#taken))
  }
}

/** An assessment as the ledger keeps it. */
export function recordOf(assessment: Assessment, planner: Planner, taken: Assessment | undefined): CandidateRecord {
  const out = assessment.out ?? (assessment === taken ? undefined : 'outscored')
  return {
    backend: assessment.backend.name,
    model: assessment.model,
    estimate_nano: assessment.estimate?.costNano ?? null,
    score: assessment.score,
    ...(out === undefined ? {} : { out }),
    ...(assessment.limits.length === 0 ? {} : { limits: assessment.limits.map((index) => planner.policy.limits[index]?.name ?? '?') }),
    ...(assessment.rules.length === 0 ? {} : { rules: assessment.rules.map((index) => planner.rules.rules[index]?.name ?? '?') }),
  }
}

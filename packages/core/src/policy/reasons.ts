import type { Verdict } from '../decision.ts'
import { freeOf, type MeterState } from '../limit.ts'
import { readingText } from '../limit-text.ts'
import { formatUsd } from '../money.ts'
import type { CheckedRequest } from '../request.ts'
import { isShortened, type Assessment, type Planner } from './decide.ts'
import type { PacedReason } from './paced-reasons.ts'

const AS_REQUESTED = ['as requested'] as const

/** What reasons are given by. */
export interface Grounds {
  readonly planner: Planner
  readonly meters: readonly MeterState[]
  readonly nowMs: number
  /** By backend; empty where nothing is paced. */
  readonly paced: ReadonlyMap<string, PacedReason>
}

/** What each limit lacks, in words, by assessment that found no room. */
type Shortages = ReadonlyMap<Assessment, string>

const NO_SHORTAGES: Shortages = new Map()

/** What words are found by: nothing of it moves on after the decision. */
interface Basis {
  readonly planner: Planner
  readonly paced: Grounds['paced']
  readonly shortages: Shortages
}

/** Why this assessment was taken, in words for people, the decisive reason first. `taken` is undefined for a refusal. */
export function reasonsFor(request: CheckedRequest, assessments: readonly Assessment[], taken: Assessment | undefined, grounds: Grounds): readonly string[] {
  return reasonsLater(request, assessments, taken, grounds)()
}

/** Puts reasons in words. */
export type Reasons = () => readonly string[]

/** {@link reasonsFor}, put in words when somebody asks: most decisions are never looked at again. What limits lack is put in words at once, since totals move on. */
export function reasonsLater(request: CheckedRequest, assessments: readonly Assessment[], taken: Assessment | undefined, grounds: Grounds): Reasons {
  const { planner, paced } = grounds
  const shortages = shortagesOf(assessments, grounds)
  return () => reasonsIn(request, assessments, taken, { planner, paced, shortages })
}

function shortagesOf(assessments: readonly Assessment[], { meters, nowMs }: Grounds): Shortages {
  const short = assessments.filter(({ out }) => out === 'no-room')
  if (short.length === 0) return NO_SHORTAGES
  return new Map(short.map((left) => [left, left.limits.map((index) => shortage(left, meters[index], nowMs)).join('; ')]))
}

function reasonsIn(request: CheckedRequest, assessments: readonly Assessment[], taken: Assessment | undefined, basis: Basis): readonly string[] {
  const asked = assessments[0]
  if (taken !== undefined && taken === asked) return keptReasons(request, taken)
  const reasons: string[] = []
  const named = asked !== undefined && names(request, asked) ? asked : undefined
  if (named !== undefined) reasons.push(`${label(named)} was left: ${whyNot(named, taken, basis)}`)
  else if (taken !== undefined && taken.backend.kind === 'cloud') reasons.push(`${label(taken)} has the best score, ${taken.score.toFixed(2)}`)
  if (taken === undefined || (taken.backend.kind === 'local' && !names(request, taken))) {
    for (const other of assessments) {
      if (other !== named && other !== taken && other.backend.kind === 'cloud') reasons.push(`${label(other)}: ${whyNot(other, taken, basis)}`)
    }
    if (reasons.length === 0) reasons.push(taken === undefined ? 'no backend may take this call' : 'no cloud backend may take this call')
  }
  if (taken !== undefined && isShortened(taken)) reasons.push(shortened(taken))
  return reasons
}

/** `dispatch`: what was asked for, or the best where nothing was asked for. */
export function verdictOf(request: CheckedRequest, taken: Assessment | undefined): Verdict {
  if (taken === undefined) return 'refuse'
  const asked = request.backend !== undefined || request.model !== undefined
  return !asked || names(request, taken) ? 'dispatch' : 'reroute'
}

function keptReasons(request: CheckedRequest, taken: Assessment): readonly string[] {
  if (names(request, taken) && !isShortened(taken)) return AS_REQUESTED
  const first = names(request, taken)
    ? AS_REQUESTED[0]
    : taken.backend.kind === 'local'
      ? 'no cloud backend may take this call'
      : `${label(taken)} has the best score, ${taken.score.toFixed(2)}`
  return isShortened(taken) ? [first, shortened(taken)] : [first]
}

function names(request: CheckedRequest, assessment: Assessment): boolean {
  if (request.backend === undefined && request.model === undefined) return false
  return (request.backend ?? assessment.backend.name) === assessment.backend.name && (request.model ?? assessment.model) === assessment.model
}

function whyNot(left: Assessment, taken: Assessment | undefined, { planner, paced, shortages }: Basis): string {
  if (left.out === 'price-unknown') return 'its price is unknown; give one under `prices:`'
  if (left.out === 'forbidden') return `forbidden by ${rulesOf(left, planner, 'forbid').join('; ')}`
  if (left.out === 'no-room') return shortages.get(left) ?? 'a limit has no room'
  if (taken === undefined) return 'lost its room'
  if (taken.rank < left.rank) return `${label(taken)} has room for the whole answer`
  const score = `${label(taken)} scores higher (${taken.score.toFixed(2)} against ${left.score.toFixed(2)})`
  const rules = [...rulesOf(taken, planner, 'prefer'), ...rulesOf(left, planner, 'avoid')]
  return [[score, ...rules].join(', '), ...pacedReasonsFor(left, taken, paced)].join('; ')
}

/** Where prices made the difference, or a part of it: what would lapse at the one, what has to last at the other. */
function pacedReasonsFor(left: Assessment, taken: Assessment, paced: Grounds['paced']): string[] {
  const draws = taken.toll < 0 ? paced.get(taken.backend.name)?.draws : undefined
  const spares = left.toll > 0 ? paced.get(left.backend.name)?.spares : undefined
  return [draws, spares].filter((reason) => reason !== undefined)
}

function rulesOf(assessment: Assessment, planner: Planner, type: 'forbid' | 'prefer' | 'avoid'): string[] {
  return assessment.rules.flatMap((index) => {
    const rule = planner.rules.rules[index]
    if (rule === undefined || rule.event.type !== type) return []
    return [rule.event.params.message === undefined ? `"${rule.name}"` : `"${rule.name}": ${rule.event.params.message}`]
  })
}

function shortage(left: Assessment, meter: MeterState | undefined, nowMs: number): string {
  if (meter === undefined) return 'a limit has no room'
  const free = Math.max(0, freeOf(meter))
  const { name, unit } = meter.limit
  const reading = meter.beside === 0 ? '' : ` (${readingText(meter, nowMs)})`
  if (unit === 'usd') return `${name} has ${formatUsd(free)} left and this call may cost ${formatUsd(left.estimate?.costNano ?? 0)}${reading}`
  return `${name} has ${free} ${unit} left and this call may take ${unit === 'tokens' ? (left.estimate?.tokens ?? 0) : 1}${reading}`
}

function shortened(taken: Assessment): string {
  return `output is cut to ${taken.maxOutputTokens} tokens, which is what the limits leave room for`
}

function label(assessment: Assessment): string {
  return `${assessment.backend.name}/${assessment.model}`
}

import type { Verdict } from '../decision.ts'
import { freeOf, type MeterState } from '../limit.ts'
import { formatUsd } from '../money.ts'
import type { CheckedRequest } from '../request.ts'
import { isShortened, type Assessment, type Planner } from './decide.ts'

const AS_REQUESTED = ['as requested'] as const

/** Why this assessment was taken, in words for people, the decisive reason first. `taken` is undefined for a refusal. */
export function reasonsFor(
  request: CheckedRequest,
  assessments: readonly Assessment[],
  taken: Assessment | undefined,
  planner: Planner,
  meters: readonly MeterState[],
): readonly string[] {
  const asked = assessments[0]
  if (taken !== undefined && taken === asked) return keptReasons(request, taken)
  const reasons: string[] = []
  if (asked !== undefined && names(request, asked)) reasons.push(`${label(asked)} was left: ${whyNot(asked, taken, planner, meters)}`)
  else if (taken !== undefined && taken.backend.kind === 'cloud') reasons.push(`${label(taken)} has the best score, ${taken.score.toFixed(2)}`)
  if (taken === undefined || (taken.backend.kind === 'local' && !names(request, taken))) {
    for (const other of assessments) {
      if (other !== asked && other !== taken && other.backend.kind === 'cloud') reasons.push(`${label(other)}: ${whyNot(other, taken, planner, meters)}`)
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

function whyNot(left: Assessment, taken: Assessment | undefined, planner: Planner, meters: readonly MeterState[]): string {
  if (left.out === 'price-unknown') return 'its price is unknown; give one under `prices:`'
  if (left.out === 'forbidden') return `forbidden by ${rulesOf(left, planner, 'forbid').join('; ')}`
  if (left.out === 'no-room') return left.limits.map((index) => shortage(left, meters[index])).join('; ')
  const rules = taken === undefined ? [] : rulesOf(taken, planner, 'prefer').concat(rulesOf(left, planner, 'avoid'))
  const score = taken === undefined ? '' : ` (${taken.score.toFixed(2)} against ${left.score.toFixed(2)})`
  return `${taken === undefined ? 'lost its room' : `${label(taken)} scores higher${score}`}${rules.length === 0 ? '' : `, ${rules.join('; ')}`}`
}

function rulesOf(assessment: Assessment, planner: Planner, type: 'forbid' | 'prefer' | 'avoid'): string[] {
  return assessment.rules.flatMap((index) => {
    const rule = planner.rules.rules[index]
    if (rule === undefined || rule.event.type !== type) return []
    return [rule.event.params.message === undefined ? `"${rule.name}"` : `"${rule.name}": ${rule.event.params.message}`]
  })
}

function shortage(left: Assessment, meter: MeterState | undefined): string {
  if (meter === undefined) return 'a limit has no room'
  const free = Math.max(0, freeOf(meter))
  const { name, unit } = meter.limit
  if (unit === 'usd') return `${name} has ${formatUsd(free)} left and this call may cost ${formatUsd(left.estimate?.costNano ?? 0)}`
  return `${name} has ${free} ${unit} left and this call may take ${unit === 'tokens' ? (left.estimate?.tokens ?? 0) : 1}`
}

function shortened(taken: Assessment): string {
  return `output is cut to ${taken.maxOutputTokens} tokens, which is what the limits leave room for`
}

function label(assessment: Assessment): string {
  return `${assessment.backend.name}/${assessment.model}`
}

import type { CandidateRecord, Verdict } from './decision.ts'
import { freeOf, type MeterState, type Unit } from './limit.ts'
import { best, recordOf, type Assessment } from './policy/decide.ts'
import type { Pacer } from './pacer.ts'
import type { PacedReason } from './policy/paced-reasons.ts'
import type { PreparedPolicy } from './policy/prepare.ts'
import { reasonsFor, verdictOf } from './policy/reasons.ts'
import type { RuleExplanation } from './policy/rule-set.ts'
import type { CheckedRequest } from './request.ts'
import { whatIf, type Judge, type WhatIf } from './what-if.ts'

export interface CandidateExplanation {
  readonly candidate: CandidateRecord
  /** What pacing took off its score for what the call draws from quotas; below 0 where what is paid for would lapse. */
  readonly toll: number
  /** Every dispatch rule, whether it matched, and the facts that it read: asked of json-rules-engine itself. */
  readonly rules: readonly RuleExplanation[]
  /** What each limit that covers the candidate has left, in its unit. */
  readonly headroom: readonly { readonly limit: string; readonly unit: Unit; readonly free: number }[]
  /** What would have to be different for it to be taken; absent for the one that is, and where nothing was found. */
  readonly whatIf?: WhatIf
}

/** What would be decided now, and why. Nothing is reserved. */
export interface Explanation {
  readonly verdict: Verdict
  readonly backend: string | undefined
  readonly model: string | undefined
  readonly reasons: readonly string[]
  readonly policy: string
  readonly candidates: readonly CandidateExplanation[]
}

/** @throws MancipleError `RULES_DISAGREE` when json-rules-engine finds otherwise than the compiled rules. */
export async function explainRequest(
  request: CheckedRequest,
  prepared: PreparedPolicy,
  meters: readonly MeterState[],
  nowMs: number,
  cloudClosed: boolean,
  pacer: Pick<Pacer, 'scores' | 'reasons'>,
): Promise<Explanation> {
  const judge: Judge = (given) => given.planner.plan(given.request, given.meters, nowMs, cloudClosed, pacer.scores)
  return explainJudged({ request, meters, nowMs, paced: pacer.reasons, judge }, prepared)
}

/** A decision that can be looked at from all sides. */
export interface Question {
  readonly request: CheckedRequest
  readonly meters: readonly MeterState[]
  readonly nowMs: number
  readonly paced: ReadonlyMap<string, PacedReason>
  /** Judges a request on totals by a planner: these, or others that are tried. */
  readonly judge: Judge
}

/** @throws MancipleError `RULES_DISAGREE` as {@link explainRequest}. */
export async function explainJudged({ request, meters: live, nowMs, paced, judge }: Question, prepared: PreparedPolicy): Promise<Explanation> {
  const { planner, policy } = prepared
  // The engine answers later, when totals have moved on: all that looks at them is done before.
  const meters = live.map(still)
  const actual = { request, planner, meters }
  const assessments = judge(actual)
  const taken = best(assessments)
  const reasons = reasonsFor(request, assessments, taken, { planner, meters, nowMs, paced })
  // Of the request that was judged last: before others are tried.
  const asked = assessments.map((assessment) => rulesOf(assessment, prepared))
  const others = assessments.map(({ backend, model }) => whatIf(actual, { backend: backend.name, model }, judge))
  const rules = await Promise.all(asked)
  const candidates = assessments.map((assessment, index): CandidateExplanation => {
    const headroom = planner.limitsOf(assessment.backend, assessment.model, request.taskType).flatMap((limit) => headroomOf(meters[limit]))
    const other = others[index]
    return {
      candidate: recordOf(assessment, planner, taken),
      toll: assessment.toll,
      headroom,
      rules: rules[index] ?? [],
      ...(other === undefined ? {} : { whatIf: other }),
    }
  })
  return {
    verdict: verdictOf(request, taken),
    backend: taken?.backend.name,
    model: taken?.model,
    reasons,
    policy: policy.version,
    candidates,
  }
}

/** As it stands now. */
function still(meter: MeterState): MeterState {
  const { limit, settled, held, presumed, beside, reading, bounds } = meter
  return { limit, settled, held, presumed, beside, reading, bounds, roomAt: (quantity) => meter.roomAt(quantity) }
}

async function rulesOf(assessment: Assessment, { planner }: PreparedPolicy): Promise<readonly RuleExplanation[]> {
  const { backend, model, maxOutputTokens, estimate } = assessment
  return estimate === undefined ? [] : planner.rules.explain({ backend, model, maxOutputTokens, estimate })
}

function headroomOf(meter: MeterState | undefined): readonly { limit: string; unit: Unit; free: number }[] {
  return meter === undefined ? [] : [{ limit: meter.limit.name, unit: meter.limit.unit, free: freeOf(meter) }]
}

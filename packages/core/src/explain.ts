import type { CandidateRecord, Verdict } from './decision.ts'
import { freeOf, type MeterState, type Unit } from './limit.ts'
import { best, recordOf, type Assessment } from './policy/decide.ts'
import type { PreparedPolicy } from './policy/prepare.ts'
import { reasonsFor, verdictOf } from './policy/reasons.ts'
import type { RuleExplanation } from './policy/rule-set.ts'
import type { CheckedRequest } from './request.ts'

export interface CandidateExplanation {
  readonly candidate: CandidateRecord
  /** Every dispatch rule, whether it matched, and the facts that it read: asked of json-rules-engine itself. */
  readonly rules: readonly RuleExplanation[]
  /** What each limit that covers the candidate has left, in its unit. */
  readonly headroom: readonly { readonly limit: string; readonly unit: Unit; readonly free: number }[]
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
): Promise<Explanation> {
  const { planner, policy } = prepared
  const assessments = planner.plan(request, meters, nowMs, cloudClosed)
  const taken = best(assessments)
  const reasons = reasonsFor(request, assessments, taken, planner, meters)
  const explained = assessments.map(async (assessment): Promise<CandidateExplanation> => {
    const headroom = planner.limitsOf(assessment.backend, assessment.model, request.taskType).flatMap((index) => headroomOf(meters[index]))
    return { candidate: recordOf(assessment, planner, taken), headroom, rules: await rulesOf(assessment, prepared) }
  })
  return {
    verdict: verdictOf(request, taken),
    backend: taken?.backend.name,
    model: taken?.model,
    reasons,
    policy: policy.version,
    candidates: await Promise.all(explained),
  }
}

async function rulesOf(assessment: Assessment, { planner }: PreparedPolicy): Promise<readonly RuleExplanation[]> {
  const { backend, model, maxOutputTokens, estimate } = assessment
  return estimate === undefined ? [] : planner.rules.explain({ backend, model, maxOutputTokens, estimate })
}

function headroomOf(meter: MeterState | undefined): readonly { limit: string; unit: Unit; free: number }[] {
  return meter === undefined ? [] : [{ limit: meter.limit.name, unit: meter.limit.unit, free: freeOf(meter) }]
}

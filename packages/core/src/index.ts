export type { CandidateRecord, DecideRequest, Decision, OutReason, Verdict } from './decision.ts'
export type { Dispatch, Manciple, MancipleOptions, Outcome } from './manciple.ts'
export { MancipleError } from './errors.ts'

import type { MeterState } from '../limit.ts'
import { NANO_PER_USD } from '../money.ts'
import { elapsedShare } from '../windows.ts'
import type { Backend, Policy } from './policy.ts'

/** Weighs a quota in the total where neither `paid` nor the quota itself is money: as if one USD were paid for it. */
const UNPRICED_WEIGHT = NANO_PER_USD

/** What a limit of nothing counts as used by anything at all: plainly above 1. */
const USED_OF_NOTHING = 2

/** A backend with its limits, as indexes into the policy's. */
export interface Account {
  readonly backend: Backend
  readonly quota: number | undefined
  /** Of its quota among all quotas: nano-USD paid per window. */
  readonly weight: number
  /** Hard limits on this backend as a whole: those of one model or task type say nothing of the rest. */
  readonly limits: readonly number[]
}

export function accountOf(backend: Backend, policy: Policy): Account {
  const quota = policy.limits.findIndex((limit) => limit.name === backend.quota)
  const quotaLimit = policy.limits[quota]
  return {
    backend,
    quota: quotaLimit && quota,
    weight: backend.paidNano ?? (quotaLimit?.unit === 'usd' ? quotaLimit.quantity : UNPRICED_WEIGHT),
    limits: policy.limits.flatMap(({ scope, hard }, index) =>
      hard && scope.backend === backend.name && scope.model === undefined && scope.taskType === undefined ? [index] : [],
    ),
  }
}

/** Part ÷ quantity: above 1 exactly when an integer part is above an integer quantity of at most 2^52. */
export function shareOf(part: number, quantity: number): number {
  if (quantity > 0) return part / quantity
  return part > 0 ? USED_OF_NOTHING : 0
}

/** (Settled + used beside the ledger) ÷ quantity. */
export function spentOf(meter: MeterState): number {
  return shareOf(meter.settled + meter.beside, meter.limit.quantity)
}

/** (Settled + used beside the ledger) ÷ quota; 0 without a quota, and before the first use of a window that begins with it. */
export function utilizationOf(account: Account, meters: readonly MeterState[]): number {
  const meter = quotaOf(account, meters)
  return meter?.bounds === undefined ? 0 : spentOf(meter)
}

/** The share of the quota's window that has passed; 0 without a quota, and before the first use of a window that begins with it. */
export function elapsedOf(account: Account, meters: readonly MeterState[], nowMs: number): number {
  const bounds = quotaOf(account, meters)?.bounds
  return bounds === undefined ? 0 : elapsedShare(bounds, nowMs)
}

/** Utilization ÷ elapsed; 1, on plan, while nothing has elapsed. */
export function paceOf(utilization: number, elapsed: number): number {
  return elapsed > 0 ? utilization / elapsed : 1
}

/** The mean over all quotas of the windows that are open now, weighed by what is paid for each. 0 where there is no quota. */
export function overQuotas(accounts: readonly Account[], measure: typeof elapsedOf, meters: readonly MeterState[], nowMs: number): number {
  let sum = 0
  let weights = 0
  for (const account of accounts) {
    if (account.quota === undefined) continue
    sum += account.weight * measure(account, meters, nowMs)
    weights += account.weight
  }
  return weights > 0 ? sum / weights : 0
}

function quotaOf({ quota }: Account, meters: readonly MeterState[]): MeterState | undefined {
  return quota === undefined ? undefined : meters[quota]
}

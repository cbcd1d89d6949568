import type { Unit } from '../limit.ts'
import { NANO_PER_USD } from '../money.ts'
import type { Policy } from './policy.ts'

/** A limit as pacing sees it. */
export interface PacedLimit {
  readonly name: string
  readonly unit: Unit
  /** The backends that draw on it, as indexes. */
  readonly backends: readonly number[]
  /** Whether it is a backend's quota: what is left lapses. */
  readonly quota: boolean
  /** Share of the quota that must be used; 0 for other limits. */
  readonly floor: number
  /** What is paid for a window of it, nano-USD: weighs what would lapse. */
  readonly paid: number
}

/** What paces: backends and limits by index, in order of declaration. */
export interface PacingPlan {
  readonly backends: readonly string[]
  readonly limits: readonly PacedLimit[]
}

/**
 * What of a policy is paced: its cloud backends, and the limits that bound them as a whole. Undefined where nothing is: it has no quota, or its floors are both 0, which says that nothing has to be used.
 * Limits of one model or task type have no price; they refuse when they are full.
 */
export function pacingPlanOf({ backends, limits, floors }: Policy): PacingPlan | undefined {
  if (floors.backend === 0 && floors.total === 0) return undefined
  const cloud = backends.filter(({ kind }) => kind === 'cloud')
  const paced = limits.flatMap((limit): PacedLimit[] => {
    const { name, unit, scope, hard, quantity } = limit
    const owner = cloud.find(({ quota }) => quota === name)
    if ((!hard && owner === undefined) || scope.model !== undefined || scope.taskType !== undefined) return []
    const drawing = cloud.flatMap((backend, index) => (scope.backend === undefined || scope.backend === backend.name ? [index] : []))
    const paid = owner?.paidNano ?? (unit === 'usd' ? quantity : NANO_PER_USD)
    return drawing.length === 0 ? [] : [{ name, unit, backends: drawing, quota: owner !== undefined, floor: owner === undefined ? 0 : floors.backend, paid }]
  })
  return paced.some(({ quota }) => quota) ? { backends: cloud.map(({ name }) => name), limits: paced } : undefined
}

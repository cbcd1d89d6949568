import type { Ledger } from '../ledger/ledger.ts'
import { quantityOf, type Unit } from '../limit.ts'
import { accountOf } from '../policy/measures.ts'
import type { Outlook } from '../policy/outlook.ts'
import type { Policy } from '../policy/policy.ts'
import { ALERTS, type AlertView, type QuotaNow } from './pacing-alerts.ts'

/** What alerts look at. @param outlooks by the name of the limit; of a quota without one, nothing more is foreseen than was used. */
export function alertView(
  policy: Policy,
  ledger: Pick<Ledger, 'meters' | 'spend'>,
  outlooks: ReadonlyMap<string, Outlook>,
  sinceMs: number,
  nowMs: number,
): AlertView {
  const quotas = policy.backends.flatMap((backend): QuotaNow[] => {
    const { quota, weight } = accountOf(backend, policy)
    const meter = quota === undefined ? undefined : ledger.meters[quota]
    if (backend.kind !== 'cloud' || meter?.bounds === undefined) return []
    const { limit, settled, presumed, beside, bounds } = meter
    const { name, unit, quantity } = limit
    const used = settled + presumed + beside
    const outlook = outlooks.get(name)
    const { low = used, expected = used, high = used, belowFloor = Number(used < policy.floors.backend * quantity), ahead = 0, meanDraw = 0 } = outlook ?? {}
    const recent = ALERTS.spansMs.map((spanMs) => usedBy(backend.name, unit, ledger, Math.max(bounds.startMs, nowMs - spanMs), nowMs))
    return [{ backend: backend.name, limit: name, unit, quantity, used, bounds, recent, low, expected, high, belowFloor, ahead, meanDraw, paid: weight }]
  })
  return { quotas, floors: policy.floors, timezone: policy.timezone, nowMs, sinceMs }
}

/** What a backend settled in the quarter-hours from a time on, in a unit. */
function usedBy(backend: string, unit: Unit, ledger: Pick<Ledger, 'spend'>, fromMs: number, toMs: number): number {
  let sum = 0
  for (const row of ledger.spend(fromMs, toMs + 1)) {
    if (row.backend === backend) sum += quantityOf(unit, row)
  }
  return sum
}

import type { Ledger, SpendRow } from '../ledger/ledger.ts'
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
  const spendSince = remembered((fromMs) => ledger.spend(fromMs, nowMs + 1))
  const quotas = policy.backends.flatMap((backend): QuotaNow[] => {
    const { quota, weight } = accountOf(backend, policy)
    const meter = quota === undefined ? undefined : ledger.meters[quota]
    if (backend.kind !== 'cloud' || meter?.bounds === undefined) return []
    const { limit, settled, presumed, beside, bounds } = meter
    const { name, unit, quantity } = limit
    const used = settled + presumed + beside
    const { ends = [used], low = used, expected = used, high = used, ahead = 0, meanDraw = 0 } = outlooks.get(name) ?? {}
    const recent = ALERTS.spansMs.map((spanMs) => usedBy(backend.name, unit, spendSince(Math.max(bounds.startMs, nowMs - spanMs))))
    return [{ backend: backend.name, limit: name, unit, quantity, used, bounds, recent, ends, low, expected, high, ahead, meanDraw, paid: weight }]
  })
  return { quotas, floors: policy.floors, timezone: policy.timezone, nowMs, sinceMs }
}

/** Windows mostly began longer ago than the spans that are looked at: all backends ask for the same sums. */
function remembered(spendFrom: (fromMs: number) => readonly SpendRow[]): (fromMs: number) => readonly SpendRow[] {
  const known = new Map<number, readonly SpendRow[]>()
  return (fromMs) => {
    let rows = known.get(fromMs)
    if (rows === undefined) known.set(fromMs, (rows = spendFrom(fromMs)))
    return rows
  }
}

/** What a backend settled, in a unit. */
function usedBy(backend: string, unit: Unit, rows: readonly SpendRow[]): number {
  let sum = 0
  for (const row of rows) {
    if (row.backend === backend) sum += quantityOf(unit, row)
  }
  return sum
}

import type { Ledger } from '../../packages/core/src/ledger/ledger.ts'
import type { MeterState } from '../../packages/core/src/limit.ts'
import type { Window } from '../../packages/core/src/windows.ts'
import { DAY_MS, HOUR_MS, limit, MINUTE_MS, START_MS } from './ledger-samples.ts'

export const windowCases: readonly { readonly window: Window; readonly endMs: number }[] = [
  { window: { kind: 'day' }, endMs: Date.UTC(2026, 10, 21, 5) },
  { window: { kind: 'week', weekday: 1, minute: 540 }, endMs: Date.UTC(2026, 10, 23, 14) },
  { window: { kind: 'month', day: 15 }, endMs: Date.UTC(2026, 11, 15, 5) },
  { window: { kind: 'quarter' }, endMs: Date.UTC(2027, 0, 1, 5) },
  { window: { kind: 'year' }, endMs: Date.UTC(2027, 0, 1, 5) },
  { window: { kind: 'first-use', spanMs: 5 * HOUR_MS }, endMs: START_MS + 5 * HOUR_MS + 15 * MINUTE_MS },
  { window: { kind: 'rolling', spanMs: 5 * HOUR_MS }, endMs: START_MS + 5 * HOUR_MS + 15 * MINUTE_MS },
]

export function everyWindow() {
  return windowCases.map(({ window }) => limit({ name: window.kind, window }))
}

export function numbersOf(ledger: Ledger): readonly Pick<MeterState, 'settled' | 'held' | 'presumed'>[] {
  return ledger.meters.map(({ settled, held: heldNow, presumed }) => ({ settled, held: heldNow, presumed }))
}

/** All that a call may change. */
export function standingOf(ledger: Ledger): object {
  const ends = ledger.meters.map(({ limit: { window }, bounds }) => (window.kind === 'rolling' ? undefined : bounds))
  return { numbers: numbersOf(ledger), ends, spend: ledger.spend(START_MS - 40 * DAY_MS, START_MS + DAY_MS), holds: [...ledger.openHolds.keys()] }
}

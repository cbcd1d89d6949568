import type { Optimum } from './optimum.ts'
import type { World } from './month.ts'
import type { Outcome } from './simulate.ts'

/** A month with one demand and one mishap. */
export interface Cell {
  readonly name: string
  readonly rho: number
  readonly scenario: string
  readonly outage: boolean
  readonly weekly: boolean
}

export const CELLS: readonly Cell[] = [
  ...[0.6, 1, 1.5, 3].map((rho) => ({ name: `ρ ${rho}`, rho, scenario: 'base', outage: false, weekly: false })),
  ...['drop', 'burst', 'surge'].map((scenario) => ({ name: scenario, rho: 1, scenario, outage: false, weekly: false })),
  { name: 'outage', rho: 1, scenario: 'base', outage: true, weekly: false },
  { name: 'weekly', rho: 1, scenario: 'base', outage: false, weekly: true },
]

/** What is told of a run. Shares, 0 to 1, but for overshoot (nano-USD). */
export interface Figures {
  readonly total: number
  readonly worst: number
  readonly ofOptimum: number
  readonly ofBound: number
  readonly value: number
  readonly dry: number
  readonly local: number
  readonly overshoot: number
  /** What the best in hindsight would have used, and the best of those that hold all floors. */
  readonly optimum: number
  readonly bound: number
}

export function figuresOf(world: World, outcome: Outcome, optimum: Optimum): Figures {
  const paid = world.quotas.map(({ quantity, windows }) => quantity * windows.length)
  const paidInAll = paid.reduce((sum, one) => sum + one, 0)
  const used = outcome.used.reduce((sum, one) => sum + one, 0)
  return {
    total: used / paidInAll,
    worst: Math.min(...paid.map((quantity, b) => outcome.used[b]! / quantity)),
    ofOptimum: used / optimum.used,
    ofBound: used / optimum.usedWithFloors,
    value: outcome.value / optimum.value,
    dry: outcome.dry,
    local: outcome.local,
    overshoot: outcome.overshoot,
    optimum: optimum.used / paidInAll,
    bound: optimum.usedWithFloors / paidInAll,
  }
}

export function meanOf(rows: readonly Figures[], key: keyof Figures): number {
  return rows.reduce((sum, row) => sum + row[key], 0) / rows.length
}

/** One line of the table of goals. */
export interface Goal {
  readonly cell: string
  readonly name: string
  readonly goal: number
  /** Whether less is better. */
  readonly atMost?: boolean
  measure(rows: readonly Figures[]): number
}

const mean = (cell: string, name: string, key: keyof Figures, goal: number, atMost = false): Goal => ({
  cell,
  name,
  goal,
  atMost,
  measure: (rows) => meanOf(rows, key),
})

export const GOALS: readonly Goal[] = [
  mean('ρ 1', 'total ÷ optimum', 'ofOptimum', 0.99),
  mean('ρ 1', 'worst backend', 'worst', 0.95),
  mean('ρ 1', 'value ÷ hindsight', 'value', 0.98),
  mean('ρ 1.5', 'total', 'total', 0.998),
  mean('ρ 1.5', 'worst backend', 'worst', 0.99),
  mean('ρ 1.5', 'value ÷ hindsight', 'value', 0.965),
  mean('ρ 3', 'total', 'total', 0.998),
  mean('ρ 3', 'worst backend', 'worst', 0.99),
  mean('ρ 3', 'value ÷ hindsight', 'value', 0.98),
  mean('ρ 3', 'dry share', 'dry', 0.05, true),
  {
    cell: 'ρ 0.6',
    name: 'runs with all ≥ .5 and total ≥ .95 of the bound',
    goal: 1,
    measure: (rows) => rows.filter(({ worst, ofBound }) => worst >= 0.5 && ofBound >= 0.95).length / rows.length,
  },
  mean('ρ 0.6', 'total ÷ bound', 'ofBound', 0.95),
  mean('drop', 'total ÷ optimum', 'ofOptimum', 0.95),
  mean('outage', 'total ÷ optimum', 'ofOptimum', 0.985),
]

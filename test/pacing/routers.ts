import type { Month, World } from './month.ts'
import type { Router, Standing } from './simulate.ts'

/** What routers do today, to compare with: each takes a feasible backend where there is one, else local. */
export function simpleRouters(world: World): readonly Router[] {
  const count = world.backends.length
  let turn = 0
  const firstOf = (order: readonly number[], feasible: Uint8Array): number => order.find((b) => feasible[b] === 1) ?? count
  const declared = Array.from({ length: count }, (_, b) => b)
  const bySuitability = world.values.map((row) => declared.toSorted((a, b) => row[b]! - row[a]!))
  const spent = (b: number, standing: Standing): number => (standing.settled[b]! + standing.held[b]!) / world.quotas[b]!.quantity
  return [
    { name: 'fixed order', choose: (_month, _i, feasible) => firstOf(declared, feasible) },
    { name: 'favourite first', choose: (month: Month, i, feasible) => firstOf(bySuitability[month.type[i]!]!, feasible) },
    {
      name: 'round robin',
      choose: (_month, _i, feasible) => {
        for (let k = 0; k < count; k += 1) {
          turn = (turn + 1) % count
          if (feasible[turn] === 1) return turn
        }
        return count
      },
    },
    {
      name: 'least used first',
      choose: (_month, _i, feasible, standing) => {
        let best = count
        for (const b of declared) if (feasible[b] === 1 && (best === count || spent(b, standing) < spent(best, standing))) best = b
        return best
      },
    },
  ]
}

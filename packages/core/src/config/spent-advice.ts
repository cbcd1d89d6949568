import { NANO_PER_USD } from '../money.ts'
import type { Policy } from '../policy/policy.ts'
import { formatAmount } from './amount.ts'
import type { Issue } from './issues.ts'

/**
 * Advice on limits that are below what is spent already: nothing more fits them until their window ends.
 * @param settled by the policy's limits, in their order: what their windows count by now, in their unit.
 */
export function adviseOnSpent({ limits, origins }: Policy, settled: readonly number[]): readonly Issue[] {
  return limits.flatMap((limit, index) => {
    const spent = settled[index] ?? 0
    const origin = origins?.get(limit.name)
    if (spent <= limit.quantity || origin === undefined) return []
    const amount = limit.unit === 'usd' ? `${(spent / NANO_PER_USD).toFixed(2)} USD` : `${spent} ${limit.unit}`
    const consequence = limit.hard ? 'it takes no more calls until its window ends' : 'it is over as soon as the file is in force'
    return [
      {
        ...origin,
        message: `The limit \`${limit.name}\` is below what is spent already: ${consequence}`,
        found: `${formatAmount(limit)}, with ${amount} spent`,
        expected: 'more than is spent in its window, unless that is what you want',
      },
    ]
  })
}

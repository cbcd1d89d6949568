import { formatQuantity } from '../limit-text.ts'
import type { Unit } from '../limit.ts'
import type { Outlook } from './outlook.ts'
import type { Pacing } from './pacing.ts'

/** What can be said for and against a backend by how its quotas stand. */
export interface PacedReason {
  /** Why work is drawn to it, where its price is below 0. */
  readonly draws: string
  /** Why work is kept from it, where its price is above 0. */
  readonly spares: string
}

/** Less than this share is not worth a word. */
const WORTH_SAYING = 0.005

/** Why prices are as they are, in words for people, by backend of the plan. */
export function pacedReasons(pacing: Pacing): ReadonlyMap<string, PacedReason> {
  const { plan, outlooks } = pacing
  const byLimit = new Map(outlooks.map((outlook) => [outlook.limit, outlook]))
  return new Map(
    plan.backends.map((backend, index) => {
      const drawn = plan.limits.flatMap(({ backends }, limit) => (backends.includes(index) ? [limit] : []))
      const scarce = drawn.toSorted((a, b) => pacing.price(b) - pacing.price(a))[0]
      const quota = drawn.find((limit) => plan.limits[limit]?.quota)
      const outlook = quota === undefined ? undefined : byLimit.get(quota)
      const named = scarce === undefined || scarce === quota ? `${backend}'s quota` : (plan.limits[scarce]?.name ?? '')
      const ahead = scarce === quota && outlook !== undefined ? aheadOf(backend, outlook) : undefined
      return [
        backend,
        {
          draws: lapseOf(backend, outlook, quota === undefined ? 'usd' : (plan.limits[quota]?.unit ?? 'usd')) ?? `${backend}: what is paid for might lapse`,
          spares: ahead ?? `${named} is foreseen to run short`,
        },
      ]
    }),
  )
}

function lapseOf(backend: string, outlook: Outlook | undefined, unit: Unit): string | undefined {
  if (outlook === undefined || outlook.quantity === 0) return undefined
  const left = Math.max(0, Math.round(outlook.quantity - outlook.asRouted))
  const share = left / outlook.quantity
  return share < WORTH_SAYING ? undefined : `${backend}: ${Math.round(share * 100)}% of its quota (${formatQuantity(left, unit)}) would lapse`
}

function aheadOf(backend: string, { quantity, used, share }: Outlook): string | undefined {
  if (quantity === 0 || share === 0) return undefined
  const ahead = used / quantity / share - 1
  return ahead < WORTH_SAYING ? undefined : `${backend} is ${Math.round(ahead * 100)}% ahead of pace`
}

import { Forecaster, emptyHistory, countDemand, type DemandHistory } from '../../packages/core/src/policy/forecast.ts'
import { outlooksOf } from '../../packages/core/src/policy/outlook.ts'
import { DAY_MS, START_MS, type Month, type World } from './month.ts'
import { costOf, simulate, type Outage, type Router, type Standing } from './simulate.ts'

/** How well warnings at the middle of a month tell which quotas end below their floor. */
export interface AlertCount {
  hits: number
  falseAlarms: number
  misses: number
}

const ALERT_DAY = 15

/** Watches any router as the product watches its own, and says on day 15 which quotas will end below their floor. */
class Watch implements Router {
  readonly name: string
  readonly foretold: boolean[] = []
  readonly #router: Router
  readonly #world: World
  readonly #history: DemandHistory = emptyHistory()
  readonly #means: Float64Array
  #seen = 0

  constructor(router: Router, world: World) {
    this.name = router.name
    this.#router = router
    this.#world = world
    this.#means = new Float64Array(world.backends.length)
  }

  remember(month: Month, i: number): void {
    countDemand(this.#history, month.atMs[i]!)
    this.#router.remember?.(month, i)
  }

  choose(month: Month, i: number, feasible: Uint8Array, standing: Standing): number {
    countDemand(this.#history, month.atMs[i]!)
    this.#seen += 1
    for (let b = 0; b < this.#means.length; b += 1) this.#means[b]! += (costOf(this.#world, month, i, b) - this.#means[b]!) / this.#seen
    return this.#router.choose(month, i, feasible, standing)
  }

  settled(month: Month, i: number, backend: number, actual: number): void {
    this.#router.settled?.(month, i, backend, actual)
  }

  day(day: number, standing: Standing, atMs: number): void {
    this.#router.day?.(day, standing, atMs)
    if (day !== ALERT_DAY) return
    const { quotas, policy } = this.#world
    const capacity = quotas.reduce((sum, { quantity }, b) => sum + quantity / Math.max(1, this.#means[b]!) / 720, 0)
    const forecaster = new Forecaster(this.#history, atMs, capacity)
    const bounds = { startMs: START_MS, endMs: START_MS + 30 * DAY_MS }
    const forecast = forecaster.remaining(bounds)
    const views = quotas.map(({ quantity }, limit) => ({
      limit,
      standing: { quantity, used: standing.settled[limit]! + standing.held[limit]!, bounds },
      forecast,
      meanDraw: this.#means[limit]!,
      floor: policy.floors.backend,
    }))
    const outlooks = outlooksOf(views)
    for (const { belowFloor } of outlooks) this.foretold.push(belowFloor >= 0.45)
    const total = outlooks.reduce((sum, { expected }) => sum + expected, 0)
    const paid = outlooks.reduce((sum, { quantity }) => sum + quantity, 0)
    this.foretold.push(total < policy.floors.total * paid)
  }
}

/** Replays a month with monthly quotas and counts what day 15 foretold, for each backend and for the total. */
export function countAlerts(
  world: World,
  month: Month,
  router: Router,
  options: { readonly history?: Month; readonly outage?: Outage },
  backends: AlertCount,
  total: AlertCount,
): void {
  const watch = new Watch(router, world)
  const { used } = simulate(world, month, watch, options)
  const { floors } = world.policy
  const ends = world.quotas.map(({ quantity }, b) => used[b]! < floors.backend * quantity)
  const paid = world.quotas.reduce((sum, { quantity }) => sum + quantity, 0)
  ends.push(used.reduce((sum, one) => sum + one, 0) < floors.total * paid)
  ends.forEach((bad, k) => {
    const count = k === ends.length - 1 ? total : backends
    const foretold = watch.foretold[k] === true
    if (bad && foretold) count.hits += 1
    else if (foretold) count.falseAlarms += 1
    else if (bad) count.misses += 1
  })
}

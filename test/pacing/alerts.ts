import type { ReplayReport } from '../../packages/core/src/index.ts'
import { ALERTS } from '../../packages/core/src/notices/pacing-alerts.ts'
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
    for (const { belowFloor } of outlooks) this.foretold.push(belowFloor >= ALERTS.likely)
    // Use ÷ the share of the window's demand that has probably come. Adding up what each quota is heading for would hide what the total shows.
    const total = outlooks.reduce((sum, { used }) => sum + used, 0)
    const paid = outlooks.reduce((sum, { quantity }) => sum + quantity, 0)
    const share = outlooks[0]!.likelyShare
    this.foretold.push(total < paid * share * (policy.floors.total + ALERTS.totalMargin))
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
  judge(world, used, (k) => watch.foretold[k] === true, backends, total)
}

/** Counts what the product told of by day 15 of a month with monthly quotas. */
export function countTold(world: World, report: ReplayReport, backends: AlertCount, total: AlertCount): void {
  const untilMs = START_MS + (ALERT_DAY + 0.25) * DAY_MS
  const told = report.alerts.filter(({ time, severity }) => severity !== 'info' && Date.parse(time) <= untilMs)
  const isTold = (scope: string, kinds: readonly string[]): boolean => told.some((alert) => alert.scope === scope && kinds.includes(alert.kind))
  const used = world.quotas.map(({ quantity }, b) => (report.utilization[world.backends[b]!] ?? 0) * quantity)
  const foretold = (k: number): boolean => {
    const backend = world.backends[k]
    return backend === undefined ? isTold('total', ['too-conservative', 'demand-shortfall']) : isTold(backend, ['under-used'])
  }
  judge(world, used, foretold, backends, total)
}

/** @param used by backend, at the end. @param foretold by backend, then of the total. */
function judge(world: World, used: ArrayLike<number>, foretold: (k: number) => boolean, backends: AlertCount, total: AlertCount): void {
  const { floors } = world.policy
  const ends = world.quotas.map(({ quantity }, b) => used[b]! < floors.backend * quantity)
  const paid = world.quotas.reduce((sum, { quantity }) => sum + quantity, 0)
  ends.push(Array.from(used).reduce((sum, one) => sum + one, 0) < floors.total * paid)
  ends.forEach((bad, k) => {
    const count = k === ends.length - 1 ? total : backends
    if (bad && foretold(k)) count.hits += 1
    else if (foretold(k)) count.falseAlarms += 1
    else if (bad) count.misses += 1
  })
}

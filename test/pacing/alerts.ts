import type { ReplayReport } from '../../packages/core/src/index.ts'
import { countDemand, emptyHistory, Forecaster, SCENARIOS, type DemandHistory } from '../../packages/core/src/policy/forecast.ts'
import { chanceBelow, endsAsRouted } from '../../packages/core/src/policy/outlook.ts'
import { DAY_MS, START_MS, type Month, type World } from './month.ts'
import { costOf, simulate, type Outage, type Router, type Standing } from './simulate.ts'

/** How well warnings at the middle of a month tell which quotas end below their floor. */
export interface AlertCount {
  hits: number
  falseAlarms: number
  misses: number
}

const ALERT_DAY = 15

/** A router that nobody steers is foretold to miss a floor that it more likely misses than not; in total below this much above it, since forecasts lean towards what the quotas could take. */
const FORETOLD = { likely: 0.5, totalMargin: 0.05 }

export function noAlerts(): AlertCount {
  return { hits: 0, falseAlarms: 0, misses: 0 }
}

/** Watches any router by the product's forecast, and says on day 15 which quotas will end below their floor if work goes on being routed as it was. */
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
      open: 1,
      paid: quantity,
    }))
    const scenarios = SCENARIOS.map((_, scenario) => endsAsRouted(scenario, views))
    views.forEach(({ standing: { quantity }, floor }, b) => {
      const ends = scenarios.map((row) => row[b]!)
      this.foretold.push(chanceBelow(floor * quantity, ends) >= FORETOLD.likely)
    })
    // Use ÷ the share of the window's demand that has probably come. Adding up what each quota is heading for would hide what the total shows.
    const total = views.reduce((sum, { standing: { used } }) => sum + used, 0)
    const paid = quotas.reduce((sum, { quantity }) => sum + quantity, 0)
    const share = forecast.seen / (forecast.seen + forecast.scenarios[SCENARIOS.length >> 1]!)
    this.foretold.push(total < paid * share * (policy.floors.total + FORETOLD.totalMargin))
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

/** Counts what the product told of by day 15 of a month with monthly quotas. @param used by backend, at the end of the month. */
export function countTold(world: World, report: ReplayReport, used: ArrayLike<number>, backends: AlertCount, total: AlertCount): void {
  const untilMs = START_MS + (ALERT_DAY + 0.25) * DAY_MS
  const told = report.alerts.filter(({ time, severity }) => severity !== 'info' && Date.parse(time) <= untilMs)
  const isTold = (scope: string, kinds: readonly string[]): boolean => told.some((alert) => alert.scope === scope && kinds.includes(alert.kind))
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

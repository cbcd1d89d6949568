import { SCENARIOS, type Forecast } from './forecast.ts'
import type { LimitStanding } from './horizon.ts'

/** What is to be said of a quota: for reasons, alerts and reports. Quantities in the quota's unit. */
export interface Outlook {
  /** Index of the limit in the plan. */
  readonly limit: number
  readonly quantity: number
  readonly used: number
  /** Share of the window's expected demand that has passed, 0 to 1: `utilization ÷ share` is the pace. */
  readonly share: number
  /** Use at the window's end by scenario of demand, with pacing at work: see {@link pacedEnds}. */
  readonly ends: readonly number[]
  /** Of those: the tenth, half and nine tenths of outcomes. */
  readonly low: number
  readonly expected: number
  readonly high: number
  /** In the middle scenario, if nothing were done about it: see {@link endsAsRouted}. */
  readonly asRouted: number
  /** Requests that are expected until the window ends, wherever they go, and what one takes of this quota on average. */
  readonly ahead: number
  readonly meanDraw: number
}

/** A quota and what a request takes of it on average. */
export interface QuotaView {
  readonly limit: number
  readonly standing: LimitStanding
  readonly forecast: Forecast
  readonly meanDraw: number
  /** What pacing aims at as the least to be used, as a share of the quota. */
  readonly floor: number
  /** Share of the requests that may go to it: rules and pins keep others away. */
  readonly open: number
  /** What is paid for a window of it, nano-USD. */
  readonly paid: number
}

/** From half of a window on, no more is believed to come in the time that is left than thrice what came in as much time so far: forecasts lean towards what the quotas could take, and a router that is hardly used would never be told of. */
const BELIEVED = { fromElapsed: 0.5, timesPace: 3 }

const MIDDLE = SCENARIOS.length >> 1

/** Looks ahead to the ends of the quotas' windows, one scenario of demand at a time. @param sinceMs from when on demand is known. */
export function outlooksOf(views: readonly QuotaView[], nowMs: number, sinceMs: number): readonly Outlook[] {
  const quotas = views.map((view) => believed(view, nowMs, sinceMs))
  const scenarios = SCENARIOS.map((_, scenario) => pacedEnds(scenario, quotas))
  const asRouted = endsAsRouted(MIDDLE, quotas)
  return quotas.map(({ limit, standing: { quantity, used }, forecast, meanDraw }, index) => {
    const ends = scenarios.map((scenario) => scenario[index] ?? used)
    const ascending = ends.toSorted((a, b) => a - b)
    return {
      limit,
      quantity,
      used,
      share: forecast.share,
      ends,
      low: ascending.at(0) ?? used,
      expected: ascending.at(MIDDLE) ?? used,
      high: ascending.at(-1) ?? used,
      asRouted: asRouted[index] ?? used,
      ahead: forecast.mean,
      meanDraw,
    }
  })
}

function believed(view: QuotaView, nowMs: number, sinceMs: number): QuotaView {
  const { forecast, standing } = view
  const { startMs, endMs } = standing.bounds
  const watchedMs = nowMs - Math.max(startMs, sinceMs)
  if (watchedMs < BELIEVED.fromElapsed * (endMs - startMs)) return view
  const most = (BELIEVED.timesPace * forecast.seen * Math.max(0, endMs - nowMs)) / watchedMs
  return { ...view, forecast: { ...forecast, mean: Math.min(forecast.mean, most), scenarios: forecast.scenarios.map((requests) => Math.min(requests, most)) } }
}

/** The chance that less than `quantity` will have been used, 0 to 1, between the scenarios in proportion. @param ends one for each scenario. */
export function chanceBelow(quantity: number, ends: readonly number[]): number {
  let [chance, from] = [0, 0]
  for (const [scenario, end] of ends.toSorted((a, b) => a - b).entries()) {
    const quantile = SCENARIOS[scenario] ?? 1
    if (end >= quantity) return scenario === 0 || end === from ? chance : chance + ((quantile - chance) * (quantity - from)) / (end - from)
    ;[chance, from] = [quantile, end]
  }
  return 1
}

/**
 * Use at the end of each quota's window in one scenario, while pacing works for the floors: work goes on as it went where a floor still needs it. What is over fills
 * the other floors as far as it goes, then what is dearest. A quota whose floor is missed here is one that work is missing for, or that it may not go to.
 */
function pacedEnds(scenario: number, quotas: readonly QuotaView[]): readonly number[] {
  const coming = quotas.map(({ forecast }) => forecast.scenarios[scenario] ?? 0)
  const endMs = quotas.map(({ standing }) => standing.bounds.endMs)
  /** By quota: the calls that go there until its window ends. */
  const calls = quotas.map(() => 0)
  const wanted = (index: number, target: number): number => {
    const { standing, open, meanDraw } = quotas[index]!
    return meanDraw > 0 ? Math.max(0, Math.min(open * coming[index]!, (target * standing.quantity - standing.used) / meanDraw) - calls[index]!) : 0
  }
  /** Calls until its window ends that go nowhere yet. What goes to a quota of the month may come after the week, not the other way round. */
  const free = (index: number): number => {
    let least = Number.POSITIVE_INFINITY
    for (const [k, ms] of endMs.entries()) {
      if (ms < endMs[index]!) continue
      least = Math.min(
        least,
        calls.reduce((left, taken, other) => (endMs[other]! <= ms ? left - taken : left), coming[k]!),
      )
    }
    return Math.max(0, least)
  }
  const give = (index: number, more: number): void => {
    calls[index]! += Math.min(free(index), more)
  }
  quotas.forEach((quota, index) => give(index, Math.min(wanted(index, quota.floor), routedShare(quota, quotas.length) * coming[index]!)))
  for (const ms of [...new Set(endMs)].sort((a, b) => a - b)) {
    const ending = [...quotas.keys()].filter((index) => endMs[index] === ms)
    const missing = ending.map((index) => wanted(index, quotas[index]!.floor))
    const sum = missing.reduce((total, one) => total + one, 0)
    const filled = sum > 0 ? Math.min(1, free(ending[0]!) / sum) : 0
    ending.forEach((index, k) => give(index, filled * missing[k]!))
  }
  const worth = ({ paid, standing, meanDraw }: QuotaView): number => (standing.quantity > 0 ? (paid * meanDraw) / standing.quantity : 0)
  for (const index of [...quotas.keys()].toSorted((a, b) => worth(quotas[b]!) - worth(quotas[a]!))) give(index, wanted(index, 1))
  return quotas.map(({ standing: { quantity, used }, meanDraw }, index) => Math.min(quantity, used + calls[index]! * meanDraw))
}

/** Share of the requests of a sample that may go to one of these backends. @param columns of each: what it takes by request; null where that may not go there. */
export function openShare(columns: readonly (readonly (number | null)[])[]): number {
  const requests = columns[0]?.length ?? 0
  let open = 0
  for (let request = 0; request < requests; request += 1) if (goesSomewhere(columns, request)) open += 1
  return open / Math.max(1, requests)
}

function goesSomewhere(columns: readonly (readonly (number | null)[])[], request: number): boolean {
  for (const column of columns) if (typeof column[request] === 'number') return true
  return false
}

/** The share of the calls so far that went to a quota, as if each had been a mean one. */
function routedShare(quota: QuotaView, quotas: number): number {
  return quota.meanDraw > 0 ? routedDraw(quota, quotas) / quota.meanDraw : 0
}

/** What a request took of a quota so far, whatever it was asked for; before the first one, an even part. */
function routedDraw({ standing, forecast, meanDraw }: QuotaView, quotas: number): number {
  return forecast.seen > 0 ? standing.used / forecast.seen : meanDraw / quotas
}

/** Use at the end of each quota's window in one scenario if work goes on being routed as it was. What does not fit in one quota spills over to the others, by the room that they have. */
export function endsAsRouted(scenario: number, quotas: readonly QuotaView[]): readonly number[] {
  let spilled = 0
  let room = 0
  const alone = quotas.map((quota) => {
    const { standing, forecast, meanDraw } = quota
    const { quantity, used } = standing
    const end = used + routedDraw(quota, quotas.length) * (forecast.scenarios[scenario] ?? 0)
    // In requests, since a request takes more of one quota than of another.
    if (meanDraw > 0) {
      spilled += Math.max(0, end - quantity) / meanDraw
      room += Math.max(0, quantity - end) / meanDraw
    }
    return { end, quantity }
  })
  const filled = room > 0 ? Math.min(1, spilled / room) : 0
  return alone.map(({ end, quantity }) => (end >= quantity ? quantity : end + filled * (quantity - end)))
}

import type { Bounds } from '../windows.ts'

/** A limit at the moment when prices are worked out. Quantities in its own unit. */
export interface LimitStanding {
  readonly quantity: number
  /** Settled, held and presumed in its current window. */
  readonly used: number
  /** Its window; of one that has not begun, or that rolls: from now for its span. */
  readonly bounds: Bounds
}

/** A window of a limit, or several short ones taken together: what one price is for. */
export interface Resource {
  readonly limit: number
  readonly capacity: number
  /** What was used of it already: of its current window; else 0. */
  readonly used: number
}

/** The time until the last window ends, cut where windows end: within a period every limit has one price. */
export interface Horizon {
  /** Ends of the periods, ascending; the first begins now. */
  readonly ends: readonly number[]
  readonly resources: readonly Resource[]
  /** By limit, by period: the resource that it stands for. */
  readonly resourceOf: readonly (readonly number[])[]
}

/** More periods would thin the sample out; windows that end beyond them are taken together. */
const MAX_PERIODS = 8

/** @param recoveries when backends that are down are expected back. */
export function horizonOf(standings: readonly LimitStanding[], nowMs: number, recoveries: readonly number[]): Horizon {
  const endMs = Math.max(nowMs + 1, ...standings.map(({ bounds }) => bounds.endMs))
  const ends = cuts(standings, nowMs, endMs, recoveries)
  const resources: Resource[] = []
  const resourceOf = standings.map(({ quantity, used, bounds }, limit) => {
    const spanMs = bounds.endMs - bounds.startMs
    let open = -1
    let openUntilMs = nowMs
    let beginMs = nowMs
    return ends.map((periodEndMs) => {
      const fromMs = beginMs
      beginMs = periodEndMs
      if (fromMs < openUntilMs) return open
      const first = fromMs < bounds.endMs
      const windowEndMs = first ? bounds.endMs : fromMs + spanMs
      // Windows shorter than the period: as many as begin in it, together.
      const windows = first ? 1 : Math.max(1, (periodEndMs - fromMs) / spanMs)
      openUntilMs = first ? Math.min(bounds.endMs, endMs) : Math.max(periodEndMs, windowEndMs)
      open = resources.push({ limit, capacity: quantity * windows, used: first ? Math.min(used, quantity) : 0 }) - 1
      return open
    })
  })
  return { ends, resources, resourceOf }
}

function cuts(standings: readonly LimitStanding[], nowMs: number, endMs: number, recoveries: readonly number[]): readonly number[] {
  const current = [...recoveries, ...standings.map(({ bounds }) => bounds.endMs)]
  const later: number[] = []
  for (const { bounds } of standings) {
    const spanMs = bounds.endMs - bounds.startMs
    for (let k = 1; k <= MAX_PERIODS && bounds.endMs + k * spanMs < endMs; k += 1) {
      // Of windows much shorter than the horizon only the current one has a period of its own.
      if (spanMs * MAX_PERIODS >= endMs - bounds.endMs) later.push(bounds.endMs + k * spanMs)
    }
  }
  const distinct = (times: readonly number[]): number[] => [...new Set(times.filter((time) => time > nowMs && time < endMs))].sort((a, b) => a - b)
  const first = distinct(current)
  return [...distinct([...first, ...distinct(later).slice(0, MAX_PERIODS - 1 - Math.min(first.length, MAX_PERIODS - 1))]).slice(0, MAX_PERIODS - 1), endMs]
}

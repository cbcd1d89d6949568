import { MancipleError } from './errors.ts'
import { isoInstant } from './instant.ts'
import type { Ledger } from './ledger/ledger.ts'
import type { Observation } from './ledger/record.ts'
import { quantityOf, type MeterState, type Unit } from './limit.ts'
import type { Backend, Policy } from './policy/policy.ts'
import { isAnchored, quarterOf } from './windows.ts'

/** What a provider says of a quota. */
export interface QuotaReading {
  /** Share of the quota that is used, 0 to 1; 1 also where the provider reports more than all of it. */
  readonly used: number
  /** Name of the limit that is read, of this backend as a whole; its quota unless given. */
  readonly quota?: string
  /** When it was so, not later than now; now unless given. */
  readonly at?: Date
  /** Who says so: stands in every reason that the reading gives. */
  readonly source: string
}

/** A reading this fresh is of now: what was settled up to now is compared with it. Of an older one only what was settled before its quarter-hour is: too little, so that it errs on the side of less room. */
const FRESH_MS = 60_000
const MAX_SOURCE = 256

/** @throws MancipleError `BACKEND_UNKNOWN`, `REQUEST_INVALID`. */
export function observationOf(backend: string, reading: QuotaReading, policy: Policy, ledger: Ledger, nowMs: number): Observation {
  const { used, source } = reading
  if (!(used >= 0 && used <= 1)) {
    throw new MancipleError('REQUEST_INVALID', `used: expected a share from 0 to 1, found ${used}; 1 is all of it, also where more than all is reported`)
  }
  if (typeof source !== 'string' || source === '' || source.length > MAX_SOURCE) {
    throw new MancipleError('REQUEST_INVALID', `source: expected 1 to ${MAX_SOURCE} characters that name who says so`)
  }
  const atMs = Math.min(nowMs, timeOf(reading, nowMs))
  const observation = { backend, used, at: isoInstant(atMs), source }
  const meter = readMeter(backendNamed(backend, policy), reading.quota, ledger.meters)
  if (meter === undefined) return observation
  const { limit, settled, bounds } = meter
  const { window, unit } = limit
  if (!isAnchored(window)) return observation
  if (bounds !== undefined && atMs >= bounds.startMs) {
    const sinceMs = quarterOf(atMs)
    const later = nowMs - atMs <= FRESH_MS ? 0 : spentOf(backend, unit, ledger, sinceMs, nowMs)
    return { ...observation, limit: limit.name, settled: Math.max(0, settled - later), until: isoInstant(bounds.endMs) }
  }
  // The provider's window has begun and ours has not: it ends within its span. Of any other window that has not begun by then, the reading is of one that is over.
  const untilMs = window.kind === 'first-use' && bounds === undefined ? atMs + window.spanMs : atMs
  return { ...observation, limit: limit.name, settled: 0, until: isoInstant(untilMs) }
}

/** Clocks differ a little: what is read of the next minute is of now. */
function timeOf({ at }: QuotaReading, nowMs: number): number {
  const atMs = at?.getTime() ?? nowMs
  if (Number.isNaN(atMs)) throw new MancipleError('REQUEST_INVALID', 'at: expected a time')
  if (atMs <= nowMs + FRESH_MS) return atMs
  throw new MancipleError('REQUEST_INVALID', `at: nothing can have been read at ${isoInstant(atMs)}, it is ${isoInstant(nowMs)}`)
}

function backendNamed(name: string, { backends }: Policy): Backend {
  const found = backends.find((backend) => backend.name === name)
  if (found !== undefined) return found
  throw new MancipleError('BACKEND_UNKNOWN', `backend ${JSON.stringify(name)}: the policy has ${backends.map((one) => one.name).join(', ')}`)
}

/** @returns undefined for a backend without a quota: its reading is kept, and limits nothing. */
function readMeter({ name, quota }: Backend, asked: string | undefined, meters: readonly MeterState[]): MeterState | undefined {
  const own = meters.filter(
    ({ limit: { scope, window } }) => scope.backend === name && scope.model === undefined && scope.taskType === undefined && isAnchored(window),
  )
  const found = own.find(({ limit }) => limit.name === (asked ?? quota))
  if (found !== undefined || asked === undefined) return found
  const names = own.map(({ limit }) => limit.name).join(', ')
  throw new MancipleError(
    'REQUEST_INVALID',
    `quota: ${JSON.stringify(asked)} is no limit of ${name} in a window with a start; it has ${names === '' ? 'none' : names}`,
  )
}

function spentOf(backend: string, unit: Unit, ledger: Ledger, fromMs: number, toMs: number): number {
  let sum = 0
  for (const row of ledger.spend(fromMs, toMs + 1)) {
    if (row.backend === backend) sum += quantityOf(unit, row)
  }
  return sum
}

import { formatInstant, isoInstant } from '../instant.ts'
import { quantityOf, type MeterState, type Quantities } from '../limit.ts'
import { formatQuantity, readingText } from '../limit-text.ts'
import { NANO_PER_USD } from '../money.ts'
import type { Assessment } from '../policy/decide.ts'
import { spentOf } from '../policy/measures.ts'
import type { Backend, Policy, Rule } from '../policy/policy.ts'
import type { PreparedPolicy } from '../policy/prepare.ts'
import type { StandingMatch } from '../policy/rule-set.ts'
import { DAY_MS, type Calendar } from '../windows.ts'
import type { Notice, NoticeBody } from './notice.ts'

/** Before any call has been seen, an ordinary one is taken to cost a cent. */
const FIRST_ORDINARY: Quantities = { costNano: NANO_PER_USD / 100, tokens: 1_000, requests: 1 }
const REMEMBERED_HOLDS = 101
/** The median is worked out anew after this many holds. */
const REFRESH_EVERY = 50

/** The median hold of late: what "room for an ordinary call" means. Worked out when it is asked for, never in the path of a decision. */
export class OrdinaryCall {
  readonly #costNano = new Float64Array(REMEMBERED_HOLDS)
  readonly #tokens = new Float64Array(REMEMBERED_HOLDS)
  readonly #sorted = new Float64Array(REMEMBERED_HOLDS)
  #seen = 0
  #median: Quantities = FIRST_ORDINARY
  #medianAt = 0

  /** @param hold of a cloud call that was not shortened. */
  saw({ costNano, tokens }: Quantities): void {
    const slot = this.#seen % REMEMBERED_HOLDS
    this.#costNano[slot] = costNano
    this.#tokens[slot] = tokens
    this.#seen += 1
  }

  get median(): Quantities {
    if (this.#seen > 0 && (this.#medianAt === 0 || this.#seen - this.#medianAt >= REFRESH_EVERY)) {
      this.#median = { costNano: this.#middle(this.#costNano), tokens: this.#middle(this.#tokens), requests: 1 }
      this.#medianAt = this.#seen
    }
    return this.#median
  }

  #middle(holds: Float64Array): number {
    const count = Math.min(this.#seen, REMEMBERED_HOLDS)
    this.#sorted.set(holds)
    const sorted = count < REMEMBERED_HOLDS ? this.#sorted.subarray(0, count).sort() : this.#sorted.sort()
    return sorted[count >> 1] ?? 0
  }
}

/** A cloud backend of a policy, as the triggers look at it. */
interface WatchedBackend {
  readonly backend: Backend
  /** Indexes of the hard limits that cover an ordinary call of it. */
  readonly limits: readonly number[]
  readonly quota: WatchedQuota | undefined
}

interface WatchedQuota {
  /** Index of the limit. */
  readonly limit: number
  /** Shares of it below which little is left. */
  readonly low: LowShare
  readonly lower: LowShare
}

interface LowShare {
  readonly below: number
  readonly text: string
  readonly subject: string
}

/** What the triggers look at of a policy: found once, since they look after each settle. */
export interface Watched {
  readonly policy: Policy
  readonly calendar: Calendar
  readonly cloud: readonly WatchedBackend[]
  /** Indexes of limits, by name. */
  readonly places: ReadonlyMap<string, number>
}

export function watch({ policy, planner, calendar }: PreparedPolicy): Watched {
  const places = new Map(policy.limits.map(({ name }, index) => [name, index]))
  const { lowRemaining } = policy.floors
  const quotaOf = (name: string): WatchedQuota | undefined => {
    const limit = places.get(name)
    return limit === undefined ? undefined : { limit, low: lowShare(name, lowRemaining), lower: lowShare(name, lowRemaining / 2) }
  }
  const watchedOf = (backend: Backend): WatchedBackend => ({
    backend,
    limits: planner.limitsOf(backend, backend.models[0] ?? '', null).filter((index) => policy.limits[index]?.hard === true),
    quota: quotaOf(backend.quota ?? ''),
  })
  return { policy, calendar, cloud: policy.backends.filter(({ kind }) => kind === 'cloud').map(watchedOf), places }
}

function lowShare(limit: string, below: number): LowShare {
  const text = `${Number((below * 100).toFixed(2))}%`
  return { below, text, subject: `${limit} ${text}` }
}

/** What the triggers look at. */
export interface TriggerView {
  readonly watched: Watched
  /** One per limit of the policy, in its order. */
  readonly meters: readonly MeterState[]
  readonly ordinary: Quantities
  readonly nowMs: number
  /** The latest `local-only` or `restored` notice. */
  readonly lastCloudState: Notice | undefined
}

/** Tells each occasion once per episode. Most have been told: they cost a look-up, and no text is made. */
export interface Teller {
  /**
   * Whether it is still to be told; from then on it counts as told.
   * @param subject what it is about; with the kind, what is told once per episode.
   * @param episodeMs when the episode began or, of `local-only`, ends: ms since the epoch. Undefined: it lasts as long as the policy.
   */
  isNew(kind: string, subject: string, episodeMs: number | undefined): boolean
  post(body: NoticeBody, nowMs: number): void
}

/** Tells all that there is to tell now. Runs after each settle. */
export function tellOccasions(view: TriggerView, standing: readonly StandingMatch[], teller: Teller): void {
  for (const meter of view.meters) if (meter.limit.hard && !hasRoom(meter, view.ordinary)) limitReached(meter, view, teller)
  for (const { backend, quota } of view.watched.cloud) {
    const meter = quota === undefined ? undefined : view.meters[quota.limit]
    const share = quota === undefined || meter === undefined ? undefined : lowShareOf(quota, meter)
    if (meter !== undefined && share !== undefined) lowRemaining(backend, meter, share, view, teller)
  }
  cloudState(view, teller)
  for (const { rule, backend } of standing) if (rule.event.type === 'notify') tellMatch(rule, backend, view, teller)
}

/** Of a rule whose event is `notify`. */
export function tellMatch(rule: Rule, backend: Backend | undefined, view: TriggerView, teller: Teller): void {
  const { params } = rule.event
  const kind = params.kind ?? 'rule'
  const meter = meterNamed(view, params.limit ?? backend?.quota)
  const scope = params.limit ?? backend?.name ?? (params.kind === undefined ? 'policy' : 'total')
  const episodeMs = meter === undefined ? episodeOfTotal(view) : episodeOf(meter, view)
  const subject = params.kind === undefined ? rule.name : scope
  const text = params.message ?? rule.name
  if (!teller.isNew(kind, subject, episodeMs)) return
  teller.post(
    {
      severity: params.severity ?? 'info',
      kind,
      scope,
      episode: `${subject}@${isoInstant(episodeMs)}`,
      text: meter === undefined ? text : `${text}: ${standingOf(meter, view)}`,
      data: { rule: rule.name, ...(meter === undefined ? {} : figures(meter)) },
    },
    view.nowMs,
  )
}

/** An anchored window is one episode; a rolling one, which never ends, has one a day. */
function episodeOf({ limit, bounds }: MeterState, view: TriggerView): number {
  return bounds === undefined || limit.window.kind === 'rolling' ? startOfDay(view) : bounds.startMs
}

/** What concerns no single window is told once per longest quota window, or once a day where there is none. */
function episodeOfTotal(view: TriggerView): number {
  const { policy, places } = view.watched
  const starts = policy.backends.flatMap(({ quota }) => view.meters[places.get(quota ?? '') ?? -1]?.bounds?.startMs ?? [])
  return starts.length === 0 ? startOfDay(view) : Math.min(...starts)
}

function startOfDay({ watched, nowMs }: TriggerView): number {
  return watched.calendar.bounds({ kind: 'day' }, nowMs).startMs
}

function limitReached(meter: MeterState, view: TriggerView, teller: Teller): void {
  const { name } = meter.limit
  const episodeMs = episodeOf(meter, view)
  if (!teller.isNew('limit-reached', name, episodeMs)) return
  teller.post(
    {
      severity: 'warning',
      kind: 'limit-reached',
      scope: name,
      episode: `${name}@${isoInstant(episodeMs)}`,
      text: `${name} is reached: ${standingOf(meter, view)}`,
      data: figures(meter),
    },
    view.nowMs,
  )
}

/** The smaller of the shares that a quota has fallen below. */
function lowShareOf({ low, lower }: WatchedQuota, meter: MeterState): LowShare | undefined {
  if (meter.limit.quantity === 0) return undefined
  const left = 1 - spentOf(meter)
  if (left >= low.below) return undefined
  return left < lower.below ? lower : low
}

/** A quota that nears its end, at the policy's share of what is left and at half of it. Work shifts by its price; nothing is blocked before the end. */
function lowRemaining(backend: Backend, meter: MeterState, { below, text, subject }: LowShare, view: TriggerView, teller: Teller): void {
  const episodeMs = episodeOf(meter, view)
  const scope = meter.limit.name
  if (!teller.isNew('low-remaining', subject, episodeMs)) return
  teller.post(
    {
      severity: 'warning',
      kind: 'low-remaining',
      scope,
      episode: `${scope}@${isoInstant(episodeMs)} ${text}`,
      text: `${backend.name}: less than ${text} of its quota is left; work shifts to others, nothing is blocked: ${standingOf(meter, view)}`,
      data: { ...figures(meter), below },
    },
    view.nowMs,
  )
}

/**
 * `local-only` while no cloud backend has room for an ordinary call, `restored` when one has again.
 * Holds do not count: they come back, and a burst of them must not look like an empty purse.
 */
function cloudState(view: TriggerView, teller: Teller): void {
  const { lastCloudState } = view
  const open = openBackend(view)
  if (open === undefined && view.watched.cloud.length > 0) {
    const reset = resetOfAll(view)
    if (lastCloudState?.kind !== 'local-only' || !stillTrue(lastCloudState, reset, view.nowMs)) localOnly(view, reset, teller)
  } else if (lastCloudState?.kind === 'local-only') restored(open, lastCloudState, view, teller)
}

function restored(open: Backend | undefined, { number, episode }: Notice, view: TriggerView, teller: Teller): void {
  if (!teller.isNew('restored', 'total', number)) return
  teller.post(
    {
      severity: 'info',
      kind: 'restored',
      scope: 'total',
      episode,
      text: `Cloud budget restored: ${open?.name ?? 'a cloud backend'} has room again`,
      data: { backend: open?.name ?? null },
    },
    view.nowMs,
  )
}

/** Whether what was announced need not be said anew: its reset lies ahead, and has not moved by a day or more, as it does when a month runs out after a day. */
function stillTrue({ data }: Notice, reset: number | undefined, nowMs: number): boolean {
  if (typeof data['reset'] !== 'string') return reset === undefined
  const announced = Date.parse(data['reset'])
  return nowMs < announced && reset !== undefined && reset < announced + DAY_MS
}

function localOnly(view: TriggerView, reset: number | undefined, teller: Teller): void {
  const { timezone, version } = view.watched.policy
  const until = (): string => (reset === undefined ? 'a limit is raised' : formatInstant(reset, timezone))
  if (!teller.isNew('local-only', 'total', reset)) return
  teller.post(
    {
      severity: 'alert',
      kind: 'local-only',
      scope: 'total',
      episode: reset === undefined ? `policy ${version}` : `until ${isoInstant(reset)}`,
      text: `Cloud budget exhausted, operating local-only until ${until()}`,
      data: { reset: reset === undefined ? null : isoInstant(reset), timezone },
    },
    view.nowMs,
  )
}

/** The first cloud backend with room for an ordinary call. */
function openBackend({ watched, meters, ordinary }: TriggerView): Backend | undefined {
  for (const { backend, limits } of watched.cloud) if (!isBlocked(limits, meters, ordinary)) return backend
  return undefined
}

function isBlocked(limits: readonly number[], meters: readonly MeterState[], ordinary: Quantities): boolean {
  for (const index of limits) {
    const meter = meters[index]
    if (meter !== undefined && !hasRoom(meter, ordinary)) return true
  }
  return false
}

function hasRoom(meter: MeterState, ordinary: Quantities): boolean {
  return meter.settled + meter.presumed + meter.beside + quantityOf(meter.limit.unit, ordinary) <= meter.limit.quantity
}

/** The earliest time at which some cloud backend has room in all its limits for an ordinary call. */
function resetOfAll({ watched, meters, ordinary }: TriggerView): number | undefined {
  let earliest: number | undefined
  for (const { limits } of watched.cloud) {
    const full = limits.filter((index) => meters[index] !== undefined && !hasRoom(meters[index], ordinary))
    earliest = earlier(earliest, roomInAll(full, meters, ordinary))
  }
  return earliest
}

/** When there is room in each of these limits; undefined where one is too small. */
function roomInAll(limits: readonly number[], meters: readonly MeterState[], wanted: Quantities): number | undefined {
  let latest = Number.NEGATIVE_INFINITY
  for (const index of limits) {
    const meter = meters[index]
    if (meter === undefined) continue
    const roomMs = meter.roomAt(quantityOf(meter.limit.unit, wanted))
    if (roomMs === undefined) return undefined
    latest = Math.max(latest, roomMs)
  }
  return latest
}

function earlier(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || (other !== undefined && other < one) ? other : one
}

/** When a call that found no room could first be served by some cloud backend. @param ordinary what stands for a call whose size is not known. */
export function resetOf(assessments: readonly Assessment[], meters: readonly MeterState[], ordinary: Quantities): number | undefined {
  let earliest: number | undefined
  for (const { out, limits, estimate } of assessments) {
    if (out === 'no-room') earliest = earlier(earliest, roomInAll(limits, meters, estimate ?? ordinary))
  }
  return earliest
}

function meterNamed({ meters, watched }: TriggerView, name: string | undefined): MeterState | undefined {
  return name === undefined ? undefined : meters[watched.places.get(name) ?? -1]
}

function standingOf(meter: MeterState, view: TriggerView): string {
  const { limit, settled, presumed, beside, bounds } = meter
  const share = limit.quantity === 0 ? 100 : Math.floor(((settled + beside) / limit.quantity) * 100)
  const extra = presumed === 0 ? '' : `, ${formatQuantity(presumed, limit.unit)} presumed spent`
  const read = beside === 0 ? '' : `, ${readingText(meter, view.nowMs)}`
  const reset = bounds === undefined || limit.window.kind === 'rolling' ? '' : `, resets ${formatInstant(bounds.endMs, view.watched.policy.timezone)}`
  return `${formatQuantity(settled + beside, limit.unit)} of ${formatQuantity(limit.quantity, limit.unit)} spent (${share}%)${extra}${read}${reset}`
}

function figures(meter: MeterState): Record<string, string | number> {
  const { limit, settled, presumed, beside } = meter
  return { limit: limit.name, unit: limit.unit, quantity: limit.quantity, settled, presumed, beside }
}

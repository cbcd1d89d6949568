import { formatInstant, isoInstant } from '../instant.ts'
import { quantityOf, type MeterState, type Quantities } from '../limit.ts'
import { formatQuantity, readingText } from '../limit-text.ts'
import { NANO_PER_USD } from '../money.ts'
import type { Assessment } from '../policy/decide.ts'
import { spentOf } from '../policy/measures.ts'
import type { Backend, Policy, Rule } from '../policy/policy.ts'
import type { StandingMatch } from '../policy/rule-set.ts'
import type { Calendar } from '../windows.ts'
import type { Notice, NoticeBody } from './notice.ts'

/** Before any call has been seen, an ordinary one is taken to cost a cent. */
const FIRST_ORDINARY: Quantities = { costNano: NANO_PER_USD / 100, tokens: 1_000, requests: 1 }
const DAY_MS = 86_400_000
const REMEMBERED_HOLDS = 101
/** The median is worked out anew after this many holds. */
const REFRESH_EVERY = 50

/** The median hold of late: what "room for an ordinary call" means. Worked out when it is asked for, never in the path of a decision. */
export class OrdinaryCall {
  readonly #recent: Quantities[] = []
  #seen = 0
  #median: Quantities = FIRST_ORDINARY
  #medianAt = 0

  /** @param hold of a cloud call that was not shortened. */
  saw(hold: Quantities): void {
    this.#recent[this.#seen % REMEMBERED_HOLDS] = hold
    this.#seen += 1
  }

  get median(): Quantities {
    if (this.#seen > 0 && (this.#medianAt === 0 || this.#seen - this.#medianAt >= REFRESH_EVERY)) {
      this.#median = { costNano: middle(this.#recent, 'costNano'), tokens: middle(this.#recent, 'tokens'), requests: 1 }
      this.#medianAt = this.#seen
    }
    return this.#median
  }
}

function middle(holds: readonly Quantities[], key: 'costNano' | 'tokens'): number {
  const sorted = new Float64Array(holds.length)
  for (let index = 0; index < sorted.length; index += 1) sorted[index] = holds[index]?.[key] ?? 0
  sorted.sort()
  return sorted[sorted.length >> 1] ?? FIRST_ORDINARY[key]
}

const NONE: readonly MeterState[] = []
const NOTHING_DUE: readonly Occasion[] = []

/** What the triggers look at. */
export interface TriggerView {
  readonly policy: Policy
  readonly calendar: Calendar
  /** One per limit of the policy, in its order. */
  readonly meters: readonly MeterState[]
  /** Indexes of the limits that cover an ordinary call of a backend. */
  readonly limitsOf: (backend: Backend) => readonly number[]
  readonly ordinary: Quantities
  readonly nowMs: number
  /** The latest `local-only` or `restored` notice. */
  readonly lastCloudState: Notice | undefined
}

/** Something to tell, once per episode. The text is made only when it has not been told yet: most occasions have been. */
export interface Occasion {
  readonly kind: string
  /** What it is about; with the kind, what is told once per episode. */
  readonly subject: string
  /** When the episode began or, of `local-only`, ends: ms since the epoch. Undefined: it lasts as long as the policy. */
  readonly episodeMs: number | undefined
  body(): NoticeBody
}

export function occasions(view: TriggerView, standing: readonly StandingMatch[]): readonly Occasion[] {
  const due = [...reached(view), ...lowRemaining(view), ...cloudState(view)]
  for (const { rule, backend } of standing) if (rule.event.type === 'notify') due.push(ruleMatch(rule, backend, view))
  return due
}

/** Of a rule whose event is `notify`. */
export function ruleMatch(rule: Rule, backend: Backend | undefined, view: TriggerView): Occasion {
  const { params } = rule.event
  const kind = params.kind ?? 'rule'
  const meter = meterNamed(view, params.limit ?? backend?.quota)
  const scope = params.limit ?? backend?.name ?? (params.kind === undefined ? 'policy' : 'total')
  const episodeMs = meter === undefined ? episodeOfTotal(view) : episodeOf(meter, view)
  const subject = params.kind === undefined ? rule.name : scope
  const text = params.message ?? rule.name
  return {
    kind,
    subject,
    episodeMs,
    body: () => ({
      severity: params.severity ?? 'info',
      kind,
      scope,
      episode: `${subject}@${isoInstant(episodeMs)}`,
      text: meter === undefined ? text : `${text}: ${standingOf(meter, view)}`,
      data: { rule: rule.name, ...(meter === undefined ? {} : figures(meter)) },
    }),
  }
}

/** An anchored window is one episode; a rolling one, which never ends, has one a day. */
function episodeOf({ limit, bounds }: MeterState, view: TriggerView): number {
  return bounds === undefined || limit.window.kind === 'rolling' ? startOfDay(view) : bounds.startMs
}

/** What concerns no single window is told once per longest quota window, or once a day where there is none. */
function episodeOfTotal(view: TriggerView): number {
  const starts = view.policy.backends.flatMap((backend) => meterNamed(view, backend.quota)?.bounds?.startMs ?? [])
  return starts.length === 0 ? startOfDay(view) : Math.min(...starts)
}

function startOfDay({ calendar, nowMs }: TriggerView): number {
  return calendar.bounds({ kind: 'day' }, nowMs).startMs
}

function reached(view: TriggerView): Occasion[] {
  const due: Occasion[] = []
  for (const meter of view.meters) if (meter.limit.hard && !hasRoom(meter, view.ordinary)) due.push(limitReached(meter, view))
  return due
}

function limitReached(meter: MeterState, view: TriggerView): Occasion {
  const { name } = meter.limit
  const episodeMs = episodeOf(meter, view)
  const body = (): NoticeBody => ({
    severity: 'warning',
    kind: 'limit-reached',
    scope: name,
    episode: `${name}@${isoInstant(episodeMs)}`,
    text: `${name} is reached: ${standingOf(meter, view)}`,
    data: figures(meter),
  })
  return { kind: 'limit-reached', subject: name, episodeMs, body }
}

/** A quota that nears its end, at the policy's share of what is left and at half of it. Work shifts by its price; nothing is blocked before the end. */
function lowRemaining(view: TriggerView): Occasion[] {
  const { floors, backends } = view.policy
  return backends.flatMap(({ name, kind, quota }): readonly Occasion[] => {
    const meter = kind === 'cloud' ? meterNamed(view, quota) : undefined
    if (meter === undefined || meter.limit.quantity === 0) return NOTHING_DUE
    const left = 1 - spentOf(meter)
    if (left >= floors.lowRemaining) return NOTHING_DUE
    const below = left < floors.lowRemaining / 2 ? floors.lowRemaining / 2 : floors.lowRemaining
    const episodeMs = episodeOf(meter, view)
    const share = `${Number((below * 100).toFixed(2))}%`
    const scope = meter.limit.name
    const body = (): NoticeBody => ({
      severity: 'warning',
      kind: 'low-remaining',
      scope,
      episode: `${scope}@${isoInstant(episodeMs)} ${share}`,
      text: `${name}: less than ${share} of its quota is left; work shifts to others, nothing is blocked: ${standingOf(meter, view)}`,
      data: { ...figures(meter), below },
    })
    return [{ kind: 'low-remaining', subject: `${scope} ${share}`, episodeMs, body }]
  })
}

/**
 * `local-only` while no cloud backend has room for an ordinary call, `restored` when one has again.
 * Holds do not count: they come back, and a burst of them must not look like an empty purse.
 */
function cloudState(view: TriggerView): readonly Occasion[] {
  if (view.lastCloudState?.kind !== 'local-only' && view.policy.backends.some((backend) => isOpen(backend, view))) return NOTHING_DUE
  const cloud = view.policy.backends.filter((backend) => backend.kind === 'cloud')
  const blocked = cloud.map((backend) => view.limitsOf(backend).flatMap((index) => blocking(view.meters[index], view.ordinary)))
  const exhausted = cloud.length > 0 && blocked.every((meters) => meters.length > 0)
  const { lastCloudState } = view
  if (exhausted) {
    const reset = resetMs(blocked.map((meters) => ({ meters, wanted: view.ordinary })))
    return lastCloudState?.kind === 'local-only' && stillTrue(lastCloudState, reset, view.nowMs) ? [] : [localOnly(view, reset)]
  }
  if (lastCloudState?.kind !== 'local-only') return []
  const open = cloud.find((_, index) => blocked[index]?.length === 0)
  const body = (): NoticeBody => ({
    severity: 'info',
    kind: 'restored',
    scope: 'total',
    episode: lastCloudState.episode,
    text: `Cloud budget restored: ${open?.name ?? 'a cloud backend'} has room again`,
    data: { backend: open?.name ?? null },
  })
  return [{ kind: 'restored', subject: 'total', episodeMs: lastCloudState.number, body }]
}

/** Whether what was announced need not be said anew: its reset lies ahead, and has not moved by a day or more, as it does when a month runs out after a day. */
function stillTrue({ data }: Notice, reset: number | undefined, nowMs: number): boolean {
  if (typeof data['reset'] !== 'string') return reset === undefined
  const announced = Date.parse(data['reset'])
  return nowMs < announced && reset !== undefined && reset < announced + DAY_MS
}

function localOnly(view: TriggerView, reset: number | undefined): Occasion {
  const { timezone, version } = view.policy
  const until = (): string => (reset === undefined ? 'a limit is raised' : formatInstant(reset, timezone))
  const body = (): NoticeBody => ({
    severity: 'alert',
    kind: 'local-only',
    scope: 'total',
    episode: reset === undefined ? `policy ${version}` : `until ${isoInstant(reset)}`,
    text: `Cloud budget exhausted, operating local-only until ${until()}`,
    data: { reset: reset === undefined ? null : isoInstant(reset), timezone },
  })
  return { kind: 'local-only', subject: 'total', episodeMs: reset, body }
}

function isOpen(backend: Backend, view: TriggerView): boolean {
  return backend.kind === 'cloud' && view.limitsOf(backend).every((index) => blocking(view.meters[index], view.ordinary).length === 0)
}

function blocking(meter: MeterState | undefined, ordinary: Quantities): readonly MeterState[] {
  return meter === undefined || !meter.limit.hard || hasRoom(meter, ordinary) ? NONE : [meter]
}

function hasRoom(meter: MeterState, ordinary: Quantities): boolean {
  return meter.settled + meter.presumed + meter.beside + quantityOf(meter.limit.unit, ordinary) <= meter.limit.quantity
}

/** What stands in the way of one backend: the limits without room, and what is wanted of them. */
interface Blocked {
  readonly meters: readonly MeterState[]
  readonly wanted: Quantities
}

/** The earliest time at which some backend has room in all its limits. */
function resetMs(backends: readonly Blocked[]): number | undefined {
  let earliest: number | undefined
  for (const { meters, wanted } of backends) {
    const free = meters.map((meter) => meter.roomAt(quantityOf(meter.limit.unit, wanted)))
    if (free.includes(undefined)) continue
    const latest = Math.max(...free.map((at) => at ?? 0))
    if (earliest === undefined || latest < earliest) earliest = latest
  }
  return earliest
}

/** When a call that found no room could first be served by some cloud backend. @param ordinary what stands for a call whose size is not known. */
export function resetOf(assessments: readonly Assessment[], meters: readonly MeterState[], ordinary: Quantities): number | undefined {
  const blocked = assessments.filter((assessment) => assessment.out === 'no-room')
  return resetMs(blocked.map(({ estimate, limits }) => ({ wanted: estimate ?? ordinary, meters: limits.flatMap((index) => meters[index] ?? []) })))
}

function meterNamed({ meters }: TriggerView, name: string | undefined): MeterState | undefined {
  if (name !== undefined) for (const meter of meters) if (meter.limit.name === name) return meter
  return undefined
}

function standingOf(meter: MeterState, view: TriggerView): string {
  const { limit, settled, presumed, beside, bounds } = meter
  const share = limit.quantity === 0 ? 100 : Math.floor(((settled + beside) / limit.quantity) * 100)
  const extra = presumed === 0 ? '' : `, ${formatQuantity(presumed, limit.unit)} presumed spent`
  const read = beside === 0 ? '' : `, ${readingText(meter, view.nowMs)}`
  const reset = bounds === undefined || limit.window.kind === 'rolling' ? '' : `, resets ${formatInstant(bounds.endMs, view.policy.timezone)}`
  return `${formatQuantity(settled + beside, limit.unit)} of ${formatQuantity(limit.quantity, limit.unit)} spent (${share}%)${extra}${read}${reset}`
}

function figures(meter: MeterState): Record<string, string | number> {
  const { limit, settled, presumed, beside } = meter
  return { limit: limit.name, unit: limit.unit, quantity: limit.quantity, settled, presumed, beside }
}

import { formatInstant, isoInstant } from '../instant.ts'
import { quantityOf, type MeterState, type Quantities, type Unit } from '../limit.ts'
import { formatUsd, NANO_PER_USD } from '../money.ts'
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
  const sorted = holds.map((hold) => hold[key]).sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? FIRST_ORDINARY[key]
}

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
  const due = [...reached(view), ...cloudState(view)]
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
  return view.meters.flatMap((meter) => {
    const { name, hard } = meter.limit
    if (!hard || hasRoom(meter, view.ordinary)) return []
    const episodeMs = episodeOf(meter, view)
    const body = (): NoticeBody => ({
      severity: 'warning',
      kind: 'limit-reached',
      scope: name,
      episode: `${name}@${isoInstant(episodeMs)}`,
      text: `${name} is reached: ${standingOf(meter, view)}`,
      data: figures(meter),
    })
    return [{ kind: 'limit-reached', subject: name, episodeMs, body }]
  })
}

/**
 * `local-only` while no cloud backend has room for an ordinary call, `restored` when one has again.
 * Holds do not count: they come back, and a burst of them must not look like an empty purse.
 */
function cloudState(view: TriggerView): Occasion[] {
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

function blocking(meter: MeterState | undefined, ordinary: Quantities): readonly MeterState[] {
  return meter === undefined || !meter.limit.hard || hasRoom(meter, ordinary) ? [] : [meter]
}

function hasRoom(meter: MeterState, ordinary: Quantities): boolean {
  return meter.settled + meter.presumed + quantityOf(meter.limit.unit, ordinary) <= meter.limit.quantity
}

/** What stands in the way of one backend: the limits without room, and what is wanted of them. */
export interface Blocked {
  readonly meters: readonly MeterState[]
  readonly wanted: Quantities
}

/** The earliest time at which some backend has room in all its limits. */
export function resetMs(backends: readonly Blocked[]): number | undefined {
  let earliest: number | undefined
  for (const { meters, wanted } of backends) {
    const free = meters.map((meter) => meter.roomAt(quantityOf(meter.limit.unit, wanted)))
    if (free.includes(undefined)) continue
    const latest = Math.max(...free.map((at) => at ?? 0))
    if (earliest === undefined || latest < earliest) earliest = latest
  }
  return earliest
}

function meterNamed(view: TriggerView, name: string | undefined): MeterState | undefined {
  return name === undefined ? undefined : view.meters.find((meter) => meter.limit.name === name)
}

function standingOf(meter: MeterState, view: TriggerView): string {
  const { limit, settled, presumed, bounds } = meter
  const share = limit.quantity === 0 ? 100 : Math.floor((settled / limit.quantity) * 100)
  const extra = presumed === 0 ? '' : `, ${formatQuantity(presumed, limit.unit)} presumed spent`
  const reset = bounds === undefined || limit.window.kind === 'rolling' ? '' : `, resets ${formatInstant(bounds.endMs, view.policy.timezone)}`
  return `${formatQuantity(settled, limit.unit)} of ${formatQuantity(limit.quantity, limit.unit)} spent (${share}%)${extra}${reset}`
}

function figures(meter: MeterState): Record<string, string | number> {
  const { limit, settled, presumed } = meter
  return { limit: limit.name, unit: limit.unit, quantity: limit.quantity, settled, presumed }
}

/** `$12.34`, `1,500 requests`. */
export function formatQuantity(quantity: number, unit: Unit): string {
  return unit === 'usd' ? formatUsd(quantity) : `${quantity.toLocaleString('en-US')} ${unit}`
}

import { quantityOf, type CallScope } from '../limit.ts'
import { NANO_PER_USD } from '../money.ts'
import type { Notice } from '../notices/notice.ts'
import { QUARTER_MS, quarterOf } from '../windows.ts'
import { Cells, type SeriesSnapshot } from './cells.ts'
import type { LedgerPolicy, SpendRow } from './ledger.ts'
import type { Meter } from './meter.ts'
import { callOf, Metering } from './metering.ts'
import { NoticeBoard, type NoticesSnapshot } from './notice-board.ts'
import type { Hold, LedgerEntry, LedgerRecord, Observation, ReserveOrder } from './record.ts'

/** How far the cells reach back beyond the longest window, for reports and the forecast's profile. */
const HISTORY_MS = 35 * 86_400_000
/** Sessions whose ids are remembered, so that a record that comes twice counts once. */
const SESSIONS_KEPT = 1_000
const NONE: readonly Meter[] = []

/** What a ledger must know beyond its journal's tail: plain JSON, equal for equal books. */
export interface BooksSnapshot {
  readonly format: 1
  readonly ledger: string
  readonly lastMs: number
  /** The cells are whole from here on; ms since the epoch, 0 while nothing has been pruned. */
  readonly sinceMs: number
  /** Highest hold number of each session. */
  readonly sessions: readonly (readonly [session: string, number: number])[]
  readonly policy: PolicyText | null
  readonly holds: readonly Hold[]
  readonly presumed: readonly Hold[]
  readonly cells: readonly SeriesSnapshot[]
  /** For each `first-use` window, by scope and span, a time at which none was running. */
  readonly anchors: readonly (readonly [key: string, ms: number])[]
  readonly observations: readonly Observation[]
  readonly notices: NoticesSnapshot
}

/** A policy as the journal keeps it. */
export interface PolicyText {
  readonly version: string
  readonly text: string
}

/** An opening of the ledger. The holds of one are numbered upwards, so a number that is not higher was seen before. */
interface Session {
  readonly prefix: string
  number: number
}

/**
 * The state of a ledger: a projection of its records, the same whether they are made now or replayed.
 * A record that was applied before changes nothing. Without a policy there are no meters; {@link usePolicy} folds them from cells and holds.
 */
export class Books {
  #ledger = ''
  #lastMs = 0
  #nowMs = 0
  #sinceMs = 0
  readonly #sessions = new Map<string, Session>()
  /** The one of the latest hold: nearly always that of the next. */
  #session: Session | undefined
  #policy: PolicyText | undefined
  readonly #open = new Map<string, Hold>()
  readonly #presumed = new Map<string, Hold>()
  #cells = new Cells()
  readonly #anchors = new Map<string, number>()
  readonly #observations = new Map<string, Observation>()
  #board = new NoticeBoard()
  /** By the policy in force; undefined before one was taken. */
  #metering: Metering | undefined
  #sweptMs = 0

  static restore(snapshot: BooksSnapshot): Books {
    const books = new Books()
    books.#ledger = snapshot.ledger
    books.#lastMs = snapshot.lastMs
    books.#nowMs = snapshot.lastMs
    books.#sinceMs = snapshot.sinceMs
    for (const [session, number] of snapshot.sessions) books.#sessionOf(session).number = number
    books.#policy = snapshot.policy ?? undefined
    for (const hold of snapshot.holds) books.#open.set(hold.id, hold)
    for (const hold of snapshot.presumed) books.#presumed.set(hold.id, hold)
    books.#cells = Cells.restore(snapshot.cells)
    for (const [key, ms] of snapshot.anchors) books.#anchors.set(key, ms)
    for (const observation of snapshot.observations) books.#observations.set(observation.backend, observation)
    books.#board = NoticeBoard.restore(snapshot.notices)
    return books
  }

  snapshot(): BooksSnapshot {
    return {
      format: 1,
      ledger: this.#ledger,
      lastMs: this.#lastMs,
      sinceMs: this.#sinceMs,
      sessions: [...this.#sessions].map(([name, session]) => [name, session.number]),
      policy: this.#policy ?? null,
      holds: [...this.#open.values()],
      presumed: [...this.#presumed.values()],
      cells: this.#cells.snapshot(),
      anchors: [...this.#anchors],
      observations: [...this.#observations.values()],
      notices: this.#board.snapshot(),
    }
  }

  /** Id of the ledger; empty before its first `open` record. */
  get ledger(): string {
    return this.#ledger
  }

  /** Time of the latest record, 0 where there is none. */
  get lastMs(): number {
    return this.#lastMs
  }

  /** What the books take for now: the latest time that they were told. */
  get nowMs(): number {
    return this.#nowMs
  }

  /** The cells are whole from here on. A window that began earlier is short of what was pruned. */
  get sinceMs(): number {
    return this.#sinceMs
  }

  get policy(): PolicyText | undefined {
    return this.#policy
  }

  /** Whether limits are in force. */
  get metered(): boolean {
    return this.#metering !== undefined
  }

  get meters(): readonly Meter[] {
    return this.#metering?.meters ?? NONE
  }

  get openHolds(): ReadonlyMap<string, Hold> {
    return this.#open
  }

  /** Holds of processes that died, as long as one of their windows lasts. */
  get presumedHolds(): ReadonlyMap<string, Hold> {
    return this.#presumed
  }

  get notices(): NoticeBoard {
    return this.#board
  }

  /** The latest observation of each backend. */
  get observations(): ReadonlyMap<string, Observation> {
    return this.#observations
  }

  /** The highest hold number of a session, 0 before its first. */
  holdNumber(session: string): number {
    return this.#sessions.get(session)?.number ?? 0
  }

  spend(startMs: number, endMs: number): readonly SpendRow[] {
    return this.#cells.rows(startMs, endMs)
  }

  /** Names of the hard limits that lack room for a call. */
  short(order: ReserveOrder): readonly string[] {
    const names: string[] = []
    for (const meter of this.#metersOf(callOf(order))) {
      if (meter.limit.hard && !meter.fits(quantityOf(meter.limit.unit, order.estimate))) names.push(meter.limit.name)
    }
    return names
  }

  /** Moves every window to `nowMs`; a time before the latest one changes nothing. */
  advance(nowMs: number): void {
    if (nowMs <= this.#nowMs) return
    this.#nowMs = nowMs
    this.#metering?.advance(nowMs)
  }

  /** Meters by these limits from now on: folds cells and holds into each. */
  usePolicy(policy: LedgerPolicy, atMs: number): void {
    this.advance(atMs)
    this.#metering = new Metering(policy, this.#nowMs, { cells: this.#cells, open: this.#open, presumed: this.#presumed, anchors: this.#anchors })
    this.#sweptMs = 0
  }

  /** Brings one record into the books. */
  apply(record: LedgerRecord): void {
    switch (record.type) {
      case 'open':
        return this.#begin(record)
      case 'policy':
        this.#policy = { version: record.version, text: record.text }
        return this.#saw(Date.parse(record.time))
      case 'reserve':
        return this.#hold(record.hold)
      case 'settle':
        return this.#settle(record.entry)
      case 'release':
        this.#saw(Date.parse(record.time))
        return this.#release(record.id)
      case 'expire':
        this.#saw(Date.parse(record.time))
        return this.#expire(record.id)
      case 'refuse':
        return this.#saw(record.order.atMs)
      case 'observe':
        // Its time is the provider's: it must not move ledger time.
        this.#observations.set(record.observation.backend, record.observation)
        return
      case 'notice':
        return this.#notify(record.notice)
    }
  }

  /** Whether {@link sweep} has something to do: once for each quarter-hour and policy. */
  get sweepDue(): boolean {
    return this.metered && this.#nowMs >= this.#sweptMs + QUARTER_MS
  }

  /** Ids of presumed holds whose windows have all ended. */
  endedHolds(): readonly string[] {
    return [...this.#presumed.values()].filter((hold) => !this.#metersOf(callOf(hold)).some((meter) => meter.counts(hold.atMs))).map((hold) => hold.id)
  }

  /** Forgets what no window and no report reaches any more. */
  sweep(): void {
    const metering = this.#metering
    if (metering === undefined) return
    this.#sweptMs = quarterOf(this.#nowMs)
    metering.forgetCalls()
    for (const [key, ms] of metering.anchors()) this.#anchors.set(key, ms)
    const beforeMs = Math.min(quarterOf(this.#nowMs - HISTORY_MS - metering.longestMs), metering.oldestAnchorMs)
    for (const [key, ms] of this.#anchors) if (ms < beforeMs) this.#anchors.delete(key)
    if (this.#cells.prune(beforeMs)) this.#sinceMs = beforeMs
  }

  /** Folds everything anew and compares: one line for each number that differs. Empty when the books balance. */
  audit(): readonly string[] {
    return this.#metering?.audit() ?? []
  }

  #begin(record: Extract<LedgerRecord, { type: 'open' }>): void {
    if (this.#sessions.has(record.session)) return
    this.#ledger = record.ledger
    this.#sessionOf(record.session)
    this.#saw(Date.parse(record.time))
    for (const hold of this.#open.values()) {
      this.#presumed.set(hold.id, hold)
      for (const meter of this.#metersOf(callOf(hold))) meter.presume(hold.atMs, quantityOf(meter.limit.unit, hold.estimate))
    }
    this.#open.clear()
  }

  #hold(hold: Hold): void {
    const session =
      this.#session !== undefined && hold.id.startsWith(this.#session.prefix) ? this.#session : this.#sessionOf(hold.id.slice(0, hold.id.lastIndexOf('-')))
    this.#session = session
    const number = Number.parseInt(hold.id.slice(session.prefix.length), 36)
    if (number <= session.number) return
    session.number = number
    this.#saw(hold.atMs)
    this.#open.set(hold.id, hold)
    for (const meter of this.#metersOf(callOf(hold))) meter.add(hold.atMs, 'held', quantityOf(meter.limit.unit, hold.estimate))
  }

  #settle(entry: LedgerEntry): void {
    const hold = this.#open.get(entry.id) ?? this.#presumed.get(entry.id)
    if (hold === undefined) return
    const call = callOf(hold)
    const truth = {
      costNano: Math.round(entry.cost_usd * NANO_PER_USD),
      tokens: entry.prompt_tokens + entry.completion_tokens,
      requests: hold.estimate.requests,
    }
    this.#cells.add(call, hold.atMs, truth)
    const from = this.#forget(hold)
    for (const meter of this.#metersOf(call)) {
      const { unit } = meter.limit
      meter.settle(hold.atMs, from, quantityOf(unit, hold.estimate), quantityOf(unit, truth))
    }
  }

  #release(id: string): void {
    const hold = this.#open.get(id) ?? this.#presumed.get(id)
    if (hold === undefined) return
    const from = this.#forget(hold)
    for (const meter of this.#metersOf(callOf(hold))) {
      // Another use may have become the first of its window.
      if (meter.limit.window.kind === 'first-use') this.#metering?.fold(meter)
      else meter.release(hold.atMs, from, quantityOf(meter.limit.unit, hold.estimate))
    }
  }

  #expire(id: string): void {
    const hold = this.#presumed.get(id)
    if (hold === undefined) return
    this.#presumed.delete(id)
    // It began windows, or kept others from beginning: an empty cell goes on marking that.
    this.#cells.add(callOf(hold), hold.atMs, { costNano: 0, tokens: 0, requests: 0 })
  }

  #notify(notice: Notice): void {
    this.#saw(Date.parse(notice.time))
    this.#board.add(notice)
  }

  #forget(hold: Hold): 'held' | 'presumed' {
    if (this.#open.delete(hold.id)) return 'held'
    this.#presumed.delete(hold.id)
    return 'presumed'
  }

  #saw(ms: number): void {
    if (ms > this.#lastMs) this.#lastMs = ms
    this.advance(ms)
  }

  #sessionOf(name: string): Session {
    let session = this.#sessions.get(name)
    if (session === undefined) {
      session = { prefix: `${name}-`, number: 0 }
      this.#sessions.set(name, session)
      const [oldest = name] = this.#sessions.keys()
      if (this.#sessions.size > SESSIONS_KEPT) this.#sessions.delete(oldest)
    }
    return session
  }

  #metersOf(call: CallScope): readonly Meter[] {
    return this.#metering?.of(call) ?? NONE
  }
}

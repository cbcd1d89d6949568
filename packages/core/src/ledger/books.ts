import { quantityOf, type CallScope, type Quantities } from '../limit.ts'
import { NANO_PER_USD } from '../money.ts'
import type { Notice } from '../notices/notice.ts'
import { DAY_MS, QUARTER_MS, quarterOf } from '../windows.ts'
import type { BooksSnapshot, PolicyText } from './books-snapshot.ts'
import { Cells } from './cells.ts'
import { ImportedIds } from './imported-ids.ts'
import type { LedgerPolicy, SpendRow } from './ledger.ts'
import type { Meter } from './meter.ts'
import { callOf, Metering } from './metering.ts'
import { NoticeBoard } from './notice-board.ts'
import { Sessions } from './sessions.ts'
import { OpenHolds, type HoldIndex } from './open-holds.ts'
import type { Adjustment, Hold, LedgerEntry, LedgerRecord, Observation, ReserveOrder } from './record.ts'

export type { BooksSnapshot, PolicyText } from './books-snapshot.ts'

/** How far the cells reach back beyond the longest window, for reports and the forecast's profile. */
const HISTORY_MS = 35 * DAY_MS
const NONE: readonly Meter[] = []

/**
 * The state of a ledger: a projection of its records, the same whether they are made now or replayed.
 * A record that was applied before changes nothing. Without a policy there are no meters; {@link usePolicy} folds them from cells and holds.
 */
export class Books {
  #ledger = ''
  #lastMs = 0
  #nowMs = 0
  #sinceMs = 0
  #sessions = new Sessions()
  #policy: PolicyText | undefined
  readonly #open = new OpenHolds()
  readonly #presumed = new Map<string, Hold>()
  #cells = new Cells()
  readonly #anchors = new Map<string, number>()
  readonly #observations = new Map<string, Observation>()
  #board = new NoticeBoard()
  #imported = new ImportedIds()
  #repairs = 0
  /** What pacing remembers: JSON that the books keep and do not read. Not of the journal, so a replay from its beginning has none. */
  pacing: unknown
  /** Counts changes: while it stands still, meters move only as windows pass, on quarter-hours. Whoever moves one by hand counts it too. */
  revision = 0
  /** Set while what the cells lack is being read from the journal. */
  #recalling = false
  /** By the policy in force; undefined before one was taken. */
  #metering: Metering | undefined
  #sweptMs = 0

  static restore(snapshot: BooksSnapshot): Books {
    const books = new Books()
    books.#ledger = snapshot.ledger
    books.#lastMs = snapshot.lastMs
    books.#nowMs = snapshot.lastMs
    books.#sinceMs = snapshot.sinceMs
    books.#sessions = Sessions.restore(snapshot.sessions)
    books.#policy = snapshot.policy ?? undefined
    for (const hold of snapshot.holds) books.#open.add(hold)
    for (const hold of snapshot.presumed) books.#presumed.set(hold.id, hold)
    books.#cells = Cells.restore(snapshot.cells)
    for (const [key, ms] of snapshot.anchors) books.#anchors.set(key, ms)
    for (const observation of snapshot.observations) books.#observe(observation)
    books.#board = NoticeBoard.restore(snapshot.notices)
    books.#imported = ImportedIds.restore(snapshot.imported)
    books.#repairs = snapshot.repairs
    books.pacing = snapshot.pacing
    return books
  }

  snapshot(): BooksSnapshot {
    return {
      format: 1,
      ledger: this.#ledger,
      lastMs: this.#lastMs,
      sinceMs: this.#sinceMs,
      sessions: this.#sessions.snapshot(),
      policy: this.#policy ?? null,
      holds: this.#open.values(),
      presumed: [...this.#presumed.values()],
      cells: this.#cells.snapshot(),
      anchors: [...this.#anchors],
      observations: [...this.#observations.values()],
      notices: this.#board.snapshot(),
      imported: this.#imported.snapshot(),
      repairs: this.#repairs,
      ...(this.pacing === undefined ? {} : { pacing: this.pacing }),
    }
  }

  /** Id of the ledger; empty before its first `open` record. */
  get ledger(): string {
    return this.#ledger
  }

  /** Names one gap-free sequence of notices: the ledger's id and, once it has been repaired, how often. */
  get stream(): string {
    return this.#repairs === 0 ? this.#ledger : `${this.#ledger}.${this.#repairs}`
  }

  /** How often the journal has been repaired. */
  get repairs(): number {
    return this.#repairs
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

  get openHolds(): HoldIndex {
    return this.#open
  }

  /** Holds of processes that died, as long as one of their windows lasts. */
  get presumedHolds(): ReadonlyMap<string, Hold> {
    return this.#presumed
  }

  get notices(): NoticeBoard {
    return this.#board
  }

  /** The latest observation of each backend and limit. */
  get observations(): ReadonlyMap<string, Observation> {
    return this.#observations
  }

  /** The ids that were given to holds and corrections. */
  get sessions(): Sessions {
    return this.#sessions
  }

  /** Whether a call, or a correction, of this id was reserved or imported, as far back as ids are remembered. */
  has(id: string): boolean {
    return this.#sessions.has(id) || this.#imported.has(id)
  }

  spend(startMs: number, endMs: number): readonly SpendRow[] {
    return this.#cells.rows(startMs, endMs)
  }

  /** Calls of each quarter-hour, by its start in ms, in no order. */
  get calls(): ReadonlyMap<number, number> {
    return this.#cells.calls()
  }

  /** Names of the hard limits that lack room for a call. */
  short(order: ReserveOrder): readonly string[] {
    const names: string[] = []
    for (const meter of this.#metersOf(callOf(order))) {
      if (meter.limit.hard && (this.#isShort(meter) || !meter.fits(quantityOf(meter.limit.unit, order.estimate)))) names.push(meter.limit.name)
    }
    return names
  }

  /** Names of the limits whose window at `atMs` would fall below zero with these quantities. */
  below(call: CallScope, atMs: number, quantities: Quantities): readonly string[] {
    return this.#metering?.below(call, atMs, quantities, this.#sinceMs) ?? []
  }

  /** Whether a limit in force counts from before the cells are whole: a policy whose windows are longer than any before it. */
  get lacksPast(): boolean {
    return this.meters.some((meter) => this.#metering?.reachesBefore(meter, this.#sinceMs))
  }

  /** From now until {@link bringPast}, a hard limit that counts from before the cells are whole has no room: what it does not know of might have used it up. */
  awaitPast(): void {
    this.#recalling = true
  }

  /** Forgets the cells that are not whole, so that those of a replay up to this moment can take their place. */
  cutPast(): void {
    this.#cells.prune(this.#sinceMs)
  }

  /** Takes what the cells lack from books that were replayed from the first record to the moment of {@link cutPast}. */
  bringPast(past: Books): void {
    this.#cells.merge(past.#cells, this.#sinceMs)
    this.#imported.merge(past.#imported)
    this.#sinceMs = 0
    this.#recalling = false
    this.revision += 1
    for (const meter of this.meters) this.#metering?.fold(meter)
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
    for (const observation of this.#observations.values()) this.#metering.observe(observation)
    this.#sweptMs = 0
  }

  /** Brings one record into the books. */
  apply(record: LedgerRecord): void {
    this.revision += 1
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
        return this.#observe(record.observation)
      case 'notice':
        return this.#notify(record.notice)
      case 'adjust':
        this.#saw(Date.parse(record.time))
        if ('adjustment' in record) return this.#adjust(record.adjustment)
        return this.#presumed.has(record.presumed) ? this.#release(record.presumed) : undefined
      case 'import':
        this.#saw(Date.parse(record.time))
        return this.#import({ ...record.entry, kind: record.kind })
      case 'repair':
        this.#saw(Date.parse(record.time))
        this.#repairs = Math.max(this.#repairs, record.number)
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

  /** Forgets what no window and no report reaches any more, a day at a time: what is kept has to be moved up. */
  sweep(): void {
    const metering = this.#metering
    if (metering === undefined) return
    this.#sweptMs = quarterOf(this.#nowMs)
    metering.forgetCalls()
    for (const [key, ms] of metering.anchors()) this.#anchors.set(key, ms)
    const reachMs = Math.floor((this.#nowMs - HISTORY_MS - metering.longestMs) / DAY_MS) * DAY_MS
    const beforeMs = Math.min(reachMs, metering.oldestAnchorMs)
    for (const [key, ms] of this.#anchors) if (ms < beforeMs) this.#anchors.delete(key)
    this.#imported.prune(beforeMs)
    // What was imported may be older than all that is whole.
    if (this.#cells.prune(beforeMs)) this.#sinceMs = Math.max(this.#sinceMs, beforeMs)
  }

  /** Folds everything anew and compares: one line for each number that differs. Empty when the books balance. */
  audit(): readonly string[] {
    return this.#metering?.audit() ?? []
  }

  #begin(record: Extract<LedgerRecord, { type: 'open' }>): void {
    if (!this.#sessions.begin(record.session)) return
    this.#ledger = record.ledger
    this.#saw(Date.parse(record.time))
    for (const hold of this.#open.values()) {
      this.#presumed.set(hold.id, hold)
      for (const meter of this.#metersOf(callOf(hold))) meter.presume(hold.atMs, quantityOf(meter.limit.unit, hold.estimate))
    }
    this.#open.clear()
  }

  #hold(hold: Hold): void {
    if (!this.#sessions.add(hold.id)) return
    this.#saw(hold.atMs)
    this.#open.add(hold)
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

  #adjust(adjustment: Adjustment): void {
    if (this.#sessions.add(adjustment.id)) this.#bring(adjustment, adjustment.requests)
  }

  #import(entry: LedgerEntry & Pick<CallScope, 'kind'>): void {
    if (this.#imported.add(entry.id, Date.parse(entry.timestamp))) this.#bring(entry, 1)
  }

  /** What was spent at any time before now. */
  #bring(spent: Omit<Adjustment, 'requests'>, requests: number): void {
    const { backend, kind, model, task_type: taskType, timestamp, cost_usd, prompt_tokens, completion_tokens } = spent
    const call = { backend, kind, model, taskType: taskType ?? '' }
    const atMs = Date.parse(timestamp)
    const quantities = { costNano: Math.round(cost_usd * NANO_PER_USD), tokens: prompt_tokens + completion_tokens, requests }
    this.#cells.add(call, atMs, quantities)
    // It may begin a window in which those that are known to have begun later were not the first.
    for (const [key, ms] of this.#anchors) if (ms > atMs) this.#anchors.delete(key)
    for (const meter of this.#metersOf(call)) this.#metering?.bring(meter, atMs, quantityOf(meter.limit.unit, quantities))
  }

  #isShort(meter: Meter): boolean {
    return this.#recalling && this.#metering?.reachesBefore(meter, this.#sinceMs) === true
  }

  /** Of two readings the later one counts, in whatever order they come. */
  #observe(observation: Observation): void {
    const key = `${observation.backend}\n${observation.limit ?? ''}`
    if (Date.parse(this.#observations.get(key)?.at ?? '') > Date.parse(observation.at)) return
    this.#observations.set(key, observation)
    this.#metering?.observe(observation)
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

  #metersOf(call: CallScope): readonly Meter[] {
    return this.#metering?.of(call) ?? NONE
  }
}

import { MancipleError } from '../errors.ts'
import { isoInstant } from '../instant.ts'
import { MAX_NANO, nanoToUsd } from '../money.ts'
import type { Quantities } from '../limit.ts'
import type { Notice, NoticeBody } from '../notices/notice.ts'
import { DAY_MS } from '../windows.ts'
import type { Books } from './books.ts'
import type { Ledger, LedgerFault, LedgerPolicy, OpenReport, Reserved, Settled, SpendRow } from './ledger.ts'
import type { Log } from './log.ts'
import type { Meter } from './meter.ts'
import type { HoldIndex } from './open-holds.ts'
import { adjustmentOf, checkAdjustment, checkImport, importedOf, MAX_CALL_NANO } from './corrections.ts'
import { adjustedEntry } from './history.ts'
import type { AdjustOrder, Hold, ImportOrder, LedgerEntry, LedgerRecord, Observation, RefuseOrder, ReserveOrder, Settlement } from './record.ts'

/** The parts of a time of day, written out: `14:30:`, `05`, `.250Z`. */
const MINUTES = Array.from({ length: 1440 }, (_, number) => `${digits(Math.floor(number / 60), 2)}:${digits(number % 60, 2)}:`)
const SECONDS = Array.from({ length: 60 }, (_, number) => digits(number, 2))
const MILLISECONDS = Array.from({ length: 1000 }, (_, number) => `.${digits(number, 3)}Z`)

export interface LedgerParts {
  /** With the `open` record of this session applied. */
  readonly books: Books
  readonly log: Log
  /** Eight random base-36 characters, new for each opening: they make the ids of holds unique across processes. */
  readonly session: string
  readonly opened: OpenReport
  /** Begins to read from the journal what the cells lack for the limits in force. A ledger without a journal goes on with what it has. */
  readonly recall?: () => void
}

/** The one implementation of {@link Ledger}: commands are checked against the books, made into a record, applied, and handed to the log. */
export function createLedger(parts: LedgerParts): Ledger {
  return new BookLedger(parts)
}

class BookLedger implements Ledger {
  readonly opened: OpenReport
  readonly #books: Books
  readonly #log: Log
  readonly #session: string
  readonly #recall: (() => void) | undefined
  #holdNumber: number
  #dayMs = Number.NaN
  #dayText = ''

  constructor({ books, log, session, opened, recall }: LedgerParts) {
    this.opened = opened
    this.#books = books
    this.#log = log
    this.#session = session
    this.#recall = recall
    this.#holdNumber = books.sessions.number(session)
  }

  get id(): string {
    return this.#books.ledger
  }

  get stream(): string {
    return this.#books.stream
  }

  get fault(): LedgerFault | undefined {
    return this.#log.fault
  }

  get lastMs(): number {
    return this.#books.lastMs
  }

  get meters(): readonly Meter[] {
    return this.#books.meters
  }

  get revision(): number {
    return this.#books.revision
  }

  get notices(): readonly Notice[] {
    return this.#books.notices.latest
  }

  get openHolds(): HoldIndex {
    return this.#books.openHolds
  }

  get presumedHolds(): ReadonlyMap<string, Hold> {
    return this.#books.presumedHolds
  }

  get observations(): ReadonlyMap<string, Observation> {
    return this.#books.observations
  }

  get calls(): ReadonlyMap<number, number> {
    return this.#books.calls
  }

  get pacing(): unknown {
    return this.#books.pacing
  }

  set pacing(state: unknown) {
    this.#books.pacing = state
  }

  get wholeSinceMs(): number {
    return this.#books.sinceMs
  }

  async usePolicy(policy: LedgerPolicy, atMs: number): Promise<void> {
    const known = this.#books.policy?.version === policy.version
    this.#books.usePolicy(policy, atMs)
    if (this.#recall !== undefined && this.#books.lacksPast) {
      this.#books.awaitPast()
      this.#recall()
    }
    if (known) return
    await this.#commit({ type: 'policy', time: isoInstant(this.#books.nowMs), version: policy.version, text: policy.text })
  }

  advance(nowMs: number): void {
    this.#books.advance(nowMs)
    if (!this.#books.sweepDue) return
    for (const id of this.#books.endedHolds()) void this.#commit({ type: 'expire', id, time: isoInstant(this.#books.nowMs) })
    this.#books.sweep()
  }

  reserve(order: ReserveOrder): Reserved {
    checkEstimate(order.estimate)
    this.advance(order.atMs)
    // Without a policy nothing says that a cloud call may be paid for.
    if (order.kind === 'cloud' && (this.#log.fault !== undefined || !this.#books.metered)) return { ok: false, limits: [] }
    const limits = this.#books.short(order)
    if (limits.length > 0) return { ok: false, limits }
    const hold = holdOf(this.#nextId(), order, this.#books.nowMs)
    return { ok: true, hold, durable: this.#commit({ type: 'reserve', hold }) }
  }

  settle(id: string, settlement: Settlement): Settled {
    const hold = this.#standing(id)
    checkSettlement(settlement)
    const entry = entryOf(hold, this.#timestamp(hold.atMs), settlement)
    return { entry, durable: this.#commit({ type: 'settle', entry }) }
  }

  async release(id: string, reason: string, atMs: number): Promise<void> {
    this.#standing(id)
    await this.#commit({ type: 'release', id, time: this.#timestamp(atMs), reason })
  }

  adjust(order: AdjustOrder): Settled {
    checkAdjustment(order)
    this.advance(order.atMs)
    const adjustment = adjustmentOf(this.#nextId(), order, this.#books.policy?.version ?? '')
    const quantities = { costNano: order.costNano, tokens: order.promptTokens + order.completionTokens, requests: order.requests }
    const below = this.#books.below({ ...order, taskType: order.taskType ?? '' }, order.spentMs, quantities)
    if (below.length > 0) throw new MancipleError('ADJUST_INVALID', `The correction takes more off ${below.join(', ')} than was spent then.`, { limits: below })
    const record: LedgerRecord = { type: 'adjust', time: isoInstant(this.#books.nowMs), reason: order.reason, adjustment }
    return { entry: adjustedEntry(adjustment), durable: this.#commit(record) }
  }

  async dropPresumed(id: string, reason: string, atMs: number): Promise<void> {
    if (!this.#books.presumedHolds.has(id)) throw new MancipleError('HOLD_ENDED', `Hold ${id} is not presumed spent.`, { hold: id })
    if (reason === '') throw new MancipleError('ADJUST_INVALID', 'reason: expected a text, found none')
    this.advance(atMs)
    await this.#commit({ type: 'adjust', time: isoInstant(this.#books.nowMs), reason, presumed: id })
  }

  import(order: ImportOrder): Settled | undefined {
    checkImport(order)
    if (this.#books.has(order.id)) return undefined
    this.advance(order.atMs)
    const entry = importedOf(order, this.#books.policy?.version ?? '')
    const { source, kind } = order
    return { entry, durable: this.#commit({ type: 'import', time: isoInstant(this.#books.nowMs), source, kind, entry }) }
  }

  has(id: string): boolean {
    return this.#books.has(id)
  }

  audit(): readonly string[] {
    return this.#books.audit()
  }

  refuse(order: RefuseOrder): Promise<void> {
    return this.#commit({ type: 'refuse', order })
  }

  observe(observation: Observation): Promise<void> {
    return this.#commit({ type: 'observe', observation })
  }

  async notice(body: NoticeBody, atMs: number): Promise<Notice | undefined> {
    if (this.raised(body.kind, body.episode)) return undefined
    const notice = { number: this.#books.notices.nextNumber, time: isoInstant(atMs), ...body }
    await this.#commit({ type: 'notice', notice })
    return notice
  }

  raised(kind: string, episode: string): boolean {
    return this.#books.notices.raised(kind, episode)
  }

  spend(startMs: number, endMs: number): readonly SpendRow[] {
    return this.#books.spend(startMs, endMs)
  }

  flush(): Promise<void> {
    return this.#log.flush()
  }

  close(): Promise<void> {
    return this.#log.close(this.#books.snapshot())
  }

  closeSync(): void {
    this.#log.closeSync(this.#books.snapshot())
  }

  #commit(record: LedgerRecord): Promise<void> {
    this.#books.apply(record)
    return this.#log.append(record)
  }

  #nextId(): string {
    this.#holdNumber += 1
    return `${this.#session}-${this.#holdNumber.toString(36)}`
  }

  /** ISO 8601 UTC. Within a day only the time changes; to write it all would cost as much as the rest of a settlement. */
  #timestamp(ms: number): string {
    const withinMs = ms % DAY_MS
    if (ms - withinMs !== this.#dayMs) {
      this.#dayMs = ms - withinMs
      this.#dayText = isoInstant(this.#dayMs).slice(0, 11)
    }
    const seconds = Math.floor(withinMs / 1000)
    return `${this.#dayText}${MINUTES[Math.floor(seconds / 60)]}${SECONDS[seconds % 60]}${MILLISECONDS[withinMs % 1000]}`
  }

  #standing(id: string): Hold {
    const hold = this.#books.openHolds.get(id) ?? this.#books.presumedHolds.get(id)
    if (hold === undefined) throw new MancipleError('HOLD_ENDED', `Hold ${id} is not open.`, { hold: id })
    return hold
  }
}

function digits(number: number, count: number): string {
  return String(number).padStart(count, '0')
}

/** Field by field: nothing that a caller adds gets into the journal. */
function holdOf(id: string, order: ReserveOrder, atMs: number): Hold {
  return {
    id,
    atMs,
    backend: order.backend,
    kind: order.kind,
    model: order.model,
    taskId: order.taskId,
    taskType: order.taskType,
    requestedBackend: order.requestedBackend,
    inputTokens: order.inputTokens,
    maxOutputTokens: order.maxOutputTokens,
    estimate: order.estimate,
    priceSource: order.priceSource,
    policy: order.policy,
    candidates: order.candidates,
  }
}

function entryOf(hold: Hold, timestamp: string, settlement: Settlement): LedgerEntry {
  const entry = {
    timestamp,
    backend: hold.backend,
    model: hold.model,
    prompt_tokens: settlement.promptTokens,
    completion_tokens: settlement.completionTokens,
    cost_usd: nanoToUsd(settlement.costNano),
    task_id: hold.taskId,
    task_type: hold.taskType,
    duration_ms: settlement.durationMs,
    id: hold.id,
    requested_backend: hold.requestedBackend,
    status: settlement.status,
    usage_source: settlement.usageSource,
    cache_read_tokens: settlement.cacheReadTokens,
    cache_write_tokens: settlement.cacheWriteTokens,
    reasoning_tokens: settlement.reasoningTokens,
    price_source: hold.priceSource,
    policy: hold.policy,
  }
  const { costNano, tokens } = hold.estimate
  const overrun = settlement.costNano > costNano || settlement.promptTokens + settlement.completionTokens > tokens
  return overrun ? { ...entry, overrun: true } : entry
}

/** A number that is not whole would make every later sum wrong. */
function checkEstimate({ costNano, tokens, requests }: Quantities): void {
  if (isCount(costNano, MAX_NANO) && isCount(tokens) && isCount(requests)) return
  throw new MancipleError('REQUEST_INVALID', `The estimate is ${costNano} nano-USD, ${tokens} tokens, ${requests} requests.`)
}

function checkSettlement({ costNano, promptTokens, completionTokens }: Settlement): void {
  if (isCount(costNano, MAX_CALL_NANO) && isCount(promptTokens) && isCount(completionTokens)) return
  throw new MancipleError('USAGE_INVALID', `The settlement is ${costNano} nano-USD, ${promptTokens} + ${completionTokens} tokens.`)
}

function isCount(value: number, most = Number.MAX_SAFE_INTEGER): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= most
}

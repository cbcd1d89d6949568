import type { Clock } from './clock.ts'
import { policyChanges } from './config/changes.ts'
import type { DecideRequest } from './decision.ts'
import { HeldDispatch, settlementOfHold, type Books, type Dispatch, type Terms } from './dispatch.ts'
import { MancipleError } from './errors.ts'
import { explainRequest, type Explanation } from './explain.ts'
import type { HistoryQuery, HistoryRow } from './ledger/history.ts'
import type { History } from './ledger/history-thread.ts'
import type { Ledger, Settled } from './ledger/ledger.ts'
import type { Hold, Settlement } from './ledger/record.ts'
import { LedgerTime, type ClockJump } from './ledger-time.ts'
import type { Manciple } from './manciple.ts'
import * as bodies from './notices/bodies.ts'
import { createBus, type Bus } from './notices/bus.ts'
import type { Notice } from './notices/notice.ts'
import { Notifier } from './notices/notifier.ts'
import { resetOf } from './notices/triggers.ts'
import { Pacer } from './pacer.ts'
import { best, CandidateList, isShortened, type Assessment, type Planner } from './policy/decide.ts'
import { dayOf, type PreparedPolicy } from './policy/prepare.ts'
import { reasonsLater, verdictOf, type Reasons } from './policy/reasons.ts'
import { observationOf, type QuotaReading } from './reading.ts'
import { budgetReport, costsReport, historyOfTotals, type BudgetReport, type CostsReport, type ReportView } from './report.ts'
import { checkRequest, type CheckedRequest } from './request.ts'
import { refusedDecision, TakenDecision, type DecidedNow } from './taken-decision.ts'

/** How often standing rules are looked at without traffic, in ledger time. */
const REVIEW_MS = 30_000

/** The parts that `openManciple` puts together. */
export interface Parts {
  readonly ledger: Ledger
  /** Answers questions about the past; a ledger in memory has its totals alone. */
  readonly history?: History | undefined
  readonly prepared: PreparedPolicy
  readonly clock: Clock
  /** Errors that must not touch a dispatch: a listener that threw, a rule that failed. */
  readonly onError: (error: unknown) => void
  /** Runs a task when the turn under way has ended; `queueMicrotask` unless given. A replay runs it before time goes on. */
  readonly soon?: (task: () => void) => void
}

/** The imperative shell around the pure core: holds the ledger, the policy in force, the time and the listeners. */
export class EmbeddedManciple implements Manciple, Books {
  readonly #ledger: Ledger
  readonly #history: History | undefined
  readonly #clock: Clock
  readonly #time: LedgerTime
  readonly #bus: Bus
  readonly #notifier: Notifier
  readonly #pacer: Pacer
  readonly #onError: (error: unknown) => void
  readonly #soon: (task: () => void) => void
  #prepared: PreparedPolicy
  /** Set when compiled rules and the engine disagree: no cloud call until a restart. */
  #rulesFault = false
  #reviewDue = false
  #closed = false
  readonly #stops: (() => void)[] = []

  constructor({ ledger, history, prepared, clock, onError, soon = queueMicrotask }: Parts) {
    this.#ledger = ledger
    this.#history = history
    this.#prepared = prepared
    this.#clock = clock
    this.#onError = onError
    this.#soon = soon
    this.#time = new LedgerTime(clock, ledger.lastMs, (jump) => this.#onClockJump(jump))
    this.#bus = createBus(onError)
    this.#notifier = new Notifier(ledger, this.#bus, onError)
    this.#pacer = new Pacer({
      ledger,
      now: () => this.#time.now(),
      tell: (body, nowMs) => this.#notifier.post(body, nowMs),
      onSolved: () => this.#reviewSoon(),
      onError,
    })
  }

  /** Puts the policy in force and looks at what opening found. */
  async start(): Promise<void> {
    const nowMs = this.#time.now()
    const inForce = this.#enforce(this.#prepared, nowMs)
    if (this.#ledger.fault === undefined) await inForce
    // A ledger that takes no lines meters all the same, for reports; the fault is told below.
    else inForce.catch(() => undefined)
    const { presumed } = this.#ledger.opened
    if (presumed.length > 0) this.#notifier.post(bodies.presumedSpent(presumed, nowMs), nowMs)
    this.#notifier.review(this.#prepared, nowMs)
    this.#stops.push(
      this.#clock.every(REVIEW_MS, () => this.#review(REVIEW_MS)),
      // Prices that are due are worked out yet: a router that is opened again goes by them.
      () => this.#pacer.finish(),
    )
  }

  /** Runs when closing. */
  onClose(stop: () => void): void {
    this.#stops.push(stop)
  }

  get policy(): PreparedPolicy['policy'] {
    return this.#prepared.policy
  }

  /** From here on every decision is ruled by this policy. */
  async replacePolicy(prepared: PreparedPolicy): Promise<void> {
    const before = this.#prepared.policy
    const nowMs = this.#time.now()
    const inForce = this.#enforce(prepared, nowMs)
    if (before.version !== prepared.policy.version) {
      const changes = policyChanges(before, prepared.policy)
      this.#notifier.post(bodies.policyChanged(before, prepared.policy, changes, nowMs), nowMs)
    }
    this.#notifier.review(prepared, nowMs)
    await inForce
  }

  /** A file that was refused: the policy in force stays. */
  policyRejected(reason: string): void {
    this.#notifier.post(bodies.policyRejected(this.#prepared.policy, reason), this.#time.now())
  }

  async decide(request: DecideRequest): Promise<Dispatch> {
    const { dispatch, durable, local } = this.decideNow(request)
    try {
      await durable
      return dispatch
    } catch (error) {
      // The disk failed under the hold. A local call costs nothing and may go; a cloud call is decided again, now on a closed ledger.
      this.#reviewSoon()
      if (local) return dispatch
      this.#onError(error)
      return this.decide(request)
    }
  }

  /** The synchronous step of {@link decide}, without waiting for the disk: what a replay takes. @throws MancipleError as `decide`. */
  decideNow(asked: DecideRequest): DecidedNow {
    const request = checkRequest(asked)
    this.#assertOpen()
    const nowMs = this.#time.now()
    this.#ledger.advance(nowMs)
    const prepared = this.#prepared
    const assessments = this.#assess(request, prepared, nowMs)
    let tried: Set<Assessment> | undefined
    for (;;) {
      const taken = best(assessments, tried)
      if (taken?.estimate === undefined || taken.price === undefined) return this.#refuse(request, assessments, prepared, nowMs)
      const reasons = this.#reasons(request, assessments, taken, prepared.planner, nowMs)
      const candidates = new CandidateList(assessments, taken, prepared.planner)
      const reserved = this.#ledger.reserve({
        atMs: nowMs,
        backend: taken.backend.name,
        kind: taken.backend.kind,
        model: taken.model,
        taskId: request.taskId,
        taskType: request.taskType,
        requestedBackend: request.backend ?? null,
        inputTokens: request.inputTokens,
        maxOutputTokens: taken.maxOutputTokens,
        estimate: taken.estimate,
        priceSource: taken.price.source,
        policy: prepared.policy.version,
        candidates,
      })
      if (!reserved.ok) {
        tried = (tried ?? new Set()).add(taken)
        continue
      }
      const { hold, durable } = reserved
      const local = taken.backend.kind === 'local'
      if (!local && !isShortened(taken)) this.#notifier.saw(taken.estimate)
      this.#afterDecision(assessments, taken, prepared, nowMs)
      const decision = new TakenDecision(verdictOf(request, taken), taken, reasons, hold, candidates, local ? this.#resetOf(assessments) : undefined)
      const likelyNano = this.#pacer.scores?.likelyNano(taken.price, request, taken.maxOutputTokens) ?? 0
      const terms = { hold, price: taken.price, startedMs: this.monotonicMs(), likelyNano }
      return { dispatch: new HeldDispatch(decision, terms, this), durable, local, assessments, taken }
    }
  }

  get #cloudClosed(): boolean {
    return this.#rulesFault || this.#ledger.fault !== undefined
  }

  /** Where evaluation throws, only local backends are left, and a notice says why. */
  #assess(request: CheckedRequest, prepared: PreparedPolicy, nowMs: number): readonly Assessment[] {
    try {
      const assessments = prepared.planner.plan(request, this.#ledger.meters, nowMs, this.#cloudClosed, this.#pacer.scores)
      this.#pacer.saw(nowMs)
      return assessments
    } catch (error) {
      if (error instanceof MancipleError && (error.code === 'REQUEST_INVALID' || error.code === 'BACKEND_UNKNOWN')) throw error
      this.#notifier.ruleFault(error, nowMs)
      return prepared.planner.localOnly(request, nowMs)
    }
  }

  #reasons(request: CheckedRequest, assessments: readonly Assessment[], taken: Assessment | undefined, planner: Planner, nowMs: number): Reasons {
    const { fault, meters } = this.#ledger
    if (fault !== undefined) return () => [`cloud calls are stopped: ${fault.reason}`]
    if (this.#rulesFault) return () => ['cloud calls are stopped: compiled rules and json-rules-engine disagree']
    return reasonsLater(request, assessments, taken, { planner, meters, nowMs, paced: this.#pacer.reasons })
  }

  #refuse(request: CheckedRequest, assessments: readonly Assessment[], prepared: PreparedPolicy, nowMs: number): DecidedNow {
    const { planner, policy } = prepared
    const candidates = new CandidateList(assessments, undefined, planner).toJSON()
    const reasons = this.#reasons(request, assessments, undefined, planner, nowMs)()
    const decision = refusedDecision(reasons, candidates, policy.version, this.#resetOf(assessments))
    this.#afterDecision(assessments, undefined, prepared, nowMs)
    const { taskId, taskType } = request
    const durable = this.#ledger.refuse({
      atMs: nowMs,
      taskId,
      taskType,
      requestedBackend: request.backend ?? null,
      reason: reasons.join('; '),
      policy: policy.version,
      candidates,
    })
    // A refusal moves no money: a disk that cannot take its line must not turn it into an error.
    return { dispatch: new HeldDispatch(decision, undefined, this), durable, local: true, assessments, taken: undefined }
  }

  #afterDecision(assessments: readonly Assessment[], taken: Assessment | undefined, prepared: PreparedPolicy, nowMs: number): void {
    for (const index of taken?.rules ?? []) {
      const rule = prepared.planner.rules.rules[index]
      if (rule?.event.type === 'notify' && taken !== undefined) this.#notifier.ruleMatched(rule, taken.backend, prepared, nowMs)
    }
    const asked = assessments[0]
    if (asked?.out === 'price-unknown') this.#notifier.post(bodies.priceUnknown(asked, dayOf(prepared, nowMs)), nowMs)
    if (taken?.backend.kind !== 'cloud' && assessments.some((assessment) => assessment.out === 'no-room')) this.#reviewSoon()
  }

  #resetOf(assessments: readonly Assessment[]): number | undefined {
    return resetOf(assessments, this.#ledger.meters, this.#notifier.ordinary)
  }

  settleNow(terms: Terms, settlement: Settlement): Settled {
    const settled = this.#ledger.settle(terms.hold.id, settlement)
    const { entry } = settled
    const nowMs = this.#time.now()
    if (entry.overrun) this.#notifier.post(bodies.overrun(entry, dayOf(this.#prepared, nowMs)), nowMs)
    if (entry.price_source !== 'free') this.#reviewSoon()
    this.#pacer.settled(terms, settlement, nowMs)
    return settled
  }

  async written(durable: Promise<void>): Promise<void> {
    try {
      await durable
    } finally {
      // A disk that has just failed is told at once, not at the next review.
      if (this.#ledger.fault !== undefined) this.#reviewSoon()
    }
  }

  async release({ id, backend }: Hold, reason: string): Promise<void> {
    const nowMs = this.#time.now()
    const released = this.#ledger.release(id, reason, nowMs)
    this.#pacer.ended(backend, 'error', nowMs)
    await released
  }

  /** Does at once what is done beside the calls that follow: a replay takes this step after each turn, and comes out the same each time. */
  endTurn(): void {
    this.#pacer.finish()
  }

  /** Once for all that settles in one turn: a review looks at totals, not at calls. */
  #reviewSoon(): void {
    if (this.#reviewDue) return
    this.#reviewDue = true
    this.#soon(() => {
      this.#reviewDue = false
      if (!this.#closed) this.#review()
    })
  }

  #review(quietMs = 0): void {
    const nowMs = this.#time.now()
    if (nowMs - this.#notifier.reviewedMs < quietMs) return
    this.#pacer.look(nowMs)
    this.#pacer.review(nowMs)
    this.#notifier.review(this.#prepared, nowMs)
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs()
  }

  async explain(request: DecideRequest): Promise<Explanation> {
    this.#assertOpen()
    const nowMs = this.#time.now()
    this.#ledger.advance(nowMs)
    try {
      return await explainRequest(checkRequest(request), this.#prepared, this.#ledger.meters, nowMs, this.#cloudClosed, this.#pacer)
    } catch (error) {
      if (error instanceof MancipleError && error.code === 'RULES_DISAGREE') {
        this.#rulesFault = true
        this.#notifier.ruleFault(error, nowMs)
      }
      throw error
    }
  }

  async observe(backend: string, reading: QuotaReading): Promise<void> {
    this.#assertOpen()
    const nowMs = this.#time.now()
    this.#ledger.advance(nowMs)
    const observed = this.#ledger.observe(observationOf(backend, reading, this.policy, this.#ledger, nowMs))
    this.#reviewSoon()
    await observed
  }

  costs(): CostsReport {
    return costsReport(this.#view())
  }

  budget(): BudgetReport {
    return budgetReport(this.#view())
  }

  async history(query: HistoryQuery): Promise<readonly HistoryRow[]> {
    return this.#history?.query(query, this.policy.timezone) ?? historyOfTotals(this.#view(), query)
  }

  on(event: 'notice', listener: (notice: Notice) => void): () => void {
    // Whoever joins later has not heard of a fault that stands.
    const { fault } = this.#notifier
    const off = this.#bus.on(event, listener)
    if (fault !== undefined) this.#bus.tell(listener, fault)
    return off
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#shut()
    await this.#ledger.close()
    await this.#history?.close()
  }

  closeSync(): void {
    if (this.#closed) return
    this.#shut()
    this.#ledger.closeSync()
    void this.#history?.close()
  }

  /** What is still open may have cost its hold: billing that is better than leaving it to be presumed at the next start. */
  #shut(): void {
    this.#closed = true
    for (const stop of this.#stops) stop()
    if (this.#ledger.fault !== undefined) return
    for (const hold of this.#ledger.openHolds.values()) {
      this.#ledger.settle(hold.id, settlementOfHold(hold, this.#time.now() - hold.atMs)).durable.catch(this.#onError)
    }
  }

  /** The ledger's totals follow in the same step, so that no decision mixes two policies. */
  #enforce(prepared: PreparedPolicy, nowMs: number): Promise<void> {
    const { version, text, timezone, limits } = prepared.policy
    const inForce = this.#ledger.usePolicy({ version, text, timezone, limits }, nowMs)
    this.#prepared = prepared
    this.#pacer.use(prepared.policy)
    return inForce
  }

  #view(): ReportView {
    const { policy, calendar } = this.#prepared
    const nowMs = this.#time.now()
    this.#ledger.advance(nowMs)
    return {
      policy,
      calendar,
      meters: this.#ledger.meters,
      spend: (startMs, endMs) => this.#ledger.spend(startMs, endMs),
      notices: this.#ledger.notices,
      outlooks: () => this.#pacer.lookAhead(),
      nowMs,
    }
  }

  #onClockJump(jump: ClockJump): void {
    // Told a tick later: a jump shows while the time is being read.
    queueMicrotask(() => {
      const nowMs = this.#time.now()
      this.#notifier.post(bodies.clockJumped(jump, nowMs), nowMs)
    })
  }

  #assertOpen(): void {
    if (this.#closed) throw new MancipleError('CLOSED', 'this Manciple takes no more requests')
  }
}

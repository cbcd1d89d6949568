import { manualClock, type ManualClock } from '../clock.ts'
import type { DecideRequest } from '../decision.ts'
import { EmbeddedManciple } from '../embedded-manciple.ts'
import { MancipleError } from '../errors.ts'
import type { Explanation } from '../explain.ts'
import { isoInstant } from '../instant.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { openMemoryLedger } from '../ledger/memory-ledger.ts'
import { NANO_PER_USD } from '../money.ts'
import type { Notice } from '../notices/notice.ts'
import { isShortened } from '../policy/decide.ts'
import { accountOf } from '../policy/measures.ts'
import { newMemory } from '../pacer.ts'
import type { Policy } from '../policy/policy.ts'
import type { PreparedPolicy } from '../policy/prepare.ts'
import type { DecidedNow } from '../taken-decision.ts'
import { QUARTER_MS, quarterOf } from '../windows.ts'
import { CallsUnderWay, type CallUnderWay } from './calls-under-way.ts'
import { Course } from './course.ts'
import { figuresOf } from './figures.ts'
import type { ReplayReport } from './report.ts'
import { Tally } from './tally.ts'
import type { TraceSource } from './read-trace.ts'
import type { Outage, TraceCall, TraceReading } from './trace-call.ts'
import { WindowWatch } from './window-watch.ts'

/** What became of one call: a line of `--calls`. */
export interface ReplayedCall {
  readonly id: string
  /** As the trace has it, ISO 8601 UTC. */
  readonly t: string
  readonly verdict: 'dispatch' | 'reroute' | 'refuse'
  /** Null when refused. */
  readonly backend: string | null
  readonly cost_usd: number
  /** What stood against its first choice. */
  readonly rules: readonly string[]
}

export interface PolicyReplayOptions {
  readonly prepared: PreparedPolicy
  readonly outages: readonly Outage[]
  /** Calls by the quarter-hour, ms since the epoch, from before the replay begins: demand that the forecast knows of. */
  readonly past: ReadonlyMap<number, number>
  /** Called when a call ends, or is refused. */
  readonly onCall: ((call: ReplayedCall) => void) | undefined
  /** A call to be explained, by its id. */
  readonly explain?: ExplainCall | undefined
}

export interface ExplainCall {
  readonly id: string
  /** Hears why it went where it did, once for each call of that id. */
  readonly onExplained: (explanation: Explanation) => void
}

interface Named {
  readonly backend: string | undefined
  readonly model: string | undefined
}

/** One policy on a simulated clock and a ledger in memory. Calls come in order of time. */
export class PolicyReplay {
  readonly #prepared: PreparedPolicy
  readonly #outages: readonly Outage[]
  readonly #onCall: ((call: ReplayedCall) => void) | undefined
  readonly #explain: ExplainCall | undefined
  readonly #clock: ManualClock
  readonly #ledger: Ledger = openMemoryLedger()
  readonly #manciple: EmbeddedManciple
  readonly #underWay = new CallsUnderWay()
  readonly #tally: Tally
  readonly #watch: WindowWatch
  readonly #course: Course
  readonly #notices: Notice[] = []
  readonly #cloud: readonly string[]
  readonly #names: ReadonlySet<string>
  readonly #models: ReadonlySet<string>
  /** By provider: its backend, where it has but one. */
  readonly #onlyOf: ReadonlyMap<string, string>
  /** What the live code does when the turn under way has ended. */
  #due: (() => void)[] = []
  /** Readings of quotas that are noted before the next call. */
  #readings: TraceReading[] = []
  /** What this policy could make nothing of, and how often. */
  readonly #leftOut = new Map<string, number>()
  readonly #startMs: number
  readonly #lateHistory: number
  #nowMs: number
  #lastMs: number
  /** Time of the last call. */
  #lastCallMs: number

  private constructor({ prepared, outages, past, onCall, explain }: PolicyReplayOptions, firstMs: number) {
    const { policy, planner, calendar } = prepared
    this.#prepared = prepared
    this.#outages = outages
    this.#onCall = onCall
    this.#explain = explain
    this.#startMs = firstMs
    this.#lastMs = firstMs
    this.#lastCallMs = firstMs
    // Windows begin on quarter-hours, and so does the clock: it then strikes each of them.
    this.#nowMs = quarterOf(firstMs)
    this.#clock = manualClock(this.#nowMs)
    const accounts = policy.backends.map((backend) => accountOf(backend, policy))
    this.#cloud = policy.backends.filter(({ kind }) => kind === 'cloud').map(({ name }) => name)
    this.#names = new Set(policy.backends.map(({ name }) => name))
    this.#models = new Set(policy.backends.flatMap(({ models }) => models))
    this.#onlyOf = onlyBackends(policy)
    this.#tally = new Tally(policy, planner.rules)
    const firstDay = calendar.bounds({ kind: 'day' }, firstMs)
    this.#watch = new WindowWatch(policy, accounts, this.#ledger, firstDay.startMs)
    this.#course = new Course(accounts, this.#ledger)
    this.#lateHistory = remember(this.#ledger, past, this.#nowMs)
    // The past brought demand, and nothing that was spent.
    this.#ledger.pacing = newMemory(this.#ledger, firstDay.startMs)
    this.#manciple = new EmbeddedManciple({
      ledger: this.#ledger,
      prepared,
      clock: this.#clock,
      onError: (error) => {
        throw error
      },
      soon: (task) => this.#due.push(task),
    })
  }

  /** @param firstMs time of the first call. */
  static async open(options: PolicyReplayOptions, firstMs: number): Promise<PolicyReplay> {
    const replay = new PolicyReplay(options, firstMs)
    replay.#manciple.on('notice', (notice) => replay.#notices.push(notice))
    await replay.#manciple.start()
    replay.#quarter()
    replay.#clock.every(QUARTER_MS, () => replay.#quarter())
    return replay
  }

  take(call: TraceCall): void {
    if (this.#readings.length > 0) this.#observeUntil(call.atMs)
    this.#moveTo(call.atMs)
    this.#lastCallMs = call.atMs
    const named = this.#namedBy(call)
    const { decided, down } = this.#decide(call, named)
    const { dispatch, taken, assessments } = decided
    this.#watch.measure()
    const rules = this.#tally.decided(named.backend, call.taskType, assessments, taken, down)
    const { verdict } = dispatch.decision
    if (verdict === 'reroute') this.#tally.rerouted += 1
    if (taken !== undefined && isShortened(taken)) this.#tally.shortened += 1
    this.#settleTurn()
    if (taken === undefined) this.#onCall?.({ id: call.id, t: isoInstant(call.atMs), verdict, backend: null, cost_usd: 0, rules })
    else this.#underWay.add({ endMs: call.atMs + call.durationMs, number: this.#tally.calls, call, dispatch, rules })
  }

  /** Notes what a provider says of a quota, at its time: the next call finds it noted. */
  noteReading(reading: TraceReading): void {
    this.#readings.push(reading)
  }

  /** Lets those hear of notices who listen. */
  async turn(): Promise<void> {
    await new Promise(setImmediate)
  }

  /** Lets every call end, and reports. @param source where the calls came from, read to its end. */
  async finish({ leftOut, notes }: Pick<TraceSource, 'leftOut' | 'notes'>): Promise<ReplayReport> {
    this.#observeUntil(Number.POSITIVE_INFINITY)
    this.#moveTo(Number.POSITIVE_INFINITY)
    if (this.#lateHistory > 0) this.#leftOut.set('calls of the history that come after the trace begins', this.#lateHistory)
    const day = this.#prepared.calendar.bounds({ kind: 'day' }, this.#lastMs)
    const windows = this.#watch.close(day.endMs, this.#lastCallMs)
    await this.#manciple.close()
    await this.turn()
    return figuresOf({
      policy: this.#prepared.policy,
      tally: this.#tally,
      windows,
      overshootNano: this.#watch.worstNano,
      notices: this.#notices,
      course: this.#course.points,
      fromMs: this.#startMs,
      toMs: this.#lastMs,
      leftOut: Object.fromEntries([...leftOut, ...this.#leftOut]),
      notes,
    })
  }

  /** What ends on the way settles at its own time. */
  #moveTo(ms: number): void {
    this.#settleUntil(ms)
    if (ms < Number.POSITIVE_INFINITY) this.#advance(ms)
  }

  #settleUntil(ms: number): void {
    for (let { next } = this.#underWay; next !== undefined && next.endMs <= ms; { next } = this.#underWay) {
      this.#underWay.take()
      this.#advance(next.endMs)
      this.#settle(next)
    }
  }

  #advance(ms: number): void {
    if (ms > this.#nowMs) this.#clock.advance(ms - this.#nowMs)
    this.#nowMs = ms
    this.#lastMs = ms
  }

  /** Readings up to a time; those that come when the last call has ended say nothing of any. */
  #observeUntil(ms: number): void {
    const readings = this.#readings
    this.#readings = []
    for (const reading of readings) {
      if (reading.notedMs > ms) this.#readings.push(reading)
      else if (ms < Number.POSITIVE_INFINITY || this.#endsAfter(reading.notedMs)) this.#observe(reading)
      else this.#leaveOut('readings of quotas after the last call')
    }
  }

  #endsAfter(ms: number): boolean {
    this.#settleUntil(ms)
    return this.#underWay.next !== undefined
  }

  /** One from before the first call is noted when the replay begins. */
  #observe({ notedMs, readMs, backend, quota, used, source }: TraceReading): void {
    this.#moveTo(Math.max(notedMs, this.#nowMs))
    const reading = { used, source, at: new Date(readMs), ...(quota === undefined ? {} : { quota }) }
    this.#manciple.observe(backend, reading).catch((error: unknown) => {
      if (!(error instanceof MancipleError && (error.code === 'BACKEND_UNKNOWN' || error.code === 'REQUEST_INVALID'))) throw error
      this.#leaveOut('readings of quotas that the policy does not have')
    })
    this.#watch.measure()
    this.#settleTurn()
  }

  #leaveOut(what: string): void {
    this.#leftOut.set(what, (this.#leftOut.get(what) ?? 0) + 1)
  }

  /** As a live router would: an attempt that fails is given back, and decided again without the backend that failed. */
  #decide(call: TraceCall, named: Named): { decided: DecidedNow; down: readonly string[] } {
    const request = requestOf(call, named, this.#prepared.policy.maxOutputTokens)
    // What it looks at, it looks at before the call is decided.
    if (call.id === this.#explain?.id) void this.#manciple.explain(request).then(this.#explain.onExplained)
    const down: string[] = []
    let decided = this.#manciple.decideNow(request)
    for (let { taken } = decided; taken !== undefined && this.#isDown(taken.backend.name); { taken } = decided) {
      down.push(taken.backend.name)
      void decided.dispatch.release('outage')
      decided = this.#manciple.decideNow({ ...request, candidates: this.#cloud.filter((name) => !down.includes(name)) })
    }
    return { decided, down }
  }

  #settle({ call, dispatch, rules }: CallUnderWay): void {
    const { verdict, backend = '', maxOutputTokens } = dispatch.decision
    // Its host forces the bound onto the request, so no answer is longer.
    const outputTokens = Math.min(call.outputTokens, maxOutputTokens)
    const usage = {
      inputTokens: call.inputTokens,
      outputTokens,
      cacheReadTokens: call.cacheReadTokens,
      cacheWriteTokens: call.cacheWriteTokens,
      reasoningTokens: Math.min(call.reasoningTokens, outputTokens),
    }
    const { entry } = dispatch.settleNow({ usage, durationMs: call.durationMs })
    this.#tally.settled(backend, Math.round(entry.cost_usd * NANO_PER_USD), rules)
    this.#watch.measure()
    this.#settleTurn()
    this.#onCall?.({ id: call.id, t: isoInstant(call.atMs), verdict, backend, cost_usd: entry.cost_usd, rules })
  }

  #settleTurn(): void {
    do {
      const tasks = this.#due
      this.#due = []
      for (const task of tasks) task()
      this.#manciple.endTurn()
    } while (this.#due.length > 0)
  }

  #quarter(): void {
    const nowMs = this.#clock.wallMs()
    this.#ledger.advance(nowMs)
    this.#watch.look(nowMs)
    this.#course.look(nowMs)
    this.#settleTurn()
  }

  #isDown(backend: string): boolean {
    return this.#outages.some((outage) => outage.backend === backend && outage.fromMs <= this.#nowMs && this.#nowMs < outage.toMs)
  }

  /** The backend and model that a call named, as far as the policy has them. */
  #namedBy({ backend, model, provider }: TraceCall): Named {
    const named = backend ?? (provider === undefined ? undefined : this.#onlyOf.get(provider))
    const known = named === undefined || this.#names.has(named) ? named : this.#isNotThere(`backend ${named}`)
    if (model === undefined || known !== undefined || this.#models.has(model)) return { backend: known, model: named === known ? model : undefined }
    return { backend: known, model: this.#isNotThere(`model ${model}`) }
  }

  #isNotThere(name: string): undefined {
    const { notInPolicy } = this.#tally
    notInPolicy.set(name, (notInPolicy.get(name) ?? 0) + 1)
  }
}

function onlyBackends({ backends }: Policy): ReadonlyMap<string, string> {
  const byProvider = Map.groupBy(
    backends.filter(({ provider }) => provider !== undefined),
    ({ provider }) => provider ?? '',
  )
  return new Map([...byProvider].flatMap(([provider, [only, ...others]]) => (only === undefined || others.length > 0 ? [] : [[provider, only.name]])))
}

/** A trace that does not say how long an answer may be is taken to have asked for the policy's own bound, or for what it got where that is more. */
function requestOf(call: TraceCall, named: Named, usualMaxOutput: number): DecideRequest {
  const request: { -readonly [Field in keyof DecideRequest]: DecideRequest[Field] } = {
    inputTokens: call.inputTokens,
    maxOutputTokens: call.maxOutputTokens ?? Math.max(usualMaxOutput, call.outputTokens),
  }
  if (named.backend !== undefined) request.backend = named.backend
  if (named.model !== undefined) request.model = named.model
  if (call.taskType !== undefined) request.taskType = call.taskType
  if (call.taskId !== undefined) request.taskId = call.taskId
  return request
}

/** Calls that went elsewhere: they are demand, and cost no limit anything. @returns how many were too late to be known of. */
function remember(ledger: Ledger, past: ReadonlyMap<number, number>, untilMs: number): number {
  let late = 0
  for (const [spentMs, requests] of [...past].sort(([left], [right]) => left - right)) {
    if (spentMs >= untilMs) {
      late += requests
      continue
    }
    const nothing = { costNano: 0, promptTokens: 0, completionTokens: 0 }
    ledger.adjust({
      atMs: spentMs,
      spentMs,
      backend: 'history',
      kind: 'local',
      model: '',
      taskId: null,
      taskType: null,
      ...nothing,
      requests,
      reason: 'history',
    })
  }
  return late
}

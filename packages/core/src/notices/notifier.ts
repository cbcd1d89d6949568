import { MancipleError } from '../errors.ts'
import { isoInstant } from '../instant.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Quantities } from '../limit.ts'
import type { Planner } from '../policy/decide.ts'
import type { Rule, Backend } from '../policy/policy.ts'
import type { PreparedPolicy } from '../policy/prepare.ts'
import type { Bus } from './bus.ts'
import { lastCloudState, type Notice, type NoticeBody } from './notice.ts'
import { occasions, OrdinaryCall, ruleMatch, type Occasion, type TriggerView } from './triggers.ts'

/** A dispatch rule that matches call after call is looked at once in this span of ledger time: a new episode is told this much late at most. */
const LOOK_MS = 30_000

/** Raises notices: into the ledger first, then to whoever listens. Never throws into a dispatch. */
export class Notifier {
  readonly #ledger: Ledger
  readonly #bus: Bus
  readonly #ordinary = new OrdinaryCall()
  readonly #onError: (error: unknown) => void
  /** The episode that each kind and subject was last told in: what has been told costs one look-up. */
  readonly #told = new Map<string, Map<string, number | null>>()
  /** The latest `local-only` or `restored`. */
  #cloudState: Notice | undefined
  /** When a rule that matched for a backend was last looked at. */
  readonly #lookedAt = new WeakMap<Rule, Map<Backend, number>>()
  /** Of each backend of a policy: the limits that cover an ordinary call. */
  readonly #limits = new WeakMap<Backend, readonly number[]>()
  #fault: Notice | undefined
  #reviewedMs = Number.NEGATIVE_INFINITY

  constructor(ledger: Ledger, bus: Bus, onError: (error: unknown) => void) {
    this.#ledger = ledger
    this.#bus = bus
    this.#onError = onError
    this.#cloudState = lastCloudState(ledger.notices)
  }

  /** Once per kind and episode; a repetition costs one look-up. */
  post(body: NoticeBody, nowMs: number): void {
    if (this.#ledger.fault !== undefined) return this.#tellFault(nowMs)
    if (this.#ledger.raised(body.kind, body.episode)) return
    this.#ledger.notice(body, nowMs).then(
      (notice) => notice && this.#bus.emit(notice),
      () => this.#tellFault(nowMs),
    )
    // It is in the books already; the promise stands for the disk.
    this.#cloudState = lastCloudState(this.#ledger.notices.slice(-1)) ?? this.#cloudState
  }

  /** Remembers the size of an ordinary cloud call. */
  saw(hold: Quantities): void {
    this.#ordinary.saw(hold)
  }

  get ordinary(): Quantities {
    return this.#ordinary.median
  }

  /** Standing rules and the state of the limits: after each settle, at opening, and by a timer, since an idle backend raises no events. */
  review(prepared: PreparedPolicy, nowMs: number): void {
    this.#reviewedMs = nowMs
    try {
      if (this.#ledger.fault !== undefined) return this.#tellFault(nowMs)
      this.#ledger.advance(nowMs)
      const standing = prepared.planner.rules.standing(nowMs, this.#ledger.meters)
      for (const occasion of occasions(this.#view(prepared, nowMs), standing)) this.#tell(occasion, nowMs)
    } catch (error) {
      this.ruleFault(error, nowMs)
    }
  }

  /** Ledger time of the last review. */
  get reviewedMs(): number {
    return this.#reviewedMs
  }

  /** Own rules of the dispatch phase whose event is `notify`. In the path of a decision. */
  ruleMatched(rule: Rule, backend: Backend, prepared: PreparedPolicy, nowMs: number): void {
    let looked = this.#lookedAt.get(rule)
    if (looked === undefined) this.#lookedAt.set(rule, (looked = new Map()))
    if (nowMs - (looked.get(backend) ?? Number.NEGATIVE_INFINITY) < LOOK_MS) return
    looked.set(backend, nowMs)
    this.#tell(ruleMatch(rule, backend, this.#view(prepared, nowMs)), nowMs)
  }

  /** A rule could not be evaluated: dispatches go local until it can. */
  ruleFault(error: unknown, nowMs: number): void {
    this.#onError(error)
    const reason = error instanceof Error ? error.message : String(error)
    this.post(
      {
        severity: 'alert',
        kind: 'rule',
        scope: 'policy',
        episode: `fault ${reason}`,
        text: `Rules could not be evaluated, operating local-only: ${reason}`,
        data: { reason },
      },
      nowMs,
    )
  }

  #tell({ kind, subject, episodeMs, body }: Occasion, nowMs: number): void {
    let told = this.#told.get(kind)
    if (told === undefined) this.#told.set(kind, (told = new Map()))
    if (told.get(subject) === (episodeMs ?? null)) return
    told.set(subject, episodeMs ?? null)
    this.post(body(), nowMs)
  }

  #view(prepared: PreparedPolicy, nowMs: number): TriggerView {
    const { planner, policy, calendar } = prepared
    const limitsOf = (backend: Backend): readonly number[] => this.#limitsOf(backend, planner)
    return { policy, calendar, meters: this.#ledger.meters, limitsOf, ordinary: this.#ordinary.median, nowMs, lastCloudState: this.#cloudState }
  }

  #limitsOf(backend: Backend, planner: Planner): readonly number[] {
    let limits = this.#limits.get(backend)
    if (limits === undefined) this.#limits.set(backend, (limits = planner.limitsOf(backend, backend.models[0] ?? '', null)))
    return limits
  }

  /** The `ledger-fault` that stands. The journal cannot keep it, so whoever listens later has to be told by this. */
  get fault(): Notice | undefined {
    return this.#fault
  }

  /** The journal cannot take this one, so it goes straight to the listeners, with number 0; `fault.json` holds it for readers. */
  #tellFault(nowMs: number): void {
    const { fault } = this.#ledger
    if (this.#fault !== undefined || fault === undefined) return
    this.#fault = {
      number: 0,
      time: isoInstant(nowMs),
      severity: 'alert',
      kind: 'ledger-fault',
      scope: 'ledger',
      episode: fault.since,
      text: `Cloud calls are stopped: ${fault.reason}`,
      data: { code: fault.code, since: fault.since },
    }
    this.#onError(new MancipleError(fault.code, fault.reason))
    this.#bus.emit(this.#fault)
  }
}

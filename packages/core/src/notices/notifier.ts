import { MancipleError } from '../errors.ts'
import { isoInstant } from '../instant.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Quantities } from '../limit.ts'
import type { Rule, Backend } from '../policy/policy.ts'
import type { PreparedPolicy } from '../policy/prepare.ts'
import type { Bus } from './bus.ts'
import { LastLook } from './last-look.ts'
import { lastCloudState, type Notice, type NoticeBody } from './notice.ts'
import { OrdinaryCall, tellMatch, tellOccasions, watch, type Teller, type TriggerView, type Watched } from './triggers.ts'

/** A dispatch rule that matches call after call is looked at once in this span of ledger time: a new episode is told this much late at most. */
const LOOK_MS = 30_000

/** Raises notices: into the ledger first, then to whoever listens. Never throws into a dispatch. */
export class Notifier implements Teller {
  readonly #ledger: Ledger
  readonly #bus: Bus
  readonly #ordinary = new OrdinaryCall()
  readonly #onError: (error: unknown) => void
  /** The episode that each kind and subject was last told in: what has been told costs one look-up. */
  readonly #told = new Map<string, Map<string, number | undefined>>()
  /** The latest `local-only` or `restored`. */
  #cloudState: Notice | undefined
  /** When a rule that matched for a backend was last looked at. */
  readonly #lookedAt = new WeakMap<Rule, Map<Backend, number>>()
  /** Of the policy that was looked at last. */
  #watched: { readonly prepared: PreparedPolicy; readonly watched: Watched } | undefined
  readonly #last = new LastLook()
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

  isNew(kind: string, subject: string, episodeMs: number | undefined): boolean {
    let told = this.#told.get(kind)
    if (told === undefined) this.#told.set(kind, (told = new Map()))
    if (told.has(subject) && told.get(subject) === episodeMs) return false
    told.set(subject, episodeMs)
    return true
  }

  /** Remembers the size of an ordinary cloud call. */
  saw(hold: Quantities): void {
    this.#ordinary.saw(hold)
  }

  get ordinary(): Quantities {
    return this.#ordinary.median
  }

  /** Looks at standing rules and the state of the limits: after each settle, at opening, and by a timer, since an idle backend raises no events. */
  review(prepared: PreparedPolicy, nowMs: number): void {
    this.#reviewedMs = nowMs
    try {
      if (this.#ledger.fault !== undefined) return this.#tellFault(nowMs)
      this.#ledger.advance(nowMs)
      const { rules } = prepared.planner
      // An announced reset is looked at again, and so is what moves with every second.
      if (this.#last.same(prepared, this.#ledger.revision, nowMs) && !rules.standingByTime && this.#cloudState?.kind !== 'local-only') return
      const view = this.#view(prepared, nowMs)
      tellOccasions(view, rules.standing(nowMs, view.meters), this)
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
    tellMatch(rule, backend, this.#view(prepared, nowMs), this)
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

  #view(prepared: PreparedPolicy, nowMs: number): TriggerView {
    if (this.#watched?.prepared !== prepared) this.#watched = { prepared, watched: watch(prepared) }
    return { watched: this.#watched.watched, meters: this.#ledger.meters, ordinary: this.#ordinary.median, nowMs, lastCloudState: this.#cloudState }
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

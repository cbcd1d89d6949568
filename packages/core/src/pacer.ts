import type { Terms } from './dispatch.ts'
import type { Ledger } from './ledger/ledger.ts'
import type { CallStatus, Settlement } from './ledger/record.ts'
import { claimedOf, type MeterState } from './limit.ts'
import { alertView } from './notices/alert-view.ts'
import * as bodies from './notices/bodies.ts'
import type { NoticeBody } from './notices/notice.ts'
import { pacingAlerts, type AlertMemory } from './notices/pacing-alerts.ts'
import { countDemand, emptyHistory } from './policy/forecast.ts'
import type { LimitStanding } from './policy/horizon.ts'
import { Outages, type Failures } from './policy/outages.ts'
import type { Outlook } from './policy/outlook.ts'
import { lookAhead, outlooksByName } from './policy/look-ahead.ts'
import { pacedReasons, type PacedReason } from './policy/paced-reasons.ts'
import { PacedScores } from './policy/paced-scores.ts'
import { emptyPacingState, Pacing, type PacingState } from './policy/pacing.ts'
import { pacingPlanOf, type PacingPlan } from './policy/pacing-plan.ts'
import type { Policy } from './policy/policy.ts'

/** What pacing remembers over reloads and restarts, in the ledger's checkpoint: JSON, changed in place. To lose it is to learn anew. */
export interface PacingMemory {
  readonly format: 1
  /** Version of the policy that prices were last worked out for. */
  policy: string
  /** From when on the ledger knows what was used. Ms since the epoch. */
  readonly sinceMs: number
  readonly pacing: PacingState
  /** By backend. */
  readonly failures: Record<string, Failures>
  readonly alerts: AlertMemory
}

/** How often quotas are looked at when no prices are worked out. */
const REVIEW_MS = 6 * 3_600_000
/** What was foreseen so long ago is still what is foreseen. */
const FRESH_MS = 60_000

const NO_OUTLOOKS: ReadonlyMap<string, Outlook> = new Map()

export interface PacerParts {
  readonly ledger: Ledger
  /** Ledger time. */
  readonly now: () => number
  readonly tell: (body: NoticeBody, nowMs: number) => void
  /** Called each time that new prices are in force. */
  readonly onSolved: () => void
  readonly onError: (error: unknown) => void
}

/**
 * Drives pacing beside the decisions: has prices worked out a step at a time, never within one, and keeps what it has learnt with the ledger.
 * Without a quota it does nothing but count failures.
 */
export class Pacer {
  readonly #parts: PacerParts
  readonly #memory: PacingMemory
  readonly #outages: Outages
  #policy: Policy | undefined
  #pacing: Pacing | undefined
  #scores: PacedScores | undefined
  /** By limit of the plan: its place in the policy. */
  #places: readonly number[] = []
  #reasons: ReadonlyMap<string, PacedReason> = new Map()
  #reviewedMs = Number.NEGATIVE_INFINITY
  #due = false
  #steps: Iterator<undefined, void> | undefined

  constructor(parts: PacerParts) {
    const { ledger, now } = parts
    this.#parts = parts
    this.#memory = memoryOf(ledger.pacing) ?? newMemory(ledger, firstCallMs(ledger) ?? now())
    this.#outages = new Outages(this.#memory.failures)
    ledger.pacing = this.#memory
  }

  /** What decisions score by; undefined where nothing is paced. */
  get scores(): PacedScores | undefined {
    return this.#scores
  }

  /** Why prices are as they are, in words, by backend. */
  get reasons(): ReadonlyMap<string, PacedReason> {
    return this.#reasons
  }

  /** What the quotas are heading for as of now, by the name of the limit. */
  lookAhead(): ReadonlyMap<string, Outlook> {
    const { ledger, now } = this.#parts
    return this.#policy === undefined ? NO_OUTLOOKS : outlooksOfMemory(this.#policy, this.#memory, ledger.meters, now())
  }

  /** Paces by this policy from now on. What was learnt stays. */
  use(policy: Policy): void {
    const wasDue = this.#due
    this.stop()
    this.#policy = policy
    const plan = pacingPlanOf(policy)
    this.#pacing = plan && new Pacing(plan, this.#memory.pacing)
    this.#scores = this.#pacing && new PacedScores(this.#pacing)
    this.#reasons = this.#pacing === undefined ? new Map() : pacedReasons(this.#pacing)
    this.#places = plan === undefined ? [] : placesOf(plan, policy)
    if (this.#memory.pacing.seen === 0) this.#memory.policy = policy.version
    if (wasDue || this.#memory.policy !== policy.version) this.#solveSoon()
  }

  /** Counts the request that was judged last as demand. In the path of a decision. */
  saw(nowMs: number): void {
    if (this.#scores === undefined) return
    this.#scores.observe(nowMs)
    this.look(nowMs)
  }

  /** Sees to it that prices are worked out where they are due. */
  look(nowMs: number): void {
    if (!this.#due && this.#pacing?.due(nowMs) === true) this.#solveSoon()
  }

  /** Tells what there is to tell of the quotas: after prices were worked out, and now and then without, since an idle router works out none. */
  review(nowMs: number): void {
    if (this.#policy === undefined || this.#pacing === undefined || nowMs - this.#reviewedMs < REVIEW_MS) return
    this.#reviewedMs = nowMs
    const { ledger, tell, onError } = this.#parts
    try {
      const fresh = !this.#due && nowMs - this.#memory.pacing.solvedMs < FRESH_MS && this.#pacing.outlooks.length > 0
      const outlooks = fresh ? outlooksByName(this.#pacing) : this.lookAhead()
      const view = alertView(this.#policy, ledger, outlooks, this.#memory.sinceMs, nowMs)
      for (const body of pacingAlerts(view, this.#memory.alerts)) tell(body, nowMs)
    } catch (error) {
      onError(error)
    }
  }

  /** Learns from a call that was billed. */
  settled({ hold, likelyNano }: Terms, { status, usageSource, costNano, completionTokens }: Settlement, nowMs: number): void {
    const { backend, taskType, estimate, inputTokens } = hold
    this.ended(backend, status, nowMs)
    if (status !== 'ok' || usageSource !== 'reported') return
    const asked = estimate.tokens - inputTokens
    this.#pacing?.learn(backend, taskType ?? '', likelyNano, costNano, asked > 0 ? completionTokens / asked : 0, inputTokens)
  }

  /** What an attempt says of its backend: failures in a row begin an outage, a success ends it. */
  ended(backend: string, status: CallStatus, nowMs: number): void {
    const down = status === 'error' ? this.#outages.failed(backend, nowMs) : undefined
    const up = status === 'ok' ? this.#outages.succeeded(backend) : undefined
    if ((down ?? up) === undefined) return
    const { timezone = 'UTC' } = this.#policy ?? {}
    if (down !== undefined) this.#parts.tell(bodies.outage(backend, down, timezone), nowMs)
    if (up !== undefined) this.#parts.tell(bodies.outageOver(backend, up, timezone, nowMs), nowMs)
    this.#solveSoon()
  }

  /** Works prices out at once where that was found due, rather than beside the calls that follow. */
  finish(): void {
    while (this.#due) this.#step()
  }

  stop(): void {
    this.#due = false
    this.#steps = undefined
  }

  #solveSoon(): void {
    if (this.#pacing === undefined) return
    this.#steps = undefined
    if (!this.#due) setImmediate(() => this.#stepOn())
    this.#due = true
  }

  #stepOn(): void {
    if (!this.#due) return
    this.#step()
    if (this.#due) setImmediate(() => this.#stepOn())
  }

  #step(): void {
    try {
      this.#steps ??= this.#begin()
      if (this.#steps.next().done !== true) return
      this.stop()
      if (this.#pacing !== undefined) this.#reasons = pacedReasons(this.#pacing)
      if (this.#policy !== undefined) this.#memory.policy = this.#policy.version
      this.#reviewedMs = Number.NEGATIVE_INFINITY
      this.#parts.onSolved()
    } catch (error) {
      // The prices of before stay in force.
      this.stop()
      this.#parts.onError(error)
    }
  }

  #begin(): Iterator<undefined, void> {
    const pacing = this.#pacing
    if (pacing === undefined) return [].values()
    const { ledger, now } = this.#parts
    const nowMs = now()
    ledger.advance(nowMs)
    const backMs = pacing.plan.backends.map((backend) => this.#outages.backMs(backend, nowMs))
    return pacing.solve(standingsOf(this.#places, ledger.meters, nowMs), nowMs, backMs)
  }
}

/** What the quotas of a policy are heading for, by the name of the limit. @param kept by the ledger: where that is nothing, nothing is foreseen. */
export function outlooksOfMemory(policy: Policy, kept: unknown, meters: readonly MeterState[], nowMs: number): ReadonlyMap<string, Outlook> {
  const [plan, memory] = [pacingPlanOf(policy), memoryOf(kept)]
  if (plan === undefined || memory === undefined) return NO_OUTLOOKS
  return lookAhead(plan, memory.pacing, standingsOf(placesOf(plan, policy), meters, nowMs), nowMs)
}

function placesOf(plan: PacingPlan, policy: Policy): readonly number[] {
  return plan.limits.map(({ name }) => policy.limits.findIndex((limit) => limit.name === name))
}

/** The limits of a plan as they stand. @param places of each in the policy. */
function standingsOf(places: readonly number[], meters: readonly MeterState[], nowMs: number): readonly LimitStanding[] {
  return places.map((place): LimitStanding => {
    const meter = meters[place]
    if (meter === undefined) throw new RangeError(`no meter ${place}`)
    const { limit, bounds } = meter
    const { window, quantity } = limit
    const used = claimedOf(meter)
    if ((window.kind === 'rolling' || window.kind === 'first-use') && (window.kind === 'rolling' || bounds === undefined)) {
      return { quantity, used, bounds: { startMs: nowMs, endMs: nowMs + window.spanMs } }
    }
    return { quantity, used, bounds: bounds ?? { startMs: nowMs, endMs: nowMs + 1 } }
  })
}

/** The checkpoint proves that it is as it was written; its form may be of another version. */
function memoryOf(kept: unknown): PacingMemory | undefined {
  return typeof kept === 'object' && kept !== null && 'format' in kept && kept.format === 1 ? (kept as PacingMemory) : undefined
}

/** The totals say how much was asked for, and when: more than that has to be learnt anew. @param sinceMs from when on they also say what was used. */
export function newMemory(ledger: Pick<Ledger, 'calls'>, sinceMs: number): PacingMemory {
  const history = emptyHistory()
  for (const [atMs, count] of [...ledger.calls].sort(([left], [right]) => left - right)) countDemand(history, atMs, count)
  return { format: 1, policy: '', sinceMs, pacing: { ...emptyPacingState(), history }, failures: {}, alerts: {} }
}

function firstCallMs({ calls }: Ledger): number | undefined {
  let firstMs: number | undefined
  for (const atMs of calls.keys()) if (firstMs === undefined || atMs < firstMs) firstMs = atMs
  return firstMs
}

import type { LedgerPolicy } from '../../packages/core/src/ledger/ledger.ts'
import type { ReserveOrder } from '../../packages/core/src/ledger/record.ts'
import { covers, quantityOf, type Limit, type Quantities } from '../../packages/core/src/limit.ts'
import { Calendar, QUARTER_MS, quarterOf, type Bounds } from '../../packages/core/src/windows.ts'

interface Call {
  readonly id: string
  readonly order: ReserveOrder
  standing: 'held' | 'settled' | 'presumed' | 'released' | 'expired'
  truth: Quantities
}

interface Sums {
  readonly settled: number
  readonly held: number
  readonly presumed: number
}

const NOTHING: Quantities = { costNano: 0, tokens: 0, requests: 0 }

/** What a ledger means, as plainly as it can be said: a list of calls, and sums over the whole list. */
export class Reference {
  readonly calls = new Map<string, Call>()
  policy: LedgerPolicy

  constructor(policy: LedgerPolicy) {
    this.policy = policy
  }

  short(order: ReserveOrder, nowMs: number): readonly string[] {
    return this.policy.limits
      .filter((limit) => {
        const { settled, held, presumed } = this.sums(limit, nowMs)
        return limit.hard && coversCall(limit, order) && settled + held + presumed + quantityOf(limit.unit, order.estimate) > limit.quantity
      })
      .map((limit) => limit.name)
  }

  reserve(id: string, order: ReserveOrder): void {
    this.calls.set(id, { id, order, standing: 'held', truth: NOTHING })
  }

  settle(id: string, costNano: number, tokens: number): void {
    const call = this.#call(id)
    call.truth = { costNano, tokens, requests: call.order.estimate.requests }
    call.standing = 'settled'
  }

  /** A call, or a correction, of any time before now. */
  bring(id: string, order: ReserveOrder, truth: Quantities): void {
    this.calls.set(id, { id, order, standing: 'settled', truth })
  }

  /** Names of the limits in whose window at its time less than nothing would be settled. */
  below(order: ReserveOrder, truth: Quantities): readonly string[] {
    return this.policy.limits
      .filter((limit) => {
        const { unit, window } = limit
        const { startMs, endMs } =
          window.kind === 'rolling' || window.kind === 'first-use'
            ? { startMs: quarterOf(order.atMs), endMs: quarterOf(order.atMs) + QUARTER_MS }
            : new Calendar(this.policy.timezone).bounds(window, order.atMs)
        const settled = [...this.calls.values()]
          .filter((call) => call.standing === 'settled' && coversCall(limit, call.order) && call.order.atMs >= startMs && call.order.atMs < endMs)
          .reduce((sum, call) => sum + quantityOf(unit, call.truth), 0)
        const quantity = quantityOf(unit, truth)
        return coversCall(limit, order) && quantity < 0 && settled + quantity < 0
      })
      .map((limit) => limit.name)
  }

  release(id: string): void {
    this.#call(id).standing = 'released'
  }

  restart(): void {
    for (const call of this.calls.values()) if (call.standing === 'held') call.standing = 'presumed'
  }

  /** Presumed holds go when their last window has ended. */
  expire(nowMs: number): void {
    for (const call of this.calls.values()) {
      const counted = this.policy.limits.some((limit) => coversCall(limit, call.order) && this.#inside(limit, nowMs)(call))
      if (call.standing === 'presumed' && !counted) call.standing = 'expired'
    }
  }

  standing(id: string): Call['standing'] {
    return this.#call(id).standing
  }

  ids(...standings: readonly Call['standing'][]): readonly string[] {
    return [...this.calls.values()].filter((call) => standings.includes(call.standing)).map((call) => call.id)
  }

  sums(limit: Limit, nowMs: number): Sums {
    const inside = this.#inside(limit, nowMs)
    const counted = [...this.calls.values()].filter((call) => coversCall(limit, call.order) && inside(call))
    const sum = (standing: Call['standing']): number =>
      counted
        .filter((call) => call.standing === standing)
        .reduce((total, call) => total + quantityOf(limit.unit, standing === 'settled' ? call.truth : call.order.estimate), 0)
    return { settled: sum('settled'), held: sum('held'), presumed: sum('presumed') }
  }

  bounds(limit: Limit, nowMs: number): Bounds | undefined {
    const { window } = limit
    if (window.kind === 'rolling') return { startMs: nowMs - window.spanMs, endMs: nowMs }
    if (window.kind !== 'first-use') return new Calendar(this.policy.timezone).bounds(window, nowMs)
    let bounds: Bounds | undefined
    for (const call of [...this.calls.values()].sort((left, right) => left.order.atMs - right.order.atMs)) {
      if (call.standing === 'released' || !coversCall(limit, call.order)) continue
      const startMs = quarterOf(call.order.atMs)
      if (bounds === undefined || call.order.atMs >= bounds.endMs) bounds = { startMs, endMs: startMs + QUARTER_MS + window.spanMs }
    }
    return bounds !== undefined && nowMs < bounds.endMs ? bounds : undefined
  }

  spentSince(startMs: number): Quantities {
    const settled = [...this.calls.values()].filter((call) => call.standing === 'settled' && quarterOf(call.order.atMs) >= startMs)
    return settled.reduce(
      (total, { truth }) => ({
        costNano: total.costNano + truth.costNano,
        tokens: total.tokens + truth.tokens,
        requests: total.requests + truth.requests,
      }),
      NOTHING,
    )
  }

  #inside(limit: Limit, nowMs: number): (call: Call) => boolean {
    const { window } = limit
    if (window.kind === 'rolling') return ({ order }) => quarterOf(order.atMs) + QUARTER_MS + window.spanMs > nowMs
    const bounds = this.bounds(limit, nowMs)
    return ({ order }) => bounds !== undefined && order.atMs >= bounds.startMs && order.atMs < bounds.endMs
  }

  #call(id: string): Call {
    const call = this.calls.get(id)
    if (call === undefined) throw new Error(`no call ${id}`)
    return call
  }
}

function coversCall(limit: Limit, { backend, kind, model, taskType }: ReserveOrder): boolean {
  return covers(limit.scope, { backend, kind, model, taskType: taskType ?? '' })
}

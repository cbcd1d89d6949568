import { isoInstant } from '../instant.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { covers, quantityOf, type BackendKind, type Limit } from '../limit.ts'
import { nanoToUsd } from '../money.ts'
import type { Account } from '../policy/measures.ts'
import type { Policy } from '../policy/policy.ts'
import type { Bounds } from '../windows.ts'
import type { ReplayWindow } from './report.ts'

interface Ended {
  readonly limit: number
  readonly bounds: Bounds
  readonly overshoot: number
}

/** Sees the windows of limits begin and end, and reads what each was used for from the ledger's own cells once its calls have ended. */
export class WindowWatch {
  readonly #policy: Policy
  readonly #ledger: Ledger
  readonly #kinds: ReadonlyMap<string, BackendKind>
  readonly #quotaOf: ReadonlyMap<number, Account>
  /** By limit: the window under way. */
  readonly #open: (Bounds | undefined)[]
  /** By limit, of the window under way, in its unit. */
  readonly #overshoot: Float64Array
  #worstNano = 0
  #ended: Ended[] = []
  readonly #windows: ReplayWindow[] = []
  readonly #fromMs: number

  /** @param fromMs the start of the day of the first call: a window that began before it is partial. */
  constructor(policy: Policy, accounts: readonly Account[], ledger: Ledger, fromMs: number) {
    this.#policy = policy
    this.#ledger = ledger
    this.#fromMs = fromMs
    this.#kinds = new Map(policy.backends.map(({ name, kind }) => [name, kind]))
    this.#quotaOf = new Map(accounts.flatMap((account) => (account.quota === undefined ? [] : [[account.quota, account]])))
    this.#open = policy.limits.map(() => undefined)
    this.#overshoot = new Float64Array(policy.limits.length)
  }

  /** The most that a hard limit in USD was overshot by, nano-USD. */
  get worstNano(): number {
    return this.#worstNano
  }

  /** After each change of the books that could take from a limit. */
  measure(): void {
    const { meters } = this.#ledger
    for (let index = 0; index < meters.length; index += 1) {
      const meter = meters[index]
      if (meter === undefined) continue
      const over = meter.settled + meter.held + meter.presumed - meter.limit.quantity
      if (over <= 0) continue
      this.#overshoot[index] = Math.max(this.#overshoot[index] ?? 0, over)
      if (meter.limit.hard && meter.limit.unit === 'usd') this.#worstNano = Math.max(this.#worstNano, over)
    }
  }

  /** Each quarter-hour, at its start: no window begins or ends at another time. */
  look(nowMs: number): void {
    const { meters } = this.#ledger
    for (const [index, meter] of meters.entries()) {
      if (meter.limit.window.kind === 'rolling') continue
      const known = this.#open[index]
      const { bounds } = meter
      if (known?.startMs === bounds?.startMs) continue
      // One that vanished before its end was begun by a call that was given back.
      if (known !== undefined && known.endMs <= nowMs) this.#end(index, known)
      this.#open[index] = bounds
      this.#overshoot[index] = 0
    }
    this.#writeDown(false, Number.POSITIVE_INFINITY)
  }

  /**
   * @param untilMs the end of the day of the last end: a window that ends after it is partial.
   * @param lastCallMs when the last call was dispatched: a call belongs to the window of that time, so one that began later is none of the trace's.
   * @returns all windows, in order of their ends.
   */
  close(untilMs: number, lastCallMs: number): readonly ReplayWindow[] {
    for (const [index, bounds] of this.#open.entries()) if (bounds !== undefined) this.#end(index, bounds)
    this.#ended = this.#ended.filter(({ bounds }) => bounds.startMs <= lastCallMs)
    this.#writeDown(true, untilMs)
    return this.#windows
  }

  #end(limit: number, bounds: Bounds): void {
    this.#ended.push({ limit, bounds, overshoot: this.#overshoot[limit] ?? 0 })
  }

  /** Those whose calls have all ended. */
  #writeDown(all: boolean, untilMs: number): void {
    if (this.#ended.length === 0) return
    const [oldest] = this.#ledger.openHolds.values()
    const settledMs = all || oldest === undefined ? Number.POSITIVE_INFINITY : oldest.atMs
    this.#ended.sort((left, right) => left.bounds.endMs - right.bounds.endMs || left.limit - right.limit)
    for (let [first] = this.#ended; first !== undefined && first.bounds.endMs <= settledMs; [first] = this.#ended) {
      this.#ended.shift()
      const limit = this.#policy.limits[first.limit]
      if (limit !== undefined) this.#windows.push(this.#windowOf(limit, first, untilMs))
    }
  }

  #windowOf(limit: Limit, { limit: index, bounds, overshoot }: Ended, untilMs: number): ReplayWindow {
    const { name, unit, quantity, scope } = limit
    let settled = 0
    for (const row of this.#ledger.spend(bounds.startMs, bounds.endMs)) {
      const kind = this.#kinds.get(row.backend) ?? 'local'
      if (covers(scope, { backend: row.backend, kind, model: row.model, taskType: row.taskType })) settled += quantityOf(unit, row)
    }
    const account = this.#quotaOf.get(index)
    const utilization = quantity > 0 ? settled / quantity : 0
    const shown = (amount: number): number => (unit === 'usd' ? nanoToUsd(amount) : amount)
    return {
      limit: name,
      quota_of: account?.backend.name ?? null,
      from: isoInstant(bounds.startMs),
      to: isoInstant(bounds.endMs),
      partial: bounds.startMs < this.#fromMs || bounds.endMs > untilMs,
      unit,
      quantity: shown(quantity),
      settled: shown(settled),
      utilization,
      wasted_usd: account === undefined ? null : wastedUsd(account, limit, settled),
      overshoot: shown(overshoot),
    }
  }
}

/** What was left, at list price, or else by its share of what is paid. */
function wastedUsd({ backend }: Account, { unit, quantity }: Limit, settled: number): number | null {
  const left = Math.max(0, quantity - settled)
  if (unit === 'usd') return nanoToUsd(left)
  return backend.paidNano === undefined || quantity === 0 ? null : nanoToUsd(Math.round((left / quantity) * backend.paidNano))
}

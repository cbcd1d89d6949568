import type { MeterState, Quantities } from '../limit.ts'
import type { PreparedPolicy } from '../policy/prepare.ts'
import { quarterOf } from '../windows.ts'

/** How things stood when they were looked at last: while a router is idle, only the time goes on. */
export class LastLook {
  #prepared: PreparedPolicy | undefined
  #ordinary: Quantities | undefined
  #quarterMs = Number.NaN
  readonly #settled: number[] = []
  readonly #held: number[] = []
  readonly #presumed: number[] = []
  readonly #beside: number[] = []

  /**
   * Compares, and remembers. Days and windows begin on quarter-hours: within one, what is unchanged has been told, unless a rule reads how much of a window has passed.
   * @returns whether everything is as it was the last time.
   */
  same(prepared: PreparedPolicy, meters: readonly MeterState[], ordinary: Quantities, nowMs: number): boolean {
    const quarterMs = quarterOf(nowMs)
    let same = prepared === this.#prepared && ordinary === this.#ordinary && quarterMs === this.#quarterMs && meters.length === this.#settled.length
    this.#prepared = prepared
    this.#ordinary = ordinary
    this.#quarterMs = quarterMs
    this.#settled.length = meters.length
    for (let index = 0; index < meters.length; index += 1) {
      const { settled = 0, held = 0, presumed = 0, beside = 0 } = meters[index] ?? {}
      same &&= settled === this.#settled[index] && held === this.#held[index] && presumed === this.#presumed[index] && beside === this.#beside[index]
      this.#settled[index] = settled
      this.#held[index] = held
      this.#presumed[index] = presumed
      this.#beside[index] = beside
    }
    return same
  }
}

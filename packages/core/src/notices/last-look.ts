import type { PreparedPolicy } from '../policy/prepare.ts'
import { quarterOf } from '../windows.ts'

/** How things stood when they were looked at last: while a router is idle, only the time goes on. */
export class LastLook {
  #prepared: PreparedPolicy | undefined
  #revision = Number.NaN
  #quarterMs = Number.NaN

  /**
   * Compares, and remembers. Days and windows begin on quarter-hours: within one, what is unchanged has been told, unless a rule reads how much of a window has passed.
   * @param revision of the ledger.
   * @returns whether everything is as it was the last time.
   */
  same(prepared: PreparedPolicy, revision: number, nowMs: number): boolean {
    const quarterMs = quarterOf(nowMs)
    const same = prepared === this.#prepared && revision === this.#revision && quarterMs === this.#quarterMs
    this.#prepared = prepared
    this.#revision = revision
    this.#quarterMs = quarterMs
    return same
  }
}

import type { Clock } from './clock.ts'

/** How far the wall clock may leave the monotonic one between two readings and still be believed. */
const BELIEVED_MS = 3_600_000

/** Behind by no more than this is no news: time synchronisation does it all the time. */
const QUIET_MS = 1_000

/**
 * The wall clock moved in a way that ledger time does not follow.
 * - `behind`: it is before the last record or reading; ledger time stands still until it has been passed.
 * - `ahead`, `back`: it left the monotonic clock by more than an hour; ledger time goes on by the monotonic one.
 */
export interface ClockJump {
  readonly kind: 'behind' | 'ahead' | 'back'
  /** By how much, ms, positive. */
  readonly byMs: number
  /** What the wall clock says, ms since the epoch. */
  readonly wallMs: number
  /** What ledger time is instead, ms since the epoch. */
  readonly nowMs: number
}

/**
 * Ledger time: the wall clock, but it never goes back, and no step of the clock by more than an hour moves it.
 *
 * A wall clock that agrees with the monotonic one is believed and becomes the new anchor, so slow slewing never adds up to a jump.
 * One that leaves it by more than an hour between two readings is not believed until it comes back to within an hour of where it should be, or the process is restarted.
 */
export class LedgerTime {
  readonly #clock: Clock
  readonly #onJump: (jump: ClockJump) => void
  #lastMs: number
  /** The last reading that was believed, on both clocks. */
  #anchorWallMs: number
  #anchorMonotonicMs: number
  /** Whether the episode under way has been told. */
  #toldBehind = false
  #toldAway = false

  /**
   * @param lastRecordMs time of the ledger's latest record, ms since the epoch; 0 for a new ledger.
   * @param onJump called once per episode, from within {@link now}.
   */
  constructor(clock: Clock, lastRecordMs: number, onJump: (jump: ClockJump) => void) {
    this.#clock = clock
    this.#onJump = onJump
    this.#lastMs = lastRecordMs
    this.#anchorWallMs = clock.wallMs()
    this.#anchorMonotonicMs = clock.monotonicMs()
  }

  /** Ms since the epoch, whole, never less than before. */
  now(): number {
    let wallMs = this.#clock.wallMs()
    let monotonicMs = this.#clock.monotonicMs()
    if (Math.abs(wallMs - this.#projected(monotonicMs)) > BELIEVED_MS) {
      // The two are never read at one instant: a process that was paused in between sees a jump once, not twice.
      wallMs = this.#clock.wallMs()
      monotonicMs = this.#clock.monotonicMs()
    }
    const projectedMs = this.#projected(monotonicMs)
    const awayMs = wallMs - projectedMs
    const believed = Math.abs(awayMs) <= BELIEVED_MS
    if (believed) {
      this.#anchorWallMs = wallMs
      this.#anchorMonotonicMs = monotonicMs
    }
    const timeMs = believed ? wallMs : projectedMs
    const behindMs = this.#lastMs - timeMs
    this.#lastMs = Math.max(this.#lastMs, timeMs)

    const newsAway = !believed && !this.#toldAway
    const newsBehind = behindMs > QUIET_MS && !this.#toldBehind
    this.#toldAway = !believed
    this.#toldBehind = behindMs > 0 && (this.#toldBehind || newsBehind)
    const nowMs = this.#lastMs
    if (newsAway) this.#onJump({ kind: awayMs > 0 ? 'ahead' : 'back', byMs: Math.abs(awayMs), wallMs, nowMs })
    if (newsBehind) this.#onJump({ kind: 'behind', byMs: behindMs, wallMs, nowMs })
    return nowMs
  }
  #projected(monotonicMs: number): number {
    return Math.floor(this.#anchorWallMs + monotonicMs - this.#anchorMonotonicMs)
  }
}

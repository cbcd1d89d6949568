import type { Limit, MeterState, Reading } from '../limit.ts'
import { QUARTER_MS, quarterOf, type Bounds, type Calendar } from '../windows.ts'

/** How a use counts: billed, set aside, or set aside by a process that died. */
export type Standing = 'settled' | 'held' | 'presumed'

/** A quantity used at a time, for the fold of a meter. */
export interface Use {
  readonly atMs: number
  readonly standing: Standing
  readonly quantity: number
}

interface Bucket {
  /** Uses from here … */
  readonly fromMs: number
  /** … up to, not including, here belong to it. */
  readonly untilMs: number
  /** When all of it leaves the window. */
  readonly leavesMs: number
  /** The window, where it is all of one. */
  readonly bounds: Bounds
  settled: number
  held: number
  presumed: number
}

/**
 * The running numbers of one limit.
 *
 * A calendar window is one bucket, begun and dropped by the calendar. A `first-use` window is one bucket, begun by a use.
 * A rolling window is a bucket for each quarter-hour. A use counts in the bucket of its reserve time as long as that is there.
 */
export class Meter implements MeterState {
  readonly limit: Limit
  readonly #calendar: Calendar
  /** Oldest first. */
  readonly #buckets: Bucket[] = []
  #settled = 0
  #held = 0
  #presumed = 0
  #reading: Reading | undefined
  #nowMs: number
  /** When the oldest bucket leaves, so that moving on costs one comparison while nothing ends. */
  #nextMs = Number.NEGATIVE_INFINITY

  constructor(limit: Limit, calendar: Calendar, nowMs: number) {
    this.limit = limit
    this.#calendar = calendar
    this.#nowMs = nowMs
    this.advance(nowMs)
  }

  get settled(): number {
    return this.#settled
  }

  get held(): number {
    return this.#held
  }

  get presumed(): number {
    return this.#presumed
  }

  get reading(): Reading | undefined {
    return this.#reading !== undefined && this.#nowMs < this.#reading.untilMs ? this.#reading : undefined
  }

  get beside(): number {
    return this.#reading === undefined ? 0 : (this.reading?.beside ?? 0)
  }

  /** Takes the provider's word in the place of any before. */
  read(reading: Reading | undefined): void {
    this.#reading = reading
  }

  get bounds(): Bounds | undefined {
    const { window } = this.limit
    if (window.kind === 'rolling') return { startMs: this.#nowMs - window.spanMs, endMs: this.#nowMs }
    return this.#buckets[0]?.bounds
  }

  roomAt(quantity: number): number | undefined {
    if (quantity > this.limit.quantity) return undefined
    let used = this.#settled + this.#presumed
    let roomMs = this.#nowMs
    const { reading } = this
    if (reading !== undefined && used + reading.beside + quantity > this.limit.quantity) roomMs = reading.untilMs
    for (const bucket of this.#buckets) {
      if (used + quantity <= this.limit.quantity) break
      used -= bucket.settled + bucket.presumed
      roomMs = Math.max(roomMs, bucket.leavesMs)
    }
    return roomMs
  }

  fits(quantity: number): boolean {
    return this.#settled + this.#held + this.#presumed + this.beside + quantity <= this.limit.quantity
  }

  /** Whether a use at `atMs`, counted before, still counts. */
  counts(atMs: number): boolean {
    return this.#find(atMs) !== undefined
  }

  /** @param nowMs never less than before. */
  advance(nowMs: number): void {
    this.#nowMs = nowMs
    if (nowMs < this.#nextMs) return
    this.#leave(nowMs)
    const { window } = this.limit
    if (window.kind !== 'rolling' && window.kind !== 'first-use' && this.#buckets.length === 0) {
      const { startMs, endMs } = this.#calendar.bounds(window, nowMs)
      this.#buckets.push(bucketOf(startMs, endMs, endMs))
    }
    this.#nextMs = this.#buckets[0]?.leavesMs ?? Number.POSITIVE_INFINITY
  }

  /** Counts a use. Uses come in order of their quarter-hours. One outside a calendar window does not count. */
  add(atMs: number, standing: Standing, quantity: number): void {
    const bucket = this.#find(atMs) ?? this.#begin(atMs)
    if (bucket !== undefined) this.#count(bucket, standing, quantity)
  }

  /** Bills what was held or presumed; without effect where its bucket has left. */
  settle(atMs: number, from: 'held' | 'presumed', estimate: number, truth: number): void {
    const bucket = this.#find(atMs)
    if (bucket === undefined) return
    this.#count(bucket, from, -estimate)
    this.#count(bucket, 'settled', truth)
  }

  /** Takes back what was held or presumed; without effect where its bucket has left. A `first-use` window has to be folded anew instead: another use may have become the first. */
  release(atMs: number, from: 'held' | 'presumed', estimate: number): void {
    const bucket = this.#find(atMs)
    if (bucket !== undefined) this.#count(bucket, from, -estimate)
  }

  /** What was held is presumed spent from now on. */
  presume(atMs: number, estimate: number): void {
    const bucket = this.#find(atMs)
    if (bucket === undefined) return
    this.#count(bucket, 'held', -estimate)
    this.#count(bucket, 'presumed', estimate)
  }

  /** Counts these uses and nothing else. @param uses in order of time. */
  fold(uses: Iterable<Use>): void {
    const nowMs = this.#nowMs
    this.#leave(Number.POSITIVE_INFINITY)
    this.#nextMs = Number.NEGATIVE_INFINITY
    this.advance(nowMs)
    for (const use of uses) this.add(use.atMs, use.standing, use.quantity)
    this.#nextMs = Number.NEGATIVE_INFINITY
    this.advance(nowMs)
  }

  #find(atMs: number): Bucket | undefined {
    for (let index = this.#buckets.length - 1; index >= 0; index -= 1) {
      const bucket = this.#buckets[index]
      if (bucket !== undefined && bucket.fromMs <= atMs) return atMs < bucket.untilMs ? bucket : undefined
    }
    return undefined
  }

  #begin(atMs: number): Bucket | undefined {
    const { window } = this.limit
    if (window.kind !== 'rolling' && window.kind !== 'first-use') return undefined
    const fromMs = quarterOf(atMs)
    const quarterEndMs = fromMs + QUARTER_MS
    let bucket: Bucket
    if (window.kind === 'rolling') {
      bucket = bucketOf(fromMs, quarterEndMs, quarterEndMs + window.spanMs)
    } else {
      // A window that ended within a quarter-hour could not be told from the cells of that quarter-hour.
      const endMs = quarterEndMs + Math.ceil(window.spanMs / QUARTER_MS) * QUARTER_MS
      bucket = bucketOf(fromMs, endMs, endMs)
    }
    this.#buckets.push(bucket)
    this.#nextMs = this.#buckets[0]?.leavesMs ?? Number.POSITIVE_INFINITY
    return bucket
  }

  #leave(nowMs: number): void {
    for (let bucket = this.#buckets[0]; bucket !== undefined && bucket.leavesMs <= nowMs; bucket = this.#buckets[0]) {
      this.#buckets.shift()
      this.#settled -= bucket.settled
      this.#held -= bucket.held
      this.#presumed -= bucket.presumed
    }
  }

  #count(bucket: Bucket, standing: Standing, quantity: number): void {
    if (standing === 'held') {
      bucket.held += quantity
      this.#held += quantity
    } else if (standing === 'settled') {
      bucket.settled += quantity
      this.#settled += quantity
    } else {
      bucket.presumed += quantity
      this.#presumed += quantity
    }
  }
}

function bucketOf(fromMs: number, untilMs: number, leavesMs: number): Bucket {
  return { fromMs, untilMs, leavesMs, bounds: { startMs: fromMs, endMs: leavesMs }, settled: 0, held: 0, presumed: 0 }
}

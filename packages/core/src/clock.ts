import { uptime } from 'node:os'

/** Where time comes from. Passed in, so that tests and replays own it. */
export interface Clock {
  /** Wall clock, ms since the Unix epoch. May step in either direction. */
  wallMs(): number
  /** Monotonic clock, ms from an arbitrary origin; also runs while the machine sleeps. */
  monotonicMs(): number
  /** Calls `task` about every `periodMs` of this clock's own time until the returned function is called. Never keeps a process alive. */
  every(periodMs: number, task: () => void): () => void
}

/** The system's uptime has a grain of up to a second on some platforms: less than this is no sleep. */
const SLEEP_GRAIN_MS = 2_000

/**
 * The machine's own clock. `performance.now()` stops while the machine sleeps and uptime does not (Linux, macOS), so what uptime is ahead is added.
 * Uptime is read once for each second that the wall clock moves: after a sleep the wall has leapt, so the first reading already counts it.
 */
export function systemClock(): Clock {
  const lagMs = () => uptime() * 1000 - performance.now()
  const startLagMs = lagMs()
  let sleptMs = 0
  let readAtWallMs = Date.now()
  return {
    wallMs: () => Date.now(),
    monotonicMs: () => {
      const wallMs = Date.now()
      if (Math.abs(wallMs - readAtWallMs) >= 1000) {
        readAtWallMs = wallMs
        const unseenMs = lagMs() - startLagMs - sleptMs
        if (unseenMs > SLEEP_GRAIN_MS) sleptMs += unseenMs
      }
      return performance.now() + sleptMs
    },
    every: repeat,
  }
}

/** Starts at `startMs` (ms since the epoch) and runs `rate` times as fast as real time; for demonstrations. A task fires at most every 10 real ms. */
export function acceleratedClock({ startMs, rate }: { readonly startMs: number; readonly rate: number }): Clock {
  const originMs = performance.now()
  const monotonicMs = () => (performance.now() - originMs) * rate
  return {
    wallMs: () => startMs + Math.floor(monotonicMs()),
    monotonicMs,
    every: (periodMs, task) => repeat(Math.max(10, periodMs / rate), task),
  }
}

function repeat(periodMs: number, task: () => void): () => void {
  const timer = setInterval(task, periodMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** A clock that a test or a replay moves by hand. */
export interface ManualClock extends Clock {
  /** Moves wall and monotonic clock on by `ms`; tasks that fall due run in the order of their times, each at its own time. */
  advance(ms: number): void
  /** Moves the wall clock alone, in either direction. */
  stepWall(ms: number): void
}

interface Repeating {
  dueMs: number
  readonly periodMs: number
  readonly task: () => void
}

/** @param startMs what the wall clock shows at first, ms since the epoch. The monotonic clock starts at 0. */
export function manualClock(startMs: number): ManualClock {
  let monotonicMs = 0
  let wallAheadMs = startMs
  let repeating: readonly Repeating[] = []
  /** The one that falls due next: most steps reach none. */
  let next: Repeating | undefined
  const findNext = (): void => {
    next = undefined
    for (const entry of repeating) if (next === undefined || entry.dueMs < next.dueMs) next = entry
  }
  return {
    wallMs: () => wallAheadMs + monotonicMs,
    monotonicMs: () => monotonicMs,
    every: (periodMs, task) => {
      const entry = { dueMs: monotonicMs + periodMs, periodMs, task }
      repeating = [...repeating, entry]
      findNext()
      return () => {
        repeating = repeating.filter((other) => other !== entry)
        findNext()
      }
    },
    advance: (ms) => {
      const untilMs = monotonicMs + ms
      for (let entry = next; entry !== undefined && entry.dueMs <= untilMs; entry = next) {
        monotonicMs = entry.dueMs
        entry.dueMs += entry.periodMs
        findNext()
        entry.task()
      }
      monotonicMs = untilMs
    },
    stepWall: (ms) => {
      wallAheadMs += ms
    },
  }
}

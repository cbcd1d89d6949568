/** Where time comes from. Passed in, so that tests and replays own it. */
export interface Clock {
  /** Wall clock, ms since the Unix epoch. May step in either direction. */
  wallMs(): number
  /** Monotonic clock, ms from an arbitrary origin; also runs while the machine sleeps. */
  monotonicMs(): number
  /** Calls `task` about every `periodMs` of this clock's own time until the returned function is called. Never keeps a process alive. */
  every(periodMs: number, task: () => void): () => void
}

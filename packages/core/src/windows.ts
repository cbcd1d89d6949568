/** Quarter-hours are the grain of the totals: every zone offset in use is a multiple of one. */
export const QUARTER_MS = 900_000

/**
 * The span that a limit or quota counts over.
 *
 * Anchored windows (`day` … `first-use`) have a start, a reset and a lapse; `rolling` has none.
 * - `week`: begins on `weekday` (1 = Monday … 7 = Sunday) at `minute` of the local day (a multiple of 15).
 * - `month`: begins on `day`; in a shorter month on its last day.
 * - `first-use`: begins with the quarter-hour of the first use after the last one ended, and ends `spanMs` after that quarter-hour: at most 15 minutes late, never early.
 * - `rolling`: the last `spanMs`; a quarter-hour leaves when all of it has left: at most 15 minutes late, never early.
 */
export type Window =
  | { readonly kind: 'day' }
  | { readonly kind: 'week'; readonly weekday: number; readonly minute: number }
  | { readonly kind: 'month'; readonly day: number }
  | { readonly kind: 'quarter' }
  | { readonly kind: 'year' }
  | { readonly kind: 'first-use'; readonly spanMs: number }
  | { readonly kind: 'rolling'; readonly spanMs: number }

/** Half-open: from `startMs` up to, not including, `endMs`. Ms since the Unix epoch. */
export interface Bounds {
  readonly startMs: number
  readonly endMs: number
}

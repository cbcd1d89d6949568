import type { SeriesSnapshot } from './cells.ts'
import type { ImportedIdsSnapshot } from './imported-ids.ts'
import type { NoticesSnapshot } from './notice-board.ts'
import type { Hold, Observation } from './record.ts'
import type { SessionsSnapshot } from './sessions.ts'

/** What a ledger must know beyond its journal's tail: plain JSON, equal for equal books. */
export interface BooksSnapshot {
  readonly format: 1
  readonly ledger: string
  readonly lastMs: number
  /** The cells are whole from here on; ms since the epoch, 0 while nothing has been pruned. */
  readonly sinceMs: number
  readonly sessions: SessionsSnapshot
  readonly policy: PolicyText | null
  readonly holds: readonly Hold[]
  readonly presumed: readonly Hold[]
  readonly cells: readonly SeriesSnapshot[]
  /** For each `first-use` window, by scope and span, a time at which none was running. */
  readonly anchors: readonly (readonly [key: string, ms: number])[]
  readonly observations: readonly Observation[]
  readonly notices: NoticesSnapshot
  readonly imported: ImportedIdsSnapshot
  /** How often the journal has been repaired. */
  readonly repairs: number
  /** See {@link Books.pacing}. */
  readonly pacing?: unknown
}

/** A policy as the journal keeps it. */
export interface PolicyText {
  readonly version: string
  readonly text: string
}

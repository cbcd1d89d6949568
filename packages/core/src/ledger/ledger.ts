import type { Limit, MeterState } from '../limit.ts'
import type { Notice, NoticeBody } from '../notices/notice.ts'
import type { HoldIndex } from './open-holds.ts'
import type { AdjustOrder, Hold, ImportOrder, LedgerEntry, Observation, RefuseOrder, ReserveOrder, Settlement } from './record.ts'

/** Why a ledger takes no more cloud calls. */
export interface LedgerFault {
  readonly code: 'LEDGER_FAULT' | 'LEDGER_DAMAGED'
  readonly reason: string
  /** ISO 8601 UTC. */
  readonly since: string
}

/** The policy that a ledger meters by; journalled whole so that readers need no file. */
export interface LedgerPolicy {
  readonly version: string
  readonly text: string
  readonly timezone: string
  readonly limits: readonly Limit[]
}

export type Reserved =
  | { readonly ok: true; readonly hold: Hold; /** Resolves when the hold is on disk; rejects with `LEDGER_FAULT`. */ readonly durable: Promise<void> }
  | { readonly ok: false; /** Names of the hard limits without room. */ readonly limits: readonly string[] }

export interface Settled {
  readonly entry: LedgerEntry
  readonly durable: Promise<void>
}

/** What opening found, for notices. */
export interface OpenReport {
  /** Bytes of an unacknowledged batch that were cut and kept aside. */
  readonly cutBytes: number
  /** Holds found open: presumed spent. */
  readonly presumed: readonly Hold[]
}

/**
 * The books. Every method that changes them is one synchronous step in memory; the promise it returns stands for the disk.
 * Times are ledger time (ms since the epoch) and never go back: the caller passes times that do not decrease.
 */
export interface Ledger {
  /** Made once, kept for ever. */
  readonly id: string
  /** What whoever follows the notices knows them by: the id and, once the ledger has been repaired, how often. Within one stream numbers are gap-free. */
  readonly stream: string
  readonly fault: LedgerFault | undefined
  readonly opened: OpenReport
  /** Time of the latest record, 0 for a new ledger. */
  readonly lastMs: number
  /** One per limit of the policy, in its order, as of the last call of {@link advance} or of a change. Live: read, never keep. */
  readonly meters: readonly MeterState[]
  /** Takes a policy: re-folds the cells into its limits and journals it where it is new. */
  usePolicy(policy: LedgerPolicy, atMs: number): Promise<void>
  /** Moves the windows of all meters to `nowMs`. Cheap when nothing ends. */
  advance(nowMs: number): void
  /**
   * Sets the estimate aside in every limit that covers the call, or, when a hard one lacks room, changes nothing.
   * A cloud call on a ledger with a fault is never taken: `{ ok: false, limits: [] }`.
   */
  reserve(order: ReserveOrder): Reserved
  /** @throws MancipleError `HOLD_ENDED` for a hold that was settled, released or never made; nothing changes. */
  settle(id: string, settlement: Settlement): Settled
  /** Gives a hold back: the call never took place. @throws MancipleError `HOLD_ENDED`. */
  release(id: string, reason: string, atMs: number): Promise<void>
  /**
   * Corrects spend: counts at once, in the windows of the time it was spent.
   * @throws MancipleError `ADJUST_INVALID` where a figure is not whole, the time lies ahead, the reason is empty, or a limit would fall below zero; nothing changes.
   */
  adjust(order: AdjustOrder): Settled
  /** Ends a presumed hold whose call was never billed. @throws MancipleError `HOLD_ENDED`, `ADJUST_INVALID` where the reason is empty. */
  dropPresumed(id: string, reason: string, atMs: number): Promise<void>
  /**
   * Counts a call from before Manciple or beside it, once: undefined where it was imported before, which changes nothing.
   * Ids are remembered as far back as {@link wholeSinceMs}.
   * @throws MancipleError `IMPORT_INVALID`.
   */
  import(order: ImportOrder): Settled | undefined
  /** Whether a call of this id was reserved here or imported, as far back as {@link wholeSinceMs}. */
  has(id: string): boolean
  refuse(order: RefuseOrder): Promise<void>
  observe(observation: Observation): Promise<void>
  /** Numbers, stores and syncs a notice; resolves with it when it is on disk. Raising the same kind and episode again resolves with undefined and writes nothing. */
  notice(body: NoticeBody, atMs: number): Promise<Notice | undefined>
  /** Whether this kind and episode has been raised. */
  raised(kind: string, episode: string): boolean
  /** Counts changes: while it stands still, meters move only as windows pass, on quarter-hours. */
  readonly revision: number
  /** The latest notices, oldest first. */
  readonly notices: readonly Notice[]
  /** Spend per backend, model and task type over any span of whole quarter-hours within reach. */
  spend(startMs: number, endMs: number): readonly SpendRow[]
  /** Calls of each quarter-hour as far back as the cells reach, by its start in ms, in no order. */
  readonly calls: ReadonlyMap<number, number>
  /**
   * What pacing remembers: JSON that goes into the checkpoint as it stands when that is written, and is there again when the ledger is opened.
   * Undefined where none was given, or the checkpoint was lost.
   */
  pacing: unknown
  /** Holds not yet settled or released. */
  readonly openHolds: HoldIndex
  /** Holds that processes left open which died: they count as used, never as spent, until their windows end. */
  readonly presumedHolds: ReadonlyMap<string, Hold>
  /** The latest observation of each backend and limit. */
  readonly observations: ReadonlyMap<string, Observation>
  /** Spend and ids are whole from here on; ms since the epoch, 0 where nothing has been forgotten. */
  readonly wholeSinceMs: number
  /** Folds every number anew from the totals and compares: one line for each that differs. Empty when the books balance. */
  audit(): readonly string[]
  /** Resolves when all that was written is on disk. */
  flush(): Promise<void>
  /** Flushes, writes the checkpoint, frees the lock. */
  close(): Promise<void>
  /** The same in one blocking step, for a process that is about to exit. */
  closeSync(): void
}

export interface SpendRow {
  readonly backend: string
  readonly model: string
  readonly taskType: string
  readonly costNano: number
  readonly tokens: number
  readonly requests: number
}

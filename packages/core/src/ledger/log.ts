import type { BooksSnapshot } from './books.ts'
import type { LedgerFault } from './ledger.ts'
import type { LedgerRecord } from './record.ts'

/** Where the records go. */
export interface Log {
  /** Why nothing more gets to disk; undefined while all is well. */
  readonly fault: LedgerFault | undefined
  /** Keeps order; resolves when the record is on disk, rejects with `LEDGER_FAULT`. A caller may drop the promise: the log itself minds its rejection. */
  append(record: LedgerRecord): Promise<void>
  /** Resolves when all that was appended is on disk. */
  flush(): Promise<void>
  /** Flushes, keeps the snapshot as checkpoint, frees the lock. */
  close(snapshot: BooksSnapshot): Promise<void>
  /** The same in one blocking step. */
  closeSync(snapshot: BooksSnapshot): void
}

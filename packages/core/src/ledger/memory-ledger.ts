import { isoInstant } from '../instant.ts'
import { Books } from './books.ts'
import { createLedger } from './create-ledger.ts'
import type { Ledger } from './ledger.ts'
import type { Log } from './log.ts'

const KEPT = Promise.resolve()

/** A log that keeps nothing. */
const FORGETFUL: Log = {
  fault: undefined,
  append: () => KEPT,
  flush: () => KEPT,
  close: () => KEPT,
  closeSync: () => {},
}

export interface MemoryLedgerOptions {
  /** Id of the ledger; `memory` unless given. */
  readonly ledger?: string
  /** What the ids of its holds begin with; `memory` unless given. */
  readonly session?: string
  /** What it begins with: books that were read elsewhere, to be asked about and never written back. Empty unless given. */
  readonly books?: Books
}

/** A ledger for tests and replays: the same books, gone with the process. */
export function openMemoryLedger({ ledger = 'memory', session = 'memory', books }: MemoryLedgerOptions = {}): Ledger {
  if (books !== undefined) return createLedger({ books, log: FORGETFUL, session, opened: { cutBytes: 0, presumed: [] } })
  const empty = new Books()
  empty.apply({ type: 'open', ledger, session, time: isoInstant(0), format: 1 })
  return createLedger({ books: empty, log: FORGETFUL, session, opened: { cutBytes: 0, presumed: [] } })
}

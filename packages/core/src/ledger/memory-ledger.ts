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
}

/** A ledger for tests and replays: the same books, gone with the process. */
export function openMemoryLedger({ ledger = 'memory', session = 'memory' }: MemoryLedgerOptions = {}): Ledger {
  const books = new Books()
  books.apply({ type: 'open', ledger, session, time: isoInstant(0), format: 1 })
  return createLedger({ books, log: FORGETFUL, session, opened: { cutBytes: 0, presumed: [] } })
}

import { Books, type BooksSnapshot } from '../../packages/core/src/ledger/books.ts'
import { createLedger } from '../../packages/core/src/ledger/create-ledger.ts'
import type { Ledger } from '../../packages/core/src/ledger/ledger.ts'
import type { Log } from '../../packages/core/src/ledger/log.ts'
import type { LedgerRecord } from '../../packages/core/src/ledger/record.ts'
import { START_MS } from './ledger-samples.ts'

/** A ledger whose records and books can be looked at, and that opens again from either. */
export class RecordedLedger {
  readonly records: LedgerRecord[] = []
  readonly log: Log = {
    fault: undefined,
    append: async (record) => {
      this.records.push(JSON.parse(JSON.stringify(record)))
    },
    flush: async () => {},
    close: async () => {},
    closeSync: () => {},
  }
  books = new Books()
  ledger: Ledger
  #sessions = 0

  constructor() {
    this.ledger = this.#open()
  }

  /** From the first record on, as if there had been no checkpoint. */
  replay(): Ledger {
    this.books = new Books()
    for (const record of this.records) this.books.apply(record)
    return this.#open()
  }

  /** From a checkpoint of this moment, by way of its JSON. */
  restore(): Ledger {
    this.books = Books.restore(JSON.parse(JSON.stringify(this.books.snapshot())) as BooksSnapshot)
    return this.#open()
  }

  #open(): Ledger {
    this.#sessions += 1
    const session = `session${this.#sessions}`
    const presumed = [...this.books.openHolds.values()]
    const time = new Date(this.books.lastMs === 0 ? START_MS : this.books.lastMs).toISOString()
    const record: LedgerRecord = { type: 'open', ledger: 'recorded', session, time, format: 1 }
    this.books.apply(record)
    this.records.push(record)
    this.ledger = createLedger({ books: this.books, log: this.log, session, opened: { cutBytes: 0, presumed } })
    return this.ledger
  }
}

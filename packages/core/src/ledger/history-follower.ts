import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MancipleError } from '../errors.ts'
import { syncFolder } from './disk.ts'
import { entryOf, isAsked, figuresOf, Tally, Timeline, type HistoryQuery, type HistoryRow } from './history.ts'
import { continues, scanJournal, START, type Position, type Scan } from './journal-scan.ts'
import type { LedgerEntry, LedgerRecord } from './record.ts'
import { HistoryUnfit, isBroken, SqliteHistory } from './sqlite-history.ts'

/** Calls to a transaction: so many cost little more than one, and are gone soon. */
const BATCH = 5_000

export interface HistoryReading {
  readonly rows: readonly HistoryRow[]
  /** The line of the journal that the rows are as of: its last verified one. */
  readonly asOfSeq: number
  /** Calls that were read from the journal, since SQLite did not have them yet. */
  readonly behind: number
}

export function historyPath(folder: string): string {
  return join(folder, 'history.sqlite')
}

/**
 * Sums the calls of a ledger: those that SQLite has, and from the journal those that came later, so that the answer lacks nothing.
 * Needs no lock and changes nothing, also beside a router. Without a history that fits, the whole journal is read: slow, but right.
 *
 * @param onTrouble told why SQLite could not be asked
 */
export async function readHistory(folder: string, query: HistoryQuery, zone: string, onTrouble: (error: unknown) => void = () => {}): Promise<HistoryReading> {
  const { tally, at } = (await sumStored(folder, query, zone, onTrouble)) ?? { tally: new Tally(query), at: START }
  const timeline = new Timeline(query.by, zone)
  let behind = 0
  const scan = await scanCalls(folder, at, (entries) => {
    behind += entries.length
    for (const entry of entries) if (isAsked(entry, query)) tally.add(timeline.at(Date.parse(entry.timestamp)), entry, figuresOf(entry))
  })
  return { rows: tally.rows(), asOfSeq: scan.at.seq, behind }
}

async function sumStored(
  folder: string,
  query: HistoryQuery,
  zone: string,
  onTrouble: (error: unknown) => void,
): Promise<{ tally: Tally; at: Position } | undefined> {
  let history: SqliteHistory | undefined
  try {
    history = SqliteHistory.openReadOnly(historyPath(folder))
    const sums = history.sum(query, zone)
    return (await continues(folder, sums.at)) ? sums : undefined
  } catch (error) {
    // Missing, broken or locked. The journal knows as much.
    onTrouble(error)
    return undefined
  } finally {
    history?.close()
  }
}

/**
 * Brings everything into the history that the journal has beyond its cursor.
 * @param onBatch told after each batch where the history has come to
 */
export async function catchUp(folder: string, history: SqliteHistory, batch = BATCH, onBatch: (at: Position) => void = () => {}): Promise<Scan> {
  let waiting: LedgerEntry[] = []
  const keep = (at: Position): void => {
    history.apply(waiting, at)
    waiting = []
    onBatch(at)
  }
  const scan = await scanCalls(folder, history.cursor, (entries, at) => {
    for (const entry of entries) waiting.push(entry)
    if (waiting.length >= batch) keep(at)
  })
  if (scan.at.seq > history.cursor.seq) keep(scan.at)
  return scan
}

/** Hands out the calls of the journal as they come, and where it stands after them. What `take` throws, this throws. */
async function scanCalls(folder: string, from: Position, take: (entries: readonly LedgerEntry[], at: Position) => void): Promise<Scan> {
  let entries: LedgerEntry[] = []
  const hand = (at: Position): void => {
    if (entries.length > 0) take(entries, at)
    entries = []
  }
  const collect = (record: LedgerRecord): void => {
    const entry = entryOf(record)
    if (entry !== undefined) entries.push(entry)
  }
  const scan = await scanJournal(folder, from, undefined, collect, hand)
  // What damage followed at once.
  hand(scan.at)
  return scan
}

/**
 * Makes the history anew from the journal, in a file of its own that then takes the place of the old one; a router that runs goes on with it.
 *
 * @param onProgress told after each batch how many of the journal's lines, and bytes, are in
 * @throws MancipleError `LEDGER_DAMAGED` where the journal cannot be read to its end: the old history stays
 */
export async function rebuildHistory(folder: string, onProgress: (seq: number, bytes: number) => void = () => {}): Promise<void> {
  await sweep(folder)
  const path = historyPath(folder)
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    const history = SqliteHistory.create(temporary)
    try {
      let sealedBytes = 0
      let last = START
      const { ending } = await catchUp(folder, history, BATCH, (at) => {
        if (at.segment > last.segment) sealedBytes += last.offset
        last = at
        onProgress(at.seq, sealedBytes + at.offset)
      })
      if (ending.kind === 'damaged') throw new MancipleError('LEDGER_DAMAGED', ending.reason, { folder })
    } finally {
      history.close()
    }
    await sync(temporary)
    // What the old one left beside it must never be taken for the new one's.
    await removeBeside(path)
    await rename(temporary, path)
    syncFolder(folder)
  } finally {
    await rm(temporary, { force: true })
  }
}

/** Keeps a history up to date with its journal, and makes it anew whenever it is gone or wrong. Whatever happens to it, the next {@link tick} tries again. */
export class HistoryFollower {
  readonly #folder: string
  readonly #onWarning: (text: string) => void
  readonly #signal: AbortSignal
  #history: { readonly sqlite: SqliteHistory; readonly inode: number } | undefined
  #running: Promise<void> | undefined
  #troubled = false
  #distrusted: unknown

  /** @param signal ends a {@link tick} after the batch that is under way */
  constructor(folder: string, onWarning: (text: string) => void, signal: AbortSignal) {
    this.#folder = folder
    this.#onWarning = onWarning
    this.#signal = signal
  }

  /** Catches up with the journal as it is now. Never rejects. */
  tick(): Promise<void> {
    // One that is under way may have passed the end already.
    const before = this.#running ?? Promise.resolve()
    const running = before.then(() => this.#follow())
    this.#running = running
    return running
  }

  /** A reader's trouble: where the file is broken it is made anew with the next {@link tick}. */
  distrust(error: unknown): void {
    if (isBroken(error)) this.#distrusted = error
  }

  async close(): Promise<void> {
    await this.#running
    this.#drop()
  }

  async #follow(again = true): Promise<void> {
    try {
      const { ending } = await catchUp(this.#folder, await this.#open(), BATCH, () => this.#signal.throwIfAborted())
      if (ending.kind === 'damaged') return this.#tell(`History ends where the journal is damaged: ${ending.reason}`)
      this.#troubled = false
    } catch (error) {
      this.#drop()
      if (this.#signal.aborted) return
      this.#tell(`History falls behind, and is filled from the journal later: ${String(error)}`)
      if (!isBroken(error) || !again) return
      await removeHistory(this.#folder).catch(() => undefined)
      return this.#follow(false)
    }
  }

  async #open(): Promise<SqliteHistory> {
    const path = historyPath(this.#folder)
    const distrusted = this.#distrusted
    this.#distrusted = undefined
    if (distrusted !== undefined) throw distrusted
    // Deleted, or made anew by another process.
    if (this.#history !== undefined && this.#history.inode !== inodeOf(path)) this.#drop()
    if (this.#history !== undefined) return this.#history.sqlite
    const sqlite = SqliteHistory.open(path)
    this.#history = { sqlite, inode: inodeOf(path) }
    if (!(await continues(this.#folder, sqlite.cursor))) throw new HistoryUnfit(`${path} is not of this journal`)
    return sqlite
  }

  #drop(): void {
    this.#history?.sqlite.close()
    this.#history = undefined
  }

  /** Once, and again only after all was well. */
  #tell(text: string): void {
    if (!this.#troubled) this.#onWarning(text)
    this.#troubled = true
  }
}

function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? 0
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

async function removeHistory(folder: string): Promise<void> {
  await rm(historyPath(folder), { force: true })
  await removeBeside(historyPath(folder))
}

async function removeBeside(path: string): Promise<void> {
  for (const suffix of ['-wal', '-shm']) await rm(path + suffix, { force: true })
}

const STALE_MS = 3_600_000

/** Removes what a process left that died while it made a history anew. */
async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!/^history\.sqlite\..*\.tmp$/.test(name)) continue
    const path = join(folder, name)
    if (Date.now() - (await stat(path)).mtimeMs > STALE_MS) await rm(path, { force: true })
  }
}

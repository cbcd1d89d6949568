import { randomInt, randomUUID } from 'node:crypto'
import { accessSync, constants, existsSync, lstatSync, readdirSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { MancipleError } from '../errors.ts'
import { isoInstant } from '../instant.ts'
import { Books } from './books.ts'
import { sweepCheckpoints } from './checkpoint.ts'
import { createLedger } from './create-ledger.ts'
import { makeFolders, syncFolder, systemDisk, writeAll, type Disk } from './disk.ts'
import { clearFault, writeFault } from './fault-file.ts'
import { faultedLog, Journal, type Fsync } from './journal.ts'
import { segmentPath, type Scan } from './journal-scan.ts'
import { JournalSurvey } from './journal-survey.ts'
import type { Ledger, LedgerFault } from './ledger.ts'
import { takeLock, type Lock } from './lock.ts'
import type { Log } from './log.ts'
import type { LedgerRecord } from './record.ts'
import { replay } from './replay.ts'

export interface JsonLedgerOptions {
  /** Made where it is missing, mode 0700. */
  readonly folder: string
  /** What the ids of holds begin with; must be new for each opening. Eight random base-36 characters unless given. */
  readonly session?: string
  /** `always` unless given: see {@link Fsync} for what each can lose. */
  readonly fsync?: Fsync
  /** A segment of the journal is sealed when it has this many bytes; 64 MiB unless given. */
  readonly segmentBytes?: number
  /** Time of the opening, ms since the epoch: the system's clock unless given. Ledger time never goes back, whatever it says. */
  readonly nowMs?: number
  /** The system's unless given. */
  readonly disk?: Disk
  /** Told what went wrong and closes nothing: a checkpoint that could not be read or written, what was cut. */
  readonly onWarning?: (text: string) => void
}

const SEGMENT_BYTES = 64 * 2 ** 20
/** Names of the files that a ledger is made of. */
const OURS = /^(journal-|cut-|(checkpoint\.json|fault\.json|history\.sqlite|lock)$)/

/**
 * Opens the ledger of a folder for its one writer: takes the lock, verifies the journal from its checkpoint on, and cuts a batch that nobody was told is written.
 * A ledger that was damaged opens with the fault `LEDGER_DAMAGED`: what was verified can be read, nothing is written.
 *
 * @throws MancipleError `LEDGER_UNWRITABLE`, `LEDGER_LOCKED`.
 */
export async function openJsonLedger(options: JsonLedgerOptions): Promise<Ledger> {
  const folder = resolve(options.folder)
  const lock = attempt(folder, () => {
    prepareFolder(folder)
    return takeLock(folder)
  })
  try {
    return await openLocked(folder, lock, options)
  } catch (error) {
    lock.release()
    throw unwritable(folder, error)
  }
}

async function openLocked(folder: string, lock: Lock, options: JsonLedgerOptions): Promise<Ledger> {
  const { session = newSession(), nowMs = Date.now(), onWarning = ignore } = options
  await sweepCheckpoints(folder)
  const { books, scan } = await replay(folder, true, onWarning)
  const presumed = [...books.openHolds.values()]
  const opening: LedgerRecord = {
    type: 'open',
    ledger: books.ledger === '' ? randomUUID() : books.ledger,
    session,
    time: isoInstant(Math.max(nowMs, books.lastMs)),
    format: 1,
  }
  books.apply(opening)
  const cutBytes = scan.ending.kind === 'torn' ? scan.ending.bytes : 0
  const log = await openLog({ folder, lock, scan, books, opening, options })
  const parts = { books, log, session, opened: { cutBytes, presumed } }
  return createLedger(log instanceof Journal ? { ...parts, recall: recaller(folder, log, books, onWarning) } : parts)
}

/** In the background: hard limits that count from before the cells are whole have no room until it is done, and where it fails. */
function recaller(folder: string, journal: Journal, books: Books, onWarning: (text: string) => void): () => void {
  let running: Promise<void> | undefined
  return () => {
    if (running !== undefined) return
    onWarning(`The policy counts from before ${isoInstant(books.sinceMs)}: older spend is being read from the journal, and its limits are closed until then`)
    running = recall(folder, journal, books)
      .catch((error: unknown) => onWarning(`Older spend could not be read, and the limits that count it stay closed: ${String(error)}`))
      .finally(() => (running = undefined))
  }
}

/** Replays the journal up to a moment from which on the books take note of everything themselves. */
async function recall(folder: string, journal: Journal, books: Books): Promise<void> {
  const end = await journal.mark(() => books.cutPast())
  const past = new Books()
  const survey = new JournalSurvey(folder, ({ record, at }) => {
    if (at.seq <= end.seq && record.type !== 'seal') past.apply(record)
  })
  for await (const _ of survey.read()) {
    const damage = survey.damages.find(({ torn }) => !torn)
    if (damage !== undefined) throw new Error(`${damage.file}: the line of seq ${damage.seq} ${damage.reason}`)
    if (survey.at.seq >= end.seq) break
  }
  if (survey.at.seq < end.seq) throw new Error(`the journal ends before seq ${end.seq}`)
  books.bringPast(past)
}

interface Opening {
  readonly folder: string
  readonly lock: Lock
  readonly scan: Scan
  readonly books: Books
  readonly opening: LedgerRecord
  readonly options: JsonLedgerOptions
}

async function openLog({ folder, lock, scan, books, opening, options }: Opening): Promise<Log> {
  const { fsync = 'always', segmentBytes = SEGMENT_BYTES, disk = systemDisk, onWarning = ignore } = options
  const { ending, at, hash } = scan
  if (ending.kind === 'damaged' || hash === undefined) {
    const reason = ending.kind === 'whole' ? `${segmentPath(folder, at.segment)} could not be hashed` : ending.reason
    const fault: LedgerFault = { code: 'LEDGER_DAMAGED', reason, since: isoInstant(Date.now()) }
    if (!writeFault(folder, fault)) onWarning(`The fault could not be noted in ${folder}`)
    return faultedLog(folder, fault, lock)
  }
  if (ending.kind === 'torn') onWarning(`Cut ${ending.bytes} bytes of an unacknowledged batch to ${await cutTail(folder, scan, disk)}: ${ending.reason}`)
  const log = new Journal({ folder, disk, lock, fsync, segmentBytes, at, hash, snapshot: () => books.snapshot(), onWarning })
  try {
    await log.append(opening)
    clearFault(folder)
  } catch {
    // The fault stands in the ledger that is handed out: it can be read, and local calls go on.
  }
  return log
}

/** Keeps what stands after the verified part aside, and only then cuts it. */
async function cutTail(folder: string, { at }: Scan, disk: Disk): Promise<string> {
  const name = `cut-${isoInstant(Date.now()).replaceAll(/[-:.]/g, '')}-${at.seq + 1}.jsonl`
  const segment = await open(segmentPath(folder, at.segment), 'r+')
  try {
    const { size } = await segment.stat()
    const { buffer } = await segment.read(Buffer.alloc(size - at.offset), 0, size - at.offset, at.offset)
    const aside = await open(join(folder, name), 'wx', 0o600)
    try {
      await writeAll(disk, aside.fd, buffer, 0)
      await disk.datasync(aside.fd)
    } finally {
      await aside.close()
    }
    syncFolder(folder)
    await segment.truncate(at.offset)
    await disk.datasync(segment.fd)
  } finally {
    await segment.close()
  }
  return name
}

function prepareFolder(folder: string): void {
  const found = lstatSync(folder, { throwIfNoEntry: false })
  if (found === undefined) {
    refuseOpenToAll(nearestFolder(folder))
    // A folder that a power cut forgets takes the whole journal with it.
    for (const made of makeFolders(folder, 0o700).toReversed()) syncFolder(dirname(made))
    return
  }
  if (found.isSymbolicLink()) throw new Error('it is a link')
  if (!found.isDirectory()) throw new Error('it is not a folder')
  refuseOpenToAll(dirname(folder))
  accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  // To open a pipe would wait for ever; a link leads who knows where.
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (OURS.test(entry.name) && !entry.isFile()) throw new Error(`${entry.name} in it is not a regular file`)
  }
}

/** Where a folder that is missing will be made. */
function nearestFolder(folder: string): string {
  const parent = dirname(folder)
  return existsSync(parent) ? parent : nearestFolder(parent)
}

/** Whoever may write a folder may put another in the place of those in it, unless the sticky bit forbids that. Windows has no such modes. */
function refuseOpenToAll(parent: string): void {
  const { mode } = statSync(parent)
  if (process.platform === 'win32' || (mode & 0o002) === 0 || (mode & 0o1000) !== 0) return
  throw new Error(`everyone may write ${parent} and so replace the ledger: take that right away with \`chmod o-w\`, or set the sticky bit`)
}

function attempt<T>(folder: string, step: () => T): T {
  try {
    return step()
  } catch (error) {
    throw unwritable(folder, error)
  }
}

function unwritable(folder: string, error: unknown): MancipleError {
  if (error instanceof MancipleError) return error
  return new MancipleError('LEDGER_UNWRITABLE', `${folder}: ${error instanceof Error ? error.message : String(error)}`, { folder }, { cause: error })
}

function newSession(): string {
  return Array.from({ length: 8 }, () => randomInt(36).toString(36)).join('')
}

function ignore(): void {}

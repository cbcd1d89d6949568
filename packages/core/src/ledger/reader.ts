import { open, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MancipleError } from '../errors.ts'
import { isoInstant } from '../instant.ts'
import type { Notice } from '../notices/notice.ts'
import type { Books } from './books.ts'
import { readCheckpoint } from './checkpoint.ts'
import { systemDisk } from './disk.ts'
import { readFault } from './fault-file.ts'
import { continues, listSegments, scanJournal, segmentPath, START, type Position, type Scan } from './journal-scan.ts'
import type { LedgerFault } from './ledger.ts'
import { replay } from './replay.ts'

/** A ledger as it stands on disk. */
export interface LedgerReading {
  /** Without limits until they are given a policy. */
  readonly books: Books
  /** The policy that was last in force, undefined for a ledger that has had none. */
  readonly policyText: string | undefined
  readonly policyVersion: string | undefined
  /** Why the ledger is closed to cloud calls; the books are as of the last verified line. */
  readonly fault: LedgerFault | undefined
}

const POLL_MS = 200

/**
 * Reads a ledger, also beside a router that is writing it: needs no lock and never writes. A torn end is what is not written yet.
 *
 * @throws MancipleError `LEDGER_MISSING` where there is no such folder.
 */
export async function readLedger(folder: string): Promise<LedgerReading> {
  const path = resolve(folder)
  if (!(await isFolder(path))) throw new MancipleError('LEDGER_MISSING', `${path}: there is no such folder`, { folder: path })
  // A checkpoint that cannot be trusted costs a reader time, and is the writer's to report.
  const { books, scan } = await replay(path, false, () => undefined)
  const fault = readFault(path) ?? damageOf(scan)
  return { books, policyText: books.policy?.text, policyVersion: books.policy?.version, fault }
}

/** The end of a journal, as its file system has it: whether anything has been written since is seen without reading. */
export interface JournalEnd {
  readonly segment: number
  readonly bytes: number
  /** By the clock of the file system, ms since the epoch. */
  readonly writtenMs: number
}

/** @returns undefined where there is no journal yet. */
export async function journalEnd(folder: string): Promise<JournalEnd | undefined> {
  const path = resolve(folder)
  const segment = Math.max(0, ...(await listSegments(path).catch(() => [])))
  const found = await stat(segmentPath(path, segment)).catch(() => undefined)
  return found === undefined ? undefined : { segment, bytes: found.size, writtenMs: found.mtimeMs }
}

/**
 * Every notice with a number above `afterNumber`, in order, each once, as they come, until `signal` aborts. Within about 200 ms of being on disk.
 * None is handed out that a power cut could still take back. Waits for a folder that does not exist yet.
 *
 * @throws MancipleError `LEDGER_DAMAGED`, also where the ledger is repaired meanwhile: its `stream` is another one then, to be followed from its beginning.
 */
export async function* followNotices(folder: string, afterNumber: number, signal: AbortSignal): AsyncGenerator<Notice, void, undefined> {
  const path = resolve(folder)
  while (!signal.aborted && !(await isFolder(path))) await pause(signal)
  if (signal.aborted) return
  let { at, notices } = await startAfter(path, afterNumber)
  for (let number = afterNumber; ;) {
    for (const notice of notices) {
      number = notice.number
      yield notice
      if (signal.aborted) return
    }
    notices = []
    const scan = await scanJournal(path, at, undefined, (record) => {
      if (record.type === 'notice' && record.notice.number > number) notices.push(record.notice)
    })
    if (scan.ending.kind === 'damaged') throw new MancipleError('LEDGER_DAMAGED', scan.ending.reason, { folder: path })
    // A repair writes other lines where these stood: from there on it is another stream.
    if (scan.ending.kind === 'torn' && !(await continues(path, at))) throw new MancipleError('LEDGER_DAMAGED', `${path} has been repaired`, { folder: path })
    at = scan.at
    if (notices.length > 0) await syncSegment(path, at)
    else await pause(signal)
    if (signal.aborted) return
  }
}

/** The checkpoint, where it has kept every notice that is asked for; else the beginning of the journal. */
async function startAfter(folder: string, number: number): Promise<{ at: Position; notices: Notice[] }> {
  const checkpoint = await readCheckpoint(folder, systemDisk).catch(() => undefined)
  if (checkpoint === undefined) return { at: START, notices: [] }
  const { segment, offset, seq, crc, snapshot } = checkpoint
  const { last, latest } = snapshot.notices
  if (number < last && (latest[0]?.number ?? Infinity) > number + 1) return { at: START, notices: [] }
  return { at: { segment, offset, seq, crc }, notices: latest.filter((notice) => notice.number > number) }
}

/** The writer may have written a line and not synced it yet. */
async function syncSegment(folder: string, { segment, offset }: Position): Promise<void> {
  // A sealed segment is on disk, and Windows syncs only for those who may write.
  if (offset === 0 || process.platform === 'win32') return
  const file = await open(segmentPath(folder, segment), 'r')
  try {
    await file.datasync()
  } finally {
    await file.close()
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  await sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

function damageOf(scan: Scan): LedgerFault | undefined {
  return scan.ending.kind === 'damaged' ? { code: 'LEDGER_DAMAGED', reason: scan.ending.reason, since: isoInstant(Date.now()) } : undefined
}

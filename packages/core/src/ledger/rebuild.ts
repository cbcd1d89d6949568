import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { MancipleError } from '../errors.ts'
import { Books } from './books.ts'
import { writeCheckpoint } from './checkpoint.ts'
import { systemDisk } from './disk.ts'
import { rebuildHistory } from './history-follower.ts'
import { scanJournal, segmentPath, START } from './journal-scan.ts'
import { JournalSurvey } from './journal-survey.ts'
import { takeLock } from './lock.ts'
import { assertFolder, type OnProgress } from './verify.ts'

export interface RebuildReport {
  /** False beside a running router, which writes its own. */
  readonly checkpoint: boolean
  /** Lines of the journal. */
  readonly seq: number
}

/**
 * Makes checkpoint and SQLite history anew from the journal. Beside a running router the history alone: that router goes on with it.
 *
 * @throws MancipleError `LEDGER_MISSING`, `LEDGER_DAMAGED`: what is there stays.
 */
export async function rebuildLedger(folder: string, { onProgress = () => {} }: { readonly onProgress?: OnProgress } = {}): Promise<RebuildReport> {
  const path = resolve(folder)
  await assertFolder(path)
  const journalBytes = await new JournalSurvey(path, () => {}).totalBytes()
  const lock = lockIfFree(path)
  const totalBytes = journalBytes * (lock === undefined ? 1 : 2)
  let seq = 0
  try {
    if (lock !== undefined) seq = await rebuildCheckpoint(path, (doneBytes) => onProgress({ doneBytes, totalBytes }))
  } finally {
    lock?.release()
  }
  const before = lock === undefined ? 0 : journalBytes
  await rebuildHistory(path, (at, doneBytes) => {
    seq = Math.max(seq, at)
    onProgress({ doneBytes: before + doneBytes, totalBytes })
  })
  return { checkpoint: lock !== undefined, seq }
}

/** For whoever has the lock. @returns the last line. @throws MancipleError `LEDGER_DAMAGED`. */
export async function rebuildCheckpoint(folder: string, onBytes: (bytes: number) => void = () => {}): Promise<number> {
  const books = new Books()
  let sealedBytes = 0
  let last = START
  const scan = await scanJournal(
    folder,
    START,
    undefined,
    (record) => books.apply(record),
    (at) => {
      if (at.segment > last.segment) sealedBytes += last.offset
      last = at
      onBytes(sealedBytes + at.offset)
    },
  )
  const { at, ending, hash } = scan
  if (ending.kind === 'damaged' || hash === undefined) {
    throw new MancipleError('LEDGER_DAMAGED', ending.kind === 'damaged' ? ending.reason : `${folder} has no journal`, { folder })
  }
  // What a process that died had written may not be on disk yet, and the checkpoint must never say more than the disk.
  const path = segmentPath(folder, at.segment)
  if (existsSync(path)) {
    const file = await open(path, 'r+')
    try {
      await file.datasync()
    } finally {
      await file.close()
    }
  }
  const sha256 = hash.copy().digest('hex')
  await writeCheckpoint(folder, systemDisk, { format: 1, ...at, sha256, snapshot: books.snapshot() })
  return at.seq
}

function lockIfFree(folder: string): ReturnType<typeof takeLock> | undefined {
  try {
    return takeLock(folder)
  } catch (error) {
    if (error instanceof MancipleError && error.code === 'LEDGER_LOCKED') return undefined
    throw error
  }
}

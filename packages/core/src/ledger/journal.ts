import { createHash, type Hash } from 'node:crypto'
import { closeSync, constants, openSync } from 'node:fs'
import { MancipleError } from '../errors.ts'
import type { BooksSnapshot } from './books.ts'
import { writeCheckpoint, writeCheckpointSync, type Checkpoint } from './checkpoint.ts'
import { syncFolder, writeAll, writeAllSync, type Disk } from './disk.ts'
import { writeFault } from './fault-file.ts'
import type { JournalRecord } from './journal-fields.ts'
import { encodeLines } from './journal-lines.ts'
import { segmentPath, type Position } from './journal-scan.ts'
import type { LedgerFault } from './ledger.ts'
import type { Lock } from './lock.ts'
import type { Log } from './log.ts'
import type { LedgerRecord } from './record.ts'

/**
 * When a record counts as written, and so what can be lost. A process that dies loses nothing acknowledged in any mode.
 * - `always` (default): when it is on disk. A power cut loses nothing acknowledged.
 * - `interval`: when the system has it; synced once a second. A power cut loses the last second: those calls are forgotten and limits may be overshot by them.
 * - `never`: when the system has it; synced at checkpoints, the ends of segments and closing. A power cut loses what the system had not written of its own accord.
 */
export type Fsync = 'always' | 'interval' | 'never'

export interface JournalOptions {
  readonly folder: string
  readonly disk: Disk
  readonly lock: Lock
  readonly fsync: Fsync
  /** A segment that has this many bytes is sealed. */
  readonly segmentBytes: number
  /** Where the verified journal ends; all of it is on disk. */
  readonly at: Position
  /** SHA-256 of the segment up to `at`. */
  readonly hash: Hash
  /** The books as of the last record appended. */
  readonly snapshot: () => BooksSnapshot
  /** Told what went wrong with a checkpoint; the journal itself is whole. */
  readonly onWarning: (text: string) => void
}

const CHECKPOINT_RECORDS = 20_000
const CHECKPOINT_MS = 60_000
const SYNC_MS = 1_000

/** What waits to be written together, and those who wait for it. */
interface Batch {
  readonly records: LedgerRecord[]
  readonly done: PromiseWithResolvers<void>
  /** Somebody asked for the disk, whatever the mode. */
  sync: boolean
  /** Called when the books are as of the last record of this batch. */
  readonly marks: (() => void)[]
  /** After the last record. */
  at: Position | undefined
}

/** The one writer of a journal: a queue, and one write and one sync for all that waits in it. The first failure is the last: nothing is written after it. */
export class Journal implements Log {
  readonly #options: JournalOptions
  #fd: number
  #at: Position
  #hash: Hash
  /** Highest seq known to be on disk. */
  #synced: number
  #waiting: Batch | undefined
  #running: Promise<void> | undefined
  /** The bytes that the thread pool has in hand. */
  #inFlight: { readonly batch: Batch; readonly bytes: Buffer; readonly offset: number; hashed: boolean } | undefined
  #fault: LedgerFault | undefined
  #state: 'open' | 'closing' | 'closed' = 'open'
  #checkpointSeq: number
  #checkpointDue = false
  #checkpointing: Promise<void> | undefined
  #closing: Promise<void> | undefined
  readonly #timers: readonly NodeJS.Timeout[]

  /** @throws Error where the segment cannot be opened or synced. */
  constructor(options: JournalOptions) {
    this.#options = options
    this.#at = options.at
    this.#hash = options.hash
    this.#synced = options.at.seq
    this.#checkpointSeq = options.at.seq
    this.#fd = openSegment(options.folder, options.at)
    // What a process that died had written may not be on disk yet; from here on lines call it synced.
    options.disk.datasyncSync(this.#fd)
    const timers = [setInterval(() => this.#checkpointSoon(), CHECKPOINT_MS)]
    if (options.fsync === 'interval') timers.push(setInterval(() => this.#syncSoon(), SYNC_MS))
    for (const timer of timers) timer.unref()
    this.#timers = timers
  }

  get fault(): LedgerFault | undefined {
    return this.#fault
  }

  append(record: LedgerRecord): Promise<void> {
    const refusal = this.#refusal()
    if (refusal !== undefined) return minded(Promise.reject(refusal))
    const batch = this.#nextBatch()
    batch.records.push(record)
    return batch.done.promise
  }

  flush(): Promise<void> {
    const refusal = this.#refusal()
    if (refusal !== undefined) return minded(Promise.reject(refusal))
    const batch = this.#nextBatch()
    batch.sync = true
    return batch.done.promise
  }

  /** Calls `look` when the books are as of the last record of some batch. @returns the position after that record, which is on disk. */
  async mark(look: () => void): Promise<Position> {
    const flushed = this.flush()
    const batch = this.#waiting
    batch?.marks.push(look)
    await flushed
    return batch?.at ?? this.#at
  }

  close(snapshot: BooksSnapshot): Promise<void> {
    this.#closing ??= this.#finish(snapshot)
    return this.#closing
  }

  closeSync(snapshot: BooksSnapshot): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#stopTimers()
    if (this.#fault === undefined) this.#finishSync(snapshot)
    // The descriptor stays open where the thread pool may still use it: its number could soon name another file.
    if (this.#inFlight === undefined) closeSync(this.#fd)
    this.#options.lock.release()
  }

  #refusal(): MancipleError | undefined {
    if (this.#fault !== undefined) return new MancipleError(this.#fault.code, this.#fault.reason, { folder: this.#options.folder })
    return this.#state === 'open' ? undefined : new MancipleError('CLOSED', `${this.#options.folder} has been closed`)
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #nextBatch(): Batch {
    if (this.#waiting === undefined) {
      this.#waiting = { records: [], done: Promise.withResolvers(), sync: false, marks: [], at: undefined }
      void minded(this.#waiting.done.promise)
      this.#running ??= this.#run()
    }
    return this.#waiting
  }

  async #run(): Promise<void> {
    let batch: Batch | undefined
    try {
      // All who were answered together, and all requests that came in together, shall share a batch.
      for (await turn(); this.#waiting !== undefined && !this.#isClosed(); await turn()) {
        batch = this.#waiting
        this.#waiting = undefined
        await this.#commit(batch)
        if (this.#at.offset >= this.#options.segmentBytes && !this.#isClosed()) this.#seal()
      }
    } catch (error) {
      if (!this.#isClosed()) this.#poison(error, batch)
    } finally {
      this.#running = undefined
    }
  }

  async #commit(batch: Batch): Promise<void> {
    // The books are now as of the last record of this batch, and only now.
    for (const look of batch.marks) look()
    const snapshot = this.#snapshotDue() ? this.#options.snapshot() : undefined
    await this.#write(batch, snapshot !== undefined || batch.sync || this.#options.fsync === 'always')
    if (this.#isClosed()) return
    batch.at = this.#at
    batch.done.resolve()
    if (snapshot !== undefined) this.#checkpointing = this.#keep(this.#checkpoint(snapshot)).finally(() => (this.#checkpointing = undefined))
  }

  async #write(batch: Batch, sync: boolean): Promise<void> {
    const { disk } = this.#options
    const { offset } = this.#at
    const bytes = this.#encode(batch.records)
    const { seq } = this.#at
    this.#inFlight = { batch, bytes, offset, hashed: false }
    try {
      await writeAll(disk, this.#fd, bytes, offset)
      if (this.#isClosed()) return
      const synced = sync && seq > this.#synced ? disk.datasync(this.#fd) : undefined
      // While the disk is at work: here it costs nobody anything.
      this.#hashInFlight()
      if (synced === undefined) return
      await synced
      this.#synced = seq
    } finally {
      if (!this.#isClosed()) this.#inFlight = undefined
    }
  }

  #hashInFlight(): void {
    if (this.#inFlight === undefined || this.#inFlight.hashed) return
    this.#hash.update(this.#inFlight.bytes)
    this.#inFlight.hashed = true
  }

  #encode(records: readonly JournalRecord[]): Buffer {
    const { bytes, last } = encodeLines(records, this.#at, this.#synced)
    this.#at = { ...last, segment: this.#at.segment, offset: this.#at.offset + bytes.length }
    return bytes
  }

  /** Blocks, once in a segment: so no closing ever finds it half done. */
  #seal(): void {
    const { disk, folder } = this.#options
    const { offset } = this.#at
    writeAllSync(disk, this.#fd, this.#encode([{ type: 'seal', sha256: this.#hash.digest('hex') }]), offset)
    disk.datasyncSync(this.#fd)
    const { seq, crc, segment } = this.#at
    this.#synced = seq
    this.#at = { seq, crc, segment: segment + 1, offset: 0 }
    this.#hash = createHash('sha256')
    const next = openSegment(folder, this.#at)
    closeSync(this.#fd)
    this.#fd = next
    this.#checkpointDue = true
  }

  async #finish(snapshot: BooksSnapshot): Promise<void> {
    if (this.#state !== 'open') return
    // What was appended so far is what the snapshot says: nothing may join it.
    const flushed = this.#fault === undefined ? this.flush() : undefined
    this.#state = 'closing'
    this.#stopTimers()
    try {
      await flushed
    } catch {
      // Whoever waited was told, and the fault stands.
    }
    await this.#running
    await this.#checkpointing
    if (this.#fault === undefined && !this.#isClosed()) await this.#keep(this.#checkpoint(snapshot))
    if (this.#isClosed()) return
    this.#state = 'closed'
    closeSync(this.#fd)
    this.#options.lock.release()
  }

  #finishSync(snapshot: BooksSnapshot): void {
    const { disk, folder } = this.#options
    const waiting = this.#waiting
    this.#waiting = undefined
    try {
      // The same bytes at the same place: whatever the thread pool has done of them or will do changes nothing.
      if (this.#inFlight !== undefined) writeAllSync(disk, this.#fd, this.#inFlight.bytes, this.#inFlight.offset)
      this.#hashInFlight()
      const { offset } = this.#at
      const bytes = this.#encode(waiting?.records ?? [])
      this.#hash.update(bytes)
      writeAllSync(disk, this.#fd, bytes, offset)
      if (this.#at.seq > this.#synced) disk.datasyncSync(this.#fd)
    } catch (error) {
      return this.#poison(error, this.#inFlight?.batch, waiting)
    }
    this.#inFlight?.batch.done.resolve()
    waiting?.done.resolve()
    try {
      writeCheckpointSync(folder, disk, this.#checkpoint(snapshot))
    } catch (error) {
      this.#options.onWarning(`The checkpoint could not be written: ${String(error)}`)
    }
  }

  #snapshotDue(): boolean {
    const due = this.#checkpointDue || this.#at.seq - this.#checkpointSeq >= CHECKPOINT_RECORDS
    return due && this.#checkpointing === undefined
  }

  #checkpoint(snapshot: BooksSnapshot): Checkpoint {
    this.#checkpointDue = false
    this.#checkpointSeq = this.#at.seq
    return { format: 1, ...this.#at, sha256: this.#hash.copy().digest('hex'), snapshot }
  }

  async #keep(checkpoint: Checkpoint): Promise<void> {
    try {
      await writeCheckpoint(this.#options.folder, this.#options.disk, checkpoint)
    } catch (error) {
      this.#options.onWarning(`The checkpoint could not be written: ${String(error)}`)
    }
  }

  #checkpointSoon(): void {
    if (this.#at.seq === this.#checkpointSeq || this.#refusal() !== undefined) return
    this.#checkpointDue = true
    void this.#nextBatch()
  }

  #syncSoon(): void {
    if (this.#at.seq > this.#synced && this.#refusal() === undefined) this.#nextBatch().sync = true
  }

  #stopTimers(): void {
    for (const timer of this.#timers) clearInterval(timer)
  }

  /** After a failed sync a later one may report success for data that is gone: only reopening, which reads the journal again, heals this. */
  #poison(error: unknown, ...batches: readonly (Batch | undefined)[]): void {
    const { folder, onWarning } = this.#options
    this.#fault = { code: 'LEDGER_FAULT', reason: `${segmentPath(folder, this.#at.segment)}: ${String(error)}`, since: new Date().toISOString() }
    if (!writeFault(folder, this.#fault)) onWarning(`The fault could not be noted in ${folder}`)
    const refusal = new MancipleError('LEDGER_FAULT', this.#fault.reason, { folder }, { cause: error })
    for (const batch of [...batches, this.#waiting]) batch?.done.reject(refusal)
    this.#waiting = undefined
  }
}

/** Opens the segment for writing at explicit positions, and makes it where it is missing. */
function openSegment(folder: string, at: Position): number {
  const existing = at.offset > 0 ? 0 : constants.O_CREAT
  const fd = openSync(segmentPath(folder, at.segment), constants.O_RDWR | constants.O_NOFOLLOW | existing, 0o600)
  try {
    syncFolder(folder)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Marks a rejection as seen: whoever asks learns of it, and {@link Journal.fault} tells the rest. */
function minded(promise: Promise<void>): Promise<void> {
  promise.catch(() => undefined)
  return promise
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** A log that was found damaged: nothing is written to it, so that a repair finds it as it was. */
export function faultedLog(folder: string, fault: LedgerFault, lock: Lock): Log {
  const refuse = (): Promise<void> => minded(Promise.reject(new MancipleError(fault.code, fault.reason, { folder })))
  return {
    fault,
    append: refuse,
    flush: refuse,
    async close() {
      lock.release()
    },
    closeSync() {
      lock.release()
    },
  }
}

import { createReadStream } from 'node:fs'
import { open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { randomUUID } from 'node:crypto'
import { MancipleError } from '../errors.ts'
import { isoInstant } from '../instant.ts'
import { readCheckpoint, type Checkpoint } from './checkpoint.ts'
import { syncFolder, systemDisk, writeAll } from './disk.ts'
import { clearFault, readFault } from './fault-file.ts'
import { historyPath, rebuildHistory } from './history-follower.ts'
import { encodeLines, type Chain } from './journal-lines.ts'
import { listSegments, segmentPath } from './journal-scan.ts'
import { JournalSurvey, MISSING, type Damage, type SurveyedLine } from './journal-survey.ts'
import { takeLock } from './lock.ts'
import { rebuildCheckpoint } from './rebuild.ts'
import type { LedgerRecord, SeqRange } from './record.ts'
import { replay } from './replay.ts'
import { Salvage } from './salvage.ts'
import { assertFolder, type OnProgress } from './verify.ts'

export interface RepairReport {
  /** False where nothing was damaged. */
  readonly repaired: boolean
  /** Why the ledger was closed, where it was. */
  readonly fault: string | null
  readonly damages: readonly Damage[]
  /** Lines of which nothing is left but what stands in `files`. */
  readonly lost: readonly SeqRange[]
  /** Records that stood after the damage, were verified, and are written again. */
  readonly salvaged: number
  /** Settlements among them whose reservation is lost: they count as imports. */
  readonly imported: number
  /** Corrections that put back what the checkpoint still knew of lost lines. */
  readonly restored: number
  /** Where all that was cut stands now. */
  readonly files: readonly string[]
  /** What followers of notices know the ledger by from now on. */
  readonly stream: string
}

export interface RepairOptions {
  readonly onProgress?: OnProgress
  /** Time of the repair, ms since the epoch: the system's clock unless given. Ledger time never goes back, whatever it says. */
  readonly nowMs?: number
}

const TEMPORARY = 'repair.tmp'
/** Records to a write. */
const BATCH = 2_000

/**
 * Makes a damaged ledger whole: keeps the journal up to the damage, writes again after it all that stands behind and can be verified, and a `repair` record that says what is lost.
 * Every byte that is cut stays in the folder, in files that begin with `cut-`. At every moment the folder is either damaged still, and can be repaired again, or whole.
 *
 * @throws MancipleError `LEDGER_MISSING`, `LEDGER_LOCKED`, `LEDGER_UNWRITABLE`.
 */
export async function repairLedger(folder: string, options: RepairOptions = {}): Promise<RepairReport> {
  const { onProgress = () => {}, nowMs = Date.now() } = options
  const path = resolve(folder)
  await assertFolder(path)
  const lock = takeLock(path)
  try {
    return await new Repair(path, onProgress, nowMs).run()
  } catch (error) {
    if (error instanceof MancipleError || !(error instanceof Error) || !('syscall' in error)) throw error
    throw new MancipleError('LEDGER_UNWRITABLE', `${path}: ${error.message}`, { folder: path }, { cause: error })
  } finally {
    lock.release()
  }
}

class Repair {
  readonly #folder: string
  readonly #onProgress: OnProgress
  readonly #nowMs: number
  readonly #survey: JournalSurvey
  readonly #salvage = new Salvage()
  readonly #session = randomUUID().slice(0, 8)
  readonly #stamp = isoInstant(Date.now()).replaceAll(/[-:.]/g, '')
  #checkpoint: Checkpoint | undefined
  /** Whether the checkpoint has been passed, or cannot be compared. */
  #compared = false
  readonly #waiting: LedgerRecord[] = []
  #output: { readonly file: FileHandle; at: Chain; offset: number } | undefined
  #salvaged = 0
  #restored: readonly LedgerRecord[] = []

  constructor(folder: string, onProgress: OnProgress, nowMs: number) {
    this.#folder = folder
    this.#nowMs = nowMs
    this.#onProgress = onProgress
    this.#survey = new JournalSurvey(folder, (line) => this.#take(line))
  }

  async run(): Promise<RepairReport> {
    const fault = readFault(this.#folder)?.reason ?? null
    this.#checkpoint = await readCheckpoint(this.#folder, systemDisk).catch(() => undefined)
    const opening = (await replay(this.#folder, true, () => undefined)).scan.ending.kind
    const totalBytes = await this.#survey.totalBytes()
    try {
      for await (const _ of this.#survey.read()) {
        if (this.#waiting.length >= BATCH) await this.#write()
        this.#onProgress({ doneBytes: this.#survey.readBytes, totalBytes })
      }
      if (this.#isWhole(opening)) {
        clearFault(this.#folder)
        return this.#report(fault, [], [])
      }
      this.#restoreFrom()
      return await this.#finish(fault)
    } finally {
      await this.#output?.file.close()
      await rm(join(this.#folder, TEMPORARY), { force: true })
    }
  }

  /** Damage in older segments counts, though opening does not look for it; segments that were put away, with a checkpoint in their stead, do not. */
  #isWhole(opening: 'whole' | 'torn' | 'damaged'): boolean {
    const damages = this.#survey.damages.filter(({ torn }) => !torn)
    const first = damages[0]
    return opening !== 'damaged' && (first === undefined || (first.reason === MISSING && first.file === basename(segmentPath('', 1))))
  }

  #take({ record, at }: SurveyedLine): void {
    if (!this.#compared && this.#checkpoint !== undefined && at.seq > this.#checkpoint.seq) this.#restoreFrom()
    if (record.type === 'seal') return
    if (this.#survey.damages.length === 0) return this.#salvage.keep(record)
    this.#waiting.push(this.#salvage.rescue(record))
    this.#salvaged += 1
  }

  /** Once, when the books are as of the checkpoint's line, or at the end. A checkpoint from before an earlier repair numbers other lines. */
  #restoreFrom(): void {
    const { repairs } = this.#salvage.books
    if (this.#compared || this.#checkpoint === undefined || this.#checkpoint.snapshot.repairs !== repairs) return
    this.#compared = true
    const { at, damages } = this.#survey
    const agrees = damages.length === 0 && at.seq === this.#checkpoint.seq && at.crc === this.#checkpoint.crc
    if (!agrees) this.#restored = this.#salvage.restore(this.#checkpoint.snapshot, this.#session, this.#now())
  }

  #now(): string {
    return isoInstant(Math.max(this.#nowMs, this.#salvage.books.lastMs))
  }

  /** In this order, so that a crash leaves what is still seen to be damaged, or is whole. */
  async #finish(fault: string | null): Promise<RepairReport> {
    const from = this.#survey.wholeTo
    const later = [...(await listSegments(this.#folder))].filter((segment) => segment > from.segment)
    const size = await sizeOf(segmentPath(this.#folder, from.segment))
    const tail = size > from.offset ? [this.#aside(`${from.seq + 1}.jsonl`)] : []
    const stale = (await readdir(this.#folder)).filter((name) => name === 'checkpoint.json' || name.startsWith(basename(historyPath(''))))
    const segments = later.map((segment) => basename(segmentPath(this.#folder, segment)))
    const files = [...tail, ...[...segments, ...stale].map((name) => this.#aside(name))]
    const lost = this.#lost()
    this.#waiting.push(...this.#closing(lost, files))
    await this.#write()
    await this.#output?.file.sync()
    if (tail[0] !== undefined) await copyTail(segmentPath(this.#folder, from.segment), from.offset, join(this.#folder, tail[0]))
    syncFolder(this.#folder)
    await rename(join(this.#folder, TEMPORARY), segmentPath(this.#folder, from.segment))
    syncFolder(this.#folder)
    for (const name of segments) await rename(join(this.#folder, name), join(this.#folder, this.#aside(name)))
    syncFolder(this.#folder)
    for (const name of stale) await rename(join(this.#folder, name), join(this.#folder, this.#aside(name)))
    await rebuildCheckpoint(this.#folder)
    clearFault(this.#folder)
    if (stale.some((name) => name !== 'checkpoint.json')) await rebuildHistory(this.#folder)
    return this.#report(fault, lost, files)
  }

  #closing(lost: readonly SeqRange[], files: readonly string[]): readonly LedgerRecord[] {
    const { books } = this.#salvage
    const time = this.#now()
    const id = this.#checkpoint?.snapshot.ledger ?? ''
    const opening: LedgerRecord[] = books.ledger === '' && id !== '' ? [{ type: 'open', ledger: id, session: this.#session, time, format: 1 }] : []
    const bytes = this.#survey.damages.reduce((sum, damage) => sum + damage.bytes, 0)
    const repair: LedgerRecord = { type: 'repair', number: books.repairs + 1, time, lost, bytes, salvaged: this.#salvaged, files }
    for (const record of [...opening, repair]) this.#salvage.keep(record)
    return [...opening, ...this.#restored, repair]
  }

  #lost(): readonly SeqRange[] {
    const { damages, at } = this.#survey
    const lost = damages.flatMap((damage) => damage.lost ?? [])
    const known = this.#checkpoint?.snapshot.repairs === this.#salvage.books.repairs ? (this.#checkpoint?.seq ?? 0) : 0
    return known > at.seq ? [...lost, { from: at.seq + 1, to: known }] : lost
  }

  async #write(): Promise<void> {
    const output = (this.#output ??= await this.#begin())
    for (const records of batches(this.#waiting.splice(0))) {
      const { bytes, last } = encodeLines(records, output.at, this.#survey.wholeTo.seq)
      await writeAll(systemDisk, output.file.fd, bytes, output.offset)
      output.at = last
      output.offset += bytes.length
    }
  }

  /** The damaged segment up to the damage. */
  async #begin(): Promise<{ readonly file: FileHandle; at: Chain; offset: number }> {
    const { segment, offset, seq, crc } = this.#survey.wholeTo
    const file = await open(join(this.#folder, TEMPORARY), 'w', 0o600)
    const output = { file, at: { seq, crc }, offset: 0 }
    this.#output = output
    if (offset > 0) {
      for await (const chunk of createReadStream(segmentPath(this.#folder, segment), { end: offset - 1 }) as AsyncIterable<Buffer>) {
        await writeAll(systemDisk, file.fd, chunk, output.offset)
        output.offset += chunk.length
      }
    }
    return output
  }

  #aside(name: string): string {
    return `cut-${this.#stamp}-${name}`
  }

  #report(fault: string | null, lost: readonly SeqRange[], files: readonly string[]): RepairReport {
    const { books, imported } = this.#salvage
    const repaired = files.length > 0 || lost.length > 0 || this.#output !== undefined
    const damages = this.#survey.damages.filter(({ torn }) => repaired || !torn)
    return { repaired, fault, damages, lost, salvaged: this.#salvaged, imported, restored: this.#restored.length, files, stream: books.stream }
  }
}

function* batches(records: readonly LedgerRecord[]): Generator<readonly LedgerRecord[]> {
  for (let index = 0; index < records.length; index += BATCH) yield records.slice(index, index + BATCH)
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}

/** The bytes of a file from `offset` on, in a new file, on disk. */
async function copyTail(from: string, offset: number, to: string): Promise<void> {
  const file = await open(to, 'wx', 0o600)
  try {
    let position = 0
    for await (const chunk of createReadStream(from, { start: offset }) as AsyncIterable<Buffer>) {
      await writeAll(systemDisk, file.fd, chunk, position)
      position += chunk.length
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { MancipleError } from '../errors.ts'
import { isoInstant } from '../instant.ts'
import { Books } from './books.ts'
import { readCheckpoint, type Checkpoint } from './checkpoint.ts'
import { systemDisk } from './disk.ts'
import { entryOf, figuresOf, HISTORY_FIELDS, Tally, Timeline, type HistoryQuery, type HistoryRow } from './history.ts'
import { historyPath } from './history-follower.ts'
import { JournalSurvey, type Damage, type SurveyedLine } from './journal-survey.ts'
import type { Position } from './journal-scan.ts'
import type { LedgerPolicy } from './ledger.ts'
import type { LedgerRecord } from './record.ts'
import { snapshotDifferences } from './snapshot-differences.ts'
import { SqliteHistory } from './sqlite-history.ts'

/** How far long work has come, in bytes of the journal. */
export interface Progress {
  readonly doneBytes: number
  readonly totalBytes: number
}
export type OnProgress = (progress: Progress) => void

/** Something that contradicts what the ledger says elsewhere. */
export interface Finding {
  /** `books`: the running numbers of the limits against a fold of the totals. */
  readonly part: 'journal' | 'checkpoint' | 'history' | 'books'
  /** Name of the file; null for the books, which are in none. */
  readonly file: string | null
  /** Where in the file: line from 1, byte from 0. */
  readonly line: number | null
  readonly offset: number | null
  readonly seq: number | null
  readonly text: string
}

export interface Verification {
  readonly findings: readonly Finding[]
  readonly bytes: number
  readonly lines: number
  /** The last line that was verified, and its time, ISO 8601 UTC. */
  readonly seq: number
  readonly lastRecord: string
  /** What was compared besides the lines themselves. */
  readonly checked: { readonly checkpoint: boolean; readonly history: boolean; readonly books: boolean }
  /** Bytes at the end that nobody was told are written: being written now, or cut at the next opening. */
  readonly tornBytes: number
}

/** Reads a policy's text, or undefined where it cannot be read. */
export type ReadPolicy = (text: string, version: string) => LedgerPolicy | undefined

const ALL: HistoryQuery = { from: new Date(-8.64e15), to: new Date(8.64e15), by: HISTORY_FIELDS.filter((field) => field !== 'task_id') }
/** Differences of one kind that are listed; the rest is counted. */
const LISTED = 20

/**
 * Reads every line of a ledger and compares all that it says more than once: lines with their checksums, segments with their seals,
 * checkpoint and SQLite with a replay as of their own line, the running numbers of every limit with a fold of the totals. Needs no lock, never writes.
 *
 * @throws MancipleError `LEDGER_MISSING`.
 */
export async function verify(folder: string, readPolicy: ReadPolicy, onProgress: OnProgress): Promise<Verification> {
  const path = resolve(folder)
  await assertFolder(path)
  const check = new Check(path, readPolicy)
  const checkpoint = await check.openCheckpoint()
  const survey = new JournalSurvey(path, (line) => check.take(line))
  const totalBytes = await survey.totalBytes()
  for await (const _ of survey.read()) onProgress({ doneBytes: survey.readBytes, totalBytes: Math.max(totalBytes, survey.readBytes) })
  return check.finish(survey, checkpoint)
}

/** @throws MancipleError `LEDGER_MISSING`. */
export async function assertFolder(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory() !== true) throw new MancipleError('LEDGER_MISSING', `${path}: there is no such folder`, { folder: path })
}

class Check {
  readonly #folder: string
  readonly #readPolicy: ReadPolicy
  readonly #books = new Books()
  readonly #findings: Finding[] = []
  readonly #tally = new Tally(ALL)
  readonly #span = new Timeline([], 'UTC').at(0)
  #metered = false
  #checkpoint: Checkpoint | undefined
  #history: { readonly at: Position; readonly rows: readonly HistoryRow[] } | undefined
  readonly #checked = { checkpoint: false, history: false }

  constructor(folder: string, readPolicy: ReadPolicy) {
    this.#folder = folder
    this.#readPolicy = readPolicy
    this.#openHistory()
  }

  async openCheckpoint(): Promise<Checkpoint | undefined> {
    try {
      this.#checkpoint = await readCheckpoint(this.#folder, systemDisk)
    } catch (error) {
      this.#find('checkpoint', 'checkpoint.json', `cannot be trusted: ${textOf(error)}`)
    }
    this.#passed({ segment: 1, offset: 0, seq: 0, crc: 0 })
    return this.#checkpoint
  }

  take({ record, at }: SurveyedLine): void {
    if (record.type !== 'seal') this.#apply(record)
    this.#passed(at)
  }

  finish(survey: JournalSurvey, checkpoint: Checkpoint | undefined): Verification {
    // First what the rest may come from.
    this.#findings.unshift(...survey.damages.filter(({ torn }) => !torn).map(findingOf))
    if (!this.#checked.checkpoint && checkpoint !== undefined) this.#find('checkpoint', 'checkpoint.json', this.#strayText(checkpoint, survey))
    if (!this.#checked.history && this.#history !== undefined) this.#find('history', 'history.sqlite', this.#strayText(this.#history.at, survey))
    this.#list('books', null, this.#metered ? this.#books.audit() : [])
    const { checkpoint: known, history } = this.#checked
    return {
      findings: this.#findings,
      bytes: survey.readBytes,
      lines: survey.lines,
      seq: survey.at.seq,
      lastRecord: isoInstant(this.#books.lastMs),
      checked: { checkpoint: known, history, books: this.#metered },
      tornBytes: survey.damages.find(({ torn }) => torn)?.bytes ?? 0,
    }
  }

  /** Meters run along, as they do in a router, so that they can be audited at the end. */
  #apply(record: LedgerRecord): void {
    this.#books.apply(record)
    if (record.type === 'policy') {
      const policy = this.#readPolicy(record.text, record.version)
      this.#metered = policy !== undefined
      if (policy !== undefined) this.#books.usePolicy(policy, Date.parse(record.time))
    }
    const entry = entryOf(record)
    if (entry !== undefined && this.#history !== undefined && !this.#checked.history) this.#tally.add(this.#span, entry, figuresOf(entry))
  }

  /** Compares what is as of this line. */
  #passed(at: Position): void {
    if (this.#checkpoint?.seq === at.seq && isSame(this.#checkpoint, at)) {
      this.#checked.checkpoint = true
      this.#list('checkpoint', 'checkpoint.json', snapshotDifferences(this.#checkpoint.snapshot, this.#books.snapshot()))
      this.#checkpoint = undefined
    }
    if (this.#history?.at.seq === at.seq && !this.#checked.history && isSame(this.#history.at, at)) {
      this.#checked.history = true
      this.#list('history', 'history.sqlite', rowDifferences(this.#history.rows, this.#tally.rows()))
    }
  }

  #openHistory(): void {
    const path = historyPath(this.#folder)
    // A ledger without one is whole: it is made again.
    if (!existsSync(path)) return
    let history: SqliteHistory | undefined
    try {
      history = SqliteHistory.openReadOnly(path)
      this.#list('history', 'history.sqlite', history.audit())
      const { tally, at } = history.sum(ALL, 'UTC')
      this.#history = { at, rows: tally.rows() }
    } catch (error) {
      this.#find('history', 'history.sqlite', `cannot be read: ${textOf(error)}`)
    } finally {
      history?.close()
    }
  }

  #strayText({ seq }: Position, { at, damages }: JournalSurvey): string {
    if (at.seq < seq) return `is as of seq ${seq}, and the journal ends with seq ${at.seq}`
    return damages.length > 0 ? `is as of seq ${seq}, which could not be compared` : `is as of a line of seq ${seq} that the journal does not have`
  }

  #find(part: Finding['part'], file: string | null, text: string): void {
    this.#findings.push({ part, file, line: null, offset: null, seq: null, text })
  }

  #list(part: Finding['part'], file: string | null, texts: readonly string[]): void {
    for (const text of texts.slice(0, LISTED)) this.#find(part, file, text)
    if (texts.length > LISTED) this.#find(part, file, `and ${texts.length - LISTED} more`)
  }
}

function findingOf({ file, line, offset, bytes, seq, reason, lost }: Damage): Finding {
  const gone = lost === undefined ? '' : `, which leaves out seq ${lost.from === lost.to ? lost.from : `${lost.from} to ${lost.to}`}`
  const text = bytes === 0 ? `${reason}${gone}` : `the line of seq ${seq} ${reason}: ${bytes} bytes${gone}`
  return { part: 'journal', file, line, offset, seq, text }
}

function isSame(left: Position, right: Position): boolean {
  return left.crc === right.crc && left.segment === right.segment && left.offset === right.offset
}

function rowDifferences(stored: readonly HistoryRow[], replayed: readonly HistoryRow[]): readonly string[] {
  const keyOf = (row: HistoryRow): string => ALL.by.map((key) => row[key] || '-').join(' ')
  const left = new Map(stored.map((row) => [keyOf(row), row]))
  const right = new Map(replayed.map((row) => [keyOf(row), row]))
  return [...new Set([...left.keys(), ...right.keys()])].flatMap((key) => {
    const [ours, theirs] = [figures(left.get(key)), figures(right.get(key))]
    return ours === theirs ? [] : [`${key}: ${ours} in SQLite, ${theirs} in the journal`]
  })
}

function figures(row: HistoryRow | undefined): string {
  return `${row?.cost_nano ?? 0} nano-USD, ${row?.calls ?? 0} calls, ${row?.prompt_tokens ?? 0} + ${row?.completion_tokens ?? 0} tokens`
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

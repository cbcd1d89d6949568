import { closeSync, lstatSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite'
import { isoInstant } from '../instant.ts'
import { QUARTER_MS } from '../windows.ts'
import {
  ENTRY_FIELDS,
  fieldsOf,
  HISTORY_FIGURES,
  figuresOf,
  GRAINS_MS,
  HISTORY_FIELDS,
  piecesOf,
  Tally,
  Timeline,
  type HistoryField,
  type HistoryFigures,
  type HistoryQuery,
} from './history.ts'
import type { Position } from './journal-scan.ts'
import type { LedgerEntry } from './record.ts'

/** In `user_version`. History of another version is made anew from the journal. */
const VERSION = 2
const SUMMED = HISTORY_FIGURES.filter((figure) => figure !== 'tokens')
const ROLLED_UP = HISTORY_FIELDS.filter((field) => field !== 'task_id')
/** How long a writer, which nobody waits for, lets another one finish. */
const BUSY_MS = 1_000

/**
 * `calls` is clustered by time, so that any span is one stretch of pages. `rollups` has the sums of each day, quarter of a day, hour and quarter-hour of UTC, `start` and `grain` in seconds.
 * `cursor` is the last line of the journal that is in: it moves in the transaction that adds what it says.
 */
const SCHEMA = `
  CREATE TABLE calls (
    timestamp TEXT NOT NULL, backend TEXT NOT NULL, model TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    cost_usd REAL AS (cost_nano / 1e9), task_id TEXT, task_type TEXT, duration_ms REAL NOT NULL,
    id TEXT NOT NULL, requested_backend TEXT, status TEXT NOT NULL, usage_source TEXT NOT NULL,
    cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    price_source TEXT NOT NULL, policy TEXT NOT NULL, overrun INTEGER NOT NULL, requests INTEGER NOT NULL, cost_nano INTEGER NOT NULL,
    PRIMARY KEY (timestamp, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE rollups (
    grain INTEGER NOT NULL, start INTEGER NOT NULL, ${ROLLED_UP.map((field) => `${field} TEXT NOT NULL`).join(', ')},
    ${SUMMED.map((figure) => `${figure} INTEGER NOT NULL`).join(', ')},
    PRIMARY KEY (grain, start, ${ROLLED_UP.join(', ')})
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE cursor (segment INTEGER NOT NULL, offset INTEGER NOT NULL, seq INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
  INSERT INTO cursor VALUES (1, 0, 0, 0);
  PRAGMA user_version = ${VERSION};`

/** Costs are whole numbers here: SQLite would add up floats. */
const CALL_COLUMNS = ENTRY_FIELDS.map((field) => (field === 'cost_usd' ? 'cost_nano' : field))

const INSERT_CALL = `INSERT INTO calls (${CALL_COLUMNS.join(', ')}) VALUES (${CALL_COLUMNS.map(() => '?').join(', ')}) ON CONFLICT DO NOTHING`
const ROLL_UP = `INSERT INTO rollups VALUES (?, ?, ${[...ROLLED_UP, ...SUMMED].map(() => '?').join(', ')})
  ON CONFLICT DO UPDATE SET ${SUMMED.map((figure) => `${figure} = ${figure} + excluded.${figure}`).join(', ')}`

/** History that is not of this version, or not of this journal: it is to be made anew. */
export class HistoryUnfit extends Error {
  override readonly name = 'HistoryUnfit'
}

/** One connection to a history: the calls of a journal up to {@link cursor}, and their sums. The journal is the truth; this can always be made anew. */
export class SqliteHistory {
  readonly path: string
  readonly #database: DatabaseSync
  #cursor: Position
  readonly #statements = new Map<string, StatementSync>()

  /**
   * Opens for writing; makes the file, 0600, where it is missing. WAL, so that readers and the writer never wait for each other, and `synchronous=NORMAL`:
   * a power cut may take the latest batches back, and their cursor with them, but leaves no page half written, as `OFF` might; the journal has the rest.
   * @throws HistoryUnfit, and SQLite's errors.
   */
  static open(path: string): SqliteHistory {
    make(path)
    return SqliteHistory.#opened(path, new DatabaseSync(path, { timeout: BUSY_MS }), 'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
  }

  /** Makes a new file that is filled at one go: a crash on the way leaves it worthless. */
  static create(path: string): SqliteHistory {
    make(path)
    return SqliteHistory.#opened(path, new DatabaseSync(path), 'PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE')
  }

  /** @throws HistoryUnfit, and SQLite's errors, also where there is none. */
  static openReadOnly(path: string): SqliteHistory {
    return SqliteHistory.#opened(path, new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS }), '')
  }

  static #opened(path: string, database: DatabaseSync, pragmas: string): SqliteHistory {
    try {
      if (pragmas !== '' && versionOf(database) === 0) database.exec('PRAGMA page_size = 16384')
      database.exec(pragmas)
      if (pragmas !== '' && versionOf(database) === 0) database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT`)
      const version = versionOf(database)
      if (version !== VERSION) throw new HistoryUnfit(`${path} is of version ${version}, not ${VERSION}`)
      return new SqliteHistory(path, database)
    } catch (error) {
      database.close()
      throw error
    }
  }

  private constructor(path: string, database: DatabaseSync) {
    this.path = path
    this.#database = database
    this.#cursor = this.#readCursor()
    // Finds out now whether a table or a column is missing.
    for (const sql of [INSERT_CALL, ROLL_UP]) this.#prepare(sql)
  }

  /** The last line of the journal that is in. */
  get cursor(): Position {
    return this.#cursor
  }

  /** Adds what the journal has between the cursor and `at`: all of it, or, where it throws, nothing. */
  apply(entries: readonly LedgerEntry[], at: Position): void {
    this.#transaction('BEGIN IMMEDIATE', () => {
      const moved = this.#prepare('UPDATE cursor SET segment = ?, offset = ?, seq = ?, crc = ? WHERE seq = ?').run(
        at.segment,
        at.offset,
        at.seq,
        at.crc,
        this.#cursor.seq,
      )
      if (moved.changes !== 1) throw new Error(`${this.path} is being filled by another process`)
      const insert = this.#prepare(INSERT_CALL)
      let cells: Cell[] = []
      for (const entry of entries) {
        const figures = figuresOf(entry)
        const startMs = Date.parse(entry.timestamp)
        // Each call counts once, however often its line came.
        if (insert.run(...callOf(entry, isoInstant(startMs), figures)).changes === 1) cells.push(cellOf(entry, startMs, figures))
      }
      const rollUp = this.#prepare(ROLL_UP)
      for (const grainMs of GRAINS_MS.toReversed()) {
        cells = merged(cells, grainMs)
        for (const { startMs, fields, figures } of cells) rollUp.run(grainMs / 1000, startMs / 1000, ...fields, ...SUMMED.map((figure) => figures[figure]))
      }
    })
    this.#cursor = at
  }

  /** Sums what is asked for. @returns the sums, and the line of the journal that they are as of. */
  sum(query: HistoryQuery, zone: string): { readonly tally: Tally; readonly at: Position } {
    const tally = new Tally(query)
    let at = this.#cursor
    this.#transaction('BEGIN', () => {
      at = this.#readCursor()
      const { fromMs, toMs } = this.#extent(query)
      for (const span of new Timeline(query.by, zone).within(fromMs, toMs)) {
        for (const { grainMs, startMs, endMs } of piecesOf(span.startMs, span.endMs, grainsFor(query))) {
          const rows = grainMs === 0 ? this.#sumCalls(query, startMs, endMs) : this.#sumRollups(query, grainMs, startMs, endMs)
          for (const row of rows) tally.add(span, fieldsIn(row), figuresIn(row))
        }
      }
    })
    return { tally, at }
  }

  /** Whether it has this call. @param timestamp as the ledger writes it, ISO 8601 UTC */
  has(timestamp: string, id: string): boolean {
    return this.#prepare('SELECT 1 FROM calls WHERE timestamp = ? AND id = ?').get(timestamp, id) !== undefined
  }

  /** Sums the calls anew and compares: one line for each size of bucket whose sums differ. */
  audit(): readonly string[] {
    const found: string[] = []
    this.#transaction('BEGIN', () => {
      const sums = (figureOf: (figure: string) => string): string => SUMMED.map((figure) => `ifnull(sum(${figureOf(figure)}), 0)`).join(", ' ', ")
      const text = (sql: string, ...values: SQLInputValue[]): string => String(this.#prepare(sql).get(...values)?.['sums'])
      const calls = text(`SELECT concat(${sums((figure) => (figure === 'calls' ? 'requests' : figure))}) AS sums FROM calls`)
      for (const grainMs of GRAINS_MS) {
        const rollups = text(`SELECT concat(${sums(String)}) AS sums FROM rollups WHERE grain = ?`, grainMs / 1000)
        if (rollups !== calls) found.push(`${this.path}: the sums by ${grainMs / 60_000} min are ${rollups}, those of the calls ${calls}`)
      }
    })
    return found
  }

  close(): void {
    this.#database.close()
  }

  #sumCalls(query: HistoryQuery, startMs: number, endMs: number): Record<string, SQLOutputValue>[] {
    const sums = SUMMED.map((figure) => (figure === 'calls' ? 'sum(requests) AS calls' : `sum(${figure}) AS ${figure}`))
    return this.#grouped(query, sums, 'calls', 'timestamp >= ? AND timestamp < ?', [isoInstant(startMs), isoInstant(endMs)])
  }

  #sumRollups(query: HistoryQuery, grainMs: number, startMs: number, endMs: number): Record<string, SQLOutputValue>[] {
    const sums = SUMMED.map((figure) => `sum(${figure}) AS ${figure}`)
    return this.#grouped(query, sums, 'rollups', 'grain = ? AND start >= ? AND start < ?', [grainMs / 1000, startMs / 1000, endMs / 1000])
  }

  #grouped(query: HistoryQuery, sums: readonly string[], table: string, span: string, bounds: readonly SQLInputValue[]): Record<string, SQLOutputValue>[] {
    const { where = {} } = query
    const asked = HISTORY_FIELDS.filter((field) => where[field] !== undefined)
    const fields = fieldsOf(query)
    const groups = fields.length === 0 ? '' : `GROUP BY ${fields.map((_, index) => index + 1).join(', ')}`
    const sql = `SELECT ${[...fields.map((field) => `${textOf(field)} AS ${field}`), ...sums].join(', ')}, sum(prompt_tokens + completion_tokens) AS tokens
      FROM ${table} WHERE ${[span, ...asked.map((field) => `${textOf(field)} = ?`)].join(' AND ')} ${groups} HAVING count(*) > 0`
    return this.#prepare(sql).all(...bounds, ...asked.map((field) => where[field] ?? ''))
  }

  /** The part of the time asked for that has calls: outside it there is nothing to go through. */
  #extent({ from, to }: HistoryQuery): { readonly fromMs: number; readonly toMs: number } {
    const edge = (order: 'ASC' | 'DESC'): number => {
      const row = this.#prepare(`SELECT start FROM rollups WHERE grain = ? ORDER BY start ${order} LIMIT 1`).get(QUARTER_MS / 1000)
      return Number(row?.['start'] ?? 0) * 1000
    }
    return { fromMs: Math.max(from.getTime(), edge('ASC')), toMs: Math.min(to.getTime(), edge('DESC') + QUARTER_MS) }
  }

  #readCursor(): Position {
    const row = this.#prepare('SELECT segment, offset, seq, crc FROM cursor').get()
    if (row === undefined) throw new HistoryUnfit(`${this.path} does not say what it is as of`)
    return { segment: Number(row['segment']), offset: Number(row['offset']), seq: Number(row['seq']), crc: Number(row['crc']) }
  }

  #transaction(begin: string, step: () => void): void {
    this.#database.exec(begin)
    try {
      step()
      this.#database.exec('COMMIT')
    } catch (error) {
      // Some errors have ended it already.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

const SQLITE_ERROR = 1
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26

/** Whether the file itself is wrong, and not the disk, a lock or a right. */
export function isBroken(error: unknown): boolean {
  if (error instanceof HistoryUnfit) return true
  // The low byte is SQLite's primary code. SQLITE_ERROR: a table is missing.
  return error instanceof Error && 'errcode' in error && [SQLITE_ERROR, SQLITE_CORRUPT, SQLITE_NOTADB].includes(Number(error.errcode) & 0xff)
}

/** Calls of a bucket that agree in every field that is rolled up. */
interface Cell {
  readonly startMs: number
  readonly fields: readonly string[]
  readonly key: string
  readonly figures: Record<(typeof SUMMED)[number], number>
}

function cellOf(entry: LedgerEntry, startMs: number, figures: Required<HistoryFigures>): Cell {
  const fields = ROLLED_UP.map((field) => entry[field] ?? '')
  return { startMs, fields, key: JSON.stringify(fields), figures }
}

/** Cells in the coarser buckets that they fall in. */
function merged(cells: readonly Cell[], grainMs: number): Cell[] {
  const sums = new Map<string, Cell>()
  for (const cell of cells) {
    const startMs = Math.floor(cell.startMs / grainMs) * grainMs
    const id = `${startMs} ${cell.key}`
    const sum = sums.get(id)
    if (sum === undefined) sums.set(id, { ...cell, startMs, figures: { ...cell.figures } })
    else for (const figure of SUMMED) sum.figures[figure] += cell.figures[figure]
  }
  return [...sums.values()]
}

function callOf(entry: LedgerEntry, timestamp: string, { cost_nano, calls }: Required<HistoryFigures>): SQLInputValue[] {
  const values = { ...entry, timestamp, cost_nano, requests: calls, overrun: entry.overrun === true ? 1 : 0 }
  return CALL_COLUMNS.map((column) => values[column])
}

/** Whether the roll-ups can say it; else the calls themselves are summed. */
function grainsFor({ by, where }: HistoryQuery): readonly number[] {
  return by.includes('task_id') || where?.task_id !== undefined ? [] : GRAINS_MS
}

function textOf(field: HistoryField): string {
  return field === 'task_id' || field === 'task_type' ? `ifnull(${field}, '')` : field
}

function fieldsIn(row: Record<string, SQLOutputValue>): { readonly [field in HistoryField]?: string } {
  return Object.fromEntries(HISTORY_FIELDS.map((field) => [field, String(row[field] ?? '')]))
}

function figuresIn(row: Record<string, SQLOutputValue>): HistoryFigures {
  const figures = { cost_nano: 0, calls: 0, tokens: 0 }
  return { ...figures, ...Object.fromEntries(HISTORY_FIGURES.map((figure) => [figure, Number(row[figure])])) }
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.['user_version'])
}

/** SQLite would make it readable for all, and follow a link. Its `-wal` and `-shm` take the mode of the file. */
function make(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found !== undefined) {
    if (!found.isFile()) throw new Error(`${path} is not a regular file`)
    return
  }
  closeSync(openSync(path, 'wx', 0o600))
}

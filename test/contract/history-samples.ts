import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished } from 'vitest'
import { catchUp, historyPath } from '../../packages/core/src/ledger/history-follower.ts'
import { HISTORY_FIELDS, type HistoryKey, type HistoryQuery, type HistoryRow } from '../../packages/core/src/ledger/history.ts'
import { encodeLines } from '../../packages/core/src/ledger/journal-lines.ts'
import type { LedgerEntry, LedgerRecord } from '../../packages/core/src/ledger/record.ts'
import { SqliteHistory } from '../../packages/core/src/ledger/sqlite-history.ts'

export const ALL: HistoryQuery = { from: new Date('2000-01-01'), to: new Date('2100-01-01'), by: [] }

export function newFolder(): string {
  const base = mkdtempSync(join(tmpdir(), 'history-'))
  onTestFinished(() => rmSync(base, { recursive: true, force: true }))
  const folder = join(base, 'ledger')
  mkdirSync(folder)
  return folder
}

let lastId = 0

export function entry(over: Partial<LedgerEntry> = {}): LedgerEntry {
  lastId += 1
  return {
    timestamp: '2026-11-20T15:00:00.000Z',
    backend: 'claude',
    model: 'claude-sonnet-4-20250514',
    prompt_tokens: 1500,
    completion_tokens: 800,
    cost_usd: 0.0165,
    task_id: 'task-1',
    task_type: 'reasoning',
    duration_ms: 2300,
    id: `session1-${lastId.toString(36)}`,
    requested_backend: 'claude',
    status: 'ok',
    usage_source: 'reported',
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    reasoning_tokens: 0,
    price_source: 'list',
    policy: 'v1',
    ...over,
  }
}

/** A journal of these calls, among other lines, as the ledger writes it. */
export function writeJournal(folder: string, entries: readonly LedgerEntry[]): void {
  const records: LedgerRecord[] = [{ type: 'open', ledger: 'l', session: 'session1', time: '2026-11-20T15:00:00.000Z', format: 1 }]
  entries.forEach((one, index) => {
    records.push({ type: 'settle', entry: one })
    if (index % 3 === 0) records.push({ type: 'release', id: one.id, time: one.timestamp, reason: 'a line of another kind' })
  })
  writeFileSync(join(folder, 'journal-000001.jsonl'), encodeLines(records, { seq: 0, crc: 0 }, 0).bytes)
}

/** The settle lines of the journal, read without any of our code. */
function settled(folder: string): LedgerEntry[] {
  const segments = readdirSync(folder).filter((name) => name.startsWith('journal-'))
  const lines = segments.flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').filter(Boolean))
  return lines.map((line) => JSON.parse(line) as LedgerEntry & { type: string }).filter(({ type }) => type === 'settle')
}

/** Local day and hour as the system's own tables of zones have them. */
function localTime(zone: string): (ms: number) => { readonly day: string; readonly hour: string } {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    timeZoneName: 'longOffset',
  })
  return (ms) => {
    const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]))
    const day = `${parts['year']}-${parts['month']}-${parts['day']}`
    return { day, hour: `${day}T${parts['hour']}:00${parts['timeZoneName']?.slice(3) || '+00:00'}` }
  }
}

/** Sums the settle lines one by one, in whole nano-USD; days and hours by the zone's own clock. */
export function naive(folder: string, { from, to, by, where = {} }: HistoryQuery, zone: string): Map<string, bigint[]> {
  const sums = new Map<string, bigint[]>()
  const local = localTime(zone)
  for (const one of settled(folder)) {
    const ms = Date.parse(one.timestamp)
    if (ms < from.getTime() || ms >= to.getTime()) continue
    if (HISTORY_FIELDS.some((field) => where[field] !== undefined && where[field] !== (one[field] ?? ''))) continue
    const keys = by.map((key) => (key === 'day' || key === 'hour' ? local(ms)[key] : (one[key] ?? '')))
    const { prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens } = one
    const nano = BigInt(one.cost_usd.toFixed(9).replace('.', ''))
    const more = [
      nano,
      ...[1, prompt_tokens + completion_tokens, prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens].map(BigInt),
    ]
    const sum = sums.get(keys.join('|')) ?? more.map(() => 0n)
    sums.set(
      keys.join('|'),
      sum.map((figure, index) => figure + (more[index] ?? 0n)),
    )
  }
  return sums
}

export function asSums(rows: readonly HistoryRow[], by: readonly HistoryKey[]): Map<string, bigint[]> {
  return new Map(
    rows.map((row) => {
      const {
        cost_nano,
        calls,
        tokens,
        prompt_tokens = -1,
        completion_tokens = -1,
        cache_read_tokens = -1,
        cache_write_tokens = -1,
        reasoning_tokens = -1,
      } = row
      const figures = [cost_nano, calls, tokens, prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens].map(BigInt)
      return [by.map((key) => row[key]).join('|'), figures]
    }),
  )
}

export function sumOf(path: string, query: HistoryQuery, zone = 'UTC'): readonly HistoryRow[] {
  const history = SqliteHistory.openReadOnly(path)
  try {
    return history.sum(query, zone).tally.rows()
  } finally {
    history.close()
  }
}

/** Everything that is in the tables. */
export function contents(path: string): unknown {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    return ['calls', 'rollups', 'cursor'].map((table) => database.prepare(`SELECT * FROM ${table}`).all())
  } finally {
    database.close()
  }
}

export function isWhole(folder: string): void {
  const expected = naive(folder, ALL, 'UTC')
  expect(asSums(sumOf(historyPath(folder), ALL), [])).toEqual(expected)
  // The ids force the calls themselves to be summed.
  expect(sumOf(historyPath(folder), { ...ALL, by: ['task_id'] }).reduce((sum, row) => sum + row.calls, 0)).toBe(settled(folder).length)
}

export async function fill(folder: string, batch?: number): Promise<void> {
  const history = SqliteHistory.open(historyPath(folder))
  try {
    await catchUp(folder, history, batch)
  } finally {
    history.close()
  }
}

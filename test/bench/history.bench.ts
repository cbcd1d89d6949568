/**
 * Cost history: fills SQLite with calls of one year, then asks it, beside the same question as a bare `SELECT … GROUP BY` over `calls`.
 * Times are medians, in ms. Prints JSON, one object a line.
 *
 *     node --conditions=manciple-source test/bench/history.bench.ts [rows, 1000000 unless given] [folder]
 */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { catchUp, historyPath } from '../../packages/core/src/ledger/history-follower.ts'
import type { HistoryKey, HistoryQuery } from '../../packages/core/src/ledger/history.ts'
import { periodOf } from '../../packages/core/src/ledger/history-period.ts'
import { encodeLines } from '../../packages/core/src/ledger/journal-lines.ts'
import type { LedgerEntry, LedgerRecord } from '../../packages/core/src/ledger/record.ts'
import { SqliteHistory } from '../../packages/core/src/ledger/sqlite-history.ts'

const [rowsText = '1000000', base = '.'] = process.argv.slice(2)
const ROWS = Number(rowsText)
const BATCH = 5_000
const FOLLOWED = 100_000
const ROUNDS = 5
const ZONE = 'America/New_York'
const NOW_MS = Date.UTC(2026, 10, 20, 15)
const YEAR_MS = 365 * 86_400_000

const MODELS: readonly (readonly [backend: string, model: string])[] = [
  ['claude', 'claude-sonnet-4-20250514'],
  ['claude', 'claude-opus-4-8'],
  ['gpt', 'gpt-5.1'],
  ['gpt', 'gpt-5-mini'],
  ['gemini', 'gemini-2.5-pro'],
  ['kimi', 'kimi-k2'],
  ['local', 'llama3.1:8b'],
]
const TASK_TYPES = ['chat', 'reasoning', 'bulk', 'code', 'summary', 'extract', 'vision', 'agent']

let state = 42
/** Whole numbers below `end`, the same in every run. */
function random(end: number): number {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
  return Math.floor((state / 2 ** 32) * end)
}

function pick<T>(values: readonly T[]): T {
  const value = values[random(values.length)]
  if (value === undefined) throw new RangeError('nothing to pick from')
  return value
}

function entryOf(index: number, rows: number): LedgerEntry {
  const [backend, model] = pick(MODELS)
  return {
    timestamp: new Date(NOW_MS - YEAR_MS + Math.floor((YEAR_MS * index) / rows)).toISOString(),
    backend,
    model,
    prompt_tokens: random(5_000),
    completion_tokens: random(2_000),
    cost_usd: random(50_000_000) / 1e9,
    task_id: `task-${Math.floor(index / 20)}`,
    task_type: pick(TASK_TYPES),
    duration_ms: random(9_000),
    id: `k3jx81qz-${index.toString(36)}`,
    requested_backend: backend,
    status: random(100) < 96 ? 'ok' : 'error',
    usage_source: 'reported',
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    reasoning_tokens: 0,
    price_source: 'list',
    policy: '0123456789ab',
  }
}

function print(row: Readonly<Record<string, unknown>>): void {
  console.log(JSON.stringify(row))
}

/** How fast a journal of settled calls, each with its reserve line's weight, gets into SQLite. */
async function follow(folder: string): Promise<void> {
  const records: LedgerRecord[] = []
  for (let index = 0; index < FOLLOWED; index++) {
    const entry = entryOf(index, FOLLOWED)
    records.push({ type: 'settle', entry }, { type: 'release', id: entry.id, time: entry.timestamp, reason: 'x'.repeat(400) })
  }
  const { bytes } = encodeLines(records, { seq: 0, crc: 0 }, 0)
  writeFileSync(join(folder, 'journal-000001.jsonl'), bytes)
  const history = SqliteHistory.open(historyPath(folder))
  const startMs = performance.now()
  await catchUp(folder, history)
  const seconds = (performance.now() - startMs) / 1000
  history.close()
  print({ what: 'following the journal', callsPerSecond: Math.round(FOLLOWED / seconds), megabytesPerSecond: Math.round(bytes.length / 1e6 / seconds) })
}

function fill(path: string): void {
  const history = SqliteHistory.open(path)
  let spentMs = 0
  for (let index = 0; index < ROWS;) {
    const entries: LedgerEntry[] = []
    while (entries.length < BATCH && index < ROWS) entries.push(entryOf(index++, ROWS))
    const startMs = performance.now()
    history.apply(entries, { segment: 1, offset: index, seq: index, crc: 0 })
    spentMs += performance.now() - startMs
  }
  history.close()
  print({ what: 'filling', rows: ROWS, rowsPerSecond: Math.round((ROWS / spentMs) * 1000), megabytes: Math.round(statSync(path).size / 1e6) })
}

function timed(rounds: number, step: () => unknown): number {
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    const startMs = performance.now()
    step()
    times.push(performance.now() - startMs)
  }
  return Number((times.toSorted((left, right) => left - right)[rounds >> 1] ?? Number.NaN).toFixed(1))
}

function ask(path: string): void {
  const history = SqliteHistory.openReadOnly(path)
  const database = new DatabaseSync(path, { readOnly: true })
  const compare = (what: string, query: HistoryQuery, goalMs: number | undefined, rounds: number, bareSql: string, ...bareValues: string[]): void => {
    let rows = 0
    const ms = timed(rounds, () => (rows = history.sum(query, ZONE).tally.rows().length))
    const bareMs = timed(Math.min(rounds, 3), () => database.prepare(bareSql).all(query.from.toISOString(), query.to.toISOString(), ...bareValues))
    print({ what, rows, ms, ...(goalMs === undefined ? {} : { goalMs }), bareMs })
  }
  const inSpan = 'FROM calls WHERE timestamp >= ? AND timestamp < ?'
  const spanOf = ({ startMs, endMs }: { startMs: number; endMs: number }, ...by: HistoryKey[]): HistoryQuery => ({
    from: new Date(startMs),
    to: new Date(endMs),
    by,
  })
  const lastMonth = periodOf('last-month', NOW_MS, ZONE)
  const thirtyDays = { startMs: lastMonth.startMs, endMs: lastMonth.startMs + 30 * 86_400_000 }
  const ragged = { startMs: thirtyDays.startMs + 1_234_567, endMs: thirtyDays.endMs + 7_654_321 }
  const year = { startMs: 0, endMs: NOW_MS + 1 }
  const byBackend = `SELECT backend, sum(cost_nano) ${inSpan} GROUP BY backend`
  const byDay = `SELECT substr(timestamp, 1, 10) AS day, backend, sum(cost_nano) ${inSpan} GROUP BY day, backend`
  compare('last week by backend', spanOf(periodOf('last-week', NOW_MS, ZONE), 'backend'), 10, ROUNDS, byBackend)
  compare('30 days by day and backend', spanOf(thirtyDays, 'day', 'backend'), 50, ROUNDS, byDay)
  compare('30 ragged days by day and backend', spanOf(ragged, 'day', 'backend'), 50, ROUNDS, byDay)
  compare('a year by day', spanOf(year, 'day'), undefined, ROUNDS, byDay)
  compare('a year by model', spanOf(year, 'model'), undefined, ROUNDS, `SELECT model, sum(cost_nano) ${inSpan} GROUP BY model`)
  const task = { ...spanOf(year, 'backend'), where: { task_id: 'task-77' } }
  compare('all calls, filtered by task', task, 3_000, 3, `SELECT backend, sum(cost_nano) ${inSpan} AND task_id = ? GROUP BY backend`, 'task-77')
  database.close()
  history.close()
}

const folder = mkdtempSync(join(resolve(base), 'history-bench-'))
try {
  await follow(folder)
  const path = join(folder, 'filled.sqlite')
  fill(path)
  ask(path)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

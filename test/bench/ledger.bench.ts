import { closeSync, fdatasync, mkdtempSync, openSync, readFileSync, rmSync, write } from 'node:fs'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openJsonLedger } from '../../packages/core/src/ledger/json-ledger.ts'
import type { ReserveOrder } from '../../packages/core/src/ledger/record.ts'
import { policy, settlement } from './ledger-samples.ts'

/** Pairs a round, by how many callers wait at a time: about a second each. */
const PAIRS: ReadonlyMap<number, number> = new Map([
  [1, 2_000],
  [8, 10_000],
  [64, 40_000],
  [512, 60_000],
])
const ROUNDS = 5
const SQLITE_PAIRS = 500

export interface LedgerFigures {
  readonly callers: number
  readonly pairs_per_second: number
  readonly bare_pairs_per_second: number
  /** Of the ledger's rate to the bare loop's, pair by pair of rounds: the median. */
  readonly ratio: number
  /** The same two steps as transactions of SQLite (WAL, `synchronous=FULL`), which has no group commit: as many at a time make no difference. */
  readonly sqlite_pairs_per_second: number
  readonly times_sqlite: number
}

function orderOf(task: number): ReserveOrder {
  return {
    atMs: Date.now(),
    backend: 'claude',
    kind: 'cloud',
    model: 'claude-sonnet-4-20250514',
    taskId: `task-${task}`,
    taskType: 'reasoning',
    requestedBackend: 'claude',
    inputTokens: 1500,
    maxOutputTokens: 8192,
    estimate: { costNano: 127_380_000, tokens: 9692, requests: 1 },
    priceSource: 'list',
    policy: policy.version,
    candidates: [
      { backend: 'claude', model: 'claude-sonnet-4-20250514', estimate_nano: 127_380_000, score: 1 },
      { backend: 'local', model: 'llama3.1:8b', estimate_nano: 0, score: 0.5, out: 'outscored' },
    ],
  }
}

/** Runs `pair` until there have been enough, by so many callers at a time. @returns pairs a second. */
async function measure(callers: number, pairs: number, pair: (number: number) => Promise<void>): Promise<number> {
  let next = 0
  const startMs = performance.now()
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (next < pairs) await pair(next++)
    }),
  )
  return pairs / ((performance.now() - startMs) / 1000)
}

async function ledgerRound(folder: string, callers: number, pairs: number): Promise<number> {
  const ledger = await openJsonLedger({ folder, segmentBytes: 2 ** 40 })
  await ledger.usePolicy(policy, Date.now())
  const rate = await measure(callers, pairs, async (number) => {
    const reserved = ledger.reserve(orderOf(number))
    if (!reserved.ok) throw new Error('refused')
    await reserved.durable
    await ledger.settle(reserved.hold.id, settlement).durable
  })
  await ledger.close()
  return rate
}

async function bareRound(path: string, lines: readonly Buffer[], callers: number, pairs: number): Promise<number> {
  const fd = openSync(path, 'w')
  let waiting: Buffer[] = []
  let done = Promise.withResolvers<void>()
  let running = false
  let position = 0
  let line = 0
  const commit = (): void => {
    const bytes = Buffer.concat(waiting)
    const answer = done
    waiting = []
    done = Promise.withResolvers()
    const failed = (error: Error): void => answer.reject(error)
    write(fd, bytes, 0, bytes.length, position, (error) => {
      if (error) return failed(error)
      position += bytes.length
      fdatasync(fd, (syncError) => {
        if (syncError) return failed(syncError)
        answer.resolve()
        setImmediate(() => {
          if (waiting.length > 0) commit()
          else running = false
        })
      })
    })
  }
  const append = (): Promise<void> => {
    const next = lines[line++ % lines.length]
    if (next !== undefined) waiting.push(next)
    if (!running) {
      running = true
      setImmediate(commit)
    }
    return done.promise
  }
  const rate = await measure(callers, pairs, async () => {
    await append()
    await append()
  })
  closeSync(fd)
  return rate
}

/** A hold is a row; settling deletes it and inserts the entry, in one transaction. */
function sqliteRound(path: string, pairs: number): number {
  const database = new DatabaseSync(path)
  database.exec(
    'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE holds (id TEXT PRIMARY KEY, hold TEXT); CREATE TABLE entries (id TEXT PRIMARY KEY, entry TEXT)',
  )
  const reserve = database.prepare('INSERT INTO holds VALUES (?, ?)')
  const release = database.prepare('DELETE FROM holds WHERE id = ?')
  const settle = database.prepare('INSERT INTO entries VALUES (?, ?)')
  const startMs = performance.now()
  for (let pair = 0; pair < pairs; pair++) {
    const id = `hold-${pair}`
    reserve.run(id, JSON.stringify(orderOf(pair)))
    database.exec('BEGIN')
    release.run(id)
    settle.run(id, JSON.stringify(settlement))
    database.exec('COMMIT')
  }
  const rate = pairs / ((performance.now() - startMs) / 1000)
  database.close()
  return rate
}

function linesOf(path: string): readonly Buffer[] {
  return readFileSync(path, 'utf8')
    .split(/(?<=\n)/)
    .map((text) => Buffer.from(text))
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN
}

/**
 * Durable reserve + settle pairs a second, against a bare loop that commits the very bytes of that journal in groups and does nothing else.
 * Rounds alternate, so that both meet the same disk.
 */
export async function measureLedger(base: string): Promise<readonly LedgerFigures[]> {
  const folder = mkdtempSync(join(resolve(base), 'ledger-bench-'))
  const figures: LedgerFigures[] = []
  try {
    for (const [callers, pairs] of PAIRS) {
      const rates: { ledger: number; bare: number; sqlite: number }[] = []
      // The first round warms up.
      for (let round = 0; round <= ROUNDS; round++) {
        const at = join(folder, `${callers}-${round}`)
        const ledger = await ledgerRound(at, callers, pairs)
        const bare = await bareRound(join(at, 'bare'), linesOf(join(at, 'journal-000001.jsonl')), callers, pairs)
        const sqlite = sqliteRound(join(at, 'baseline.sqlite'), SQLITE_PAIRS)
        if (round > 0) rates.push({ ledger, bare, sqlite })
      }
      figures.push({
        callers,
        pairs_per_second: Math.round(median(rates.map((rate) => rate.ledger))),
        bare_pairs_per_second: Math.round(median(rates.map((rate) => rate.bare))),
        ratio: median(rates.map(({ ledger, bare }) => ledger / bare)),
        sqlite_pairs_per_second: Math.round(median(rates.map((rate) => rate.sqlite))),
        times_sqlite: median(rates.map(({ ledger, sqlite }) => ledger / sqlite)),
      })
    }
    return figures
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

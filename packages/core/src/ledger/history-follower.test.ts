import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { ALL, entry, fill, isWhole, newFolder, sumOf, writeJournal } from '../../../../test/contract/history-samples.ts'
import { held, limit, order, policy, settlement, START_MS } from '../../../../test/contract/ledger-samples.ts'
import { HistoryFollower, historyPath, readHistory, rebuildHistory } from './history-follower.ts'
import { openJsonLedger } from './json-ledger.ts'
import { readLedger } from './reader.ts'
import type { LedgerEntry } from './record.ts'
import { SqliteHistory } from './sqlite-history.ts'

describe('a follower', () => {
  function follow(folder: string): { readonly follower: HistoryFollower; readonly warnings: string[] } {
    const warnings: string[] = []
    const follower = new HistoryFollower(folder, (text) => warnings.push(text), new AbortController().signal)
    onTestFinished(() => follower.close())
    return { follower, warnings }
  }

  function ledgerOf(calls: number): { readonly folder: string; readonly entries: readonly LedgerEntry[] } {
    const folder = newFolder()
    const entries = Array.from({ length: calls }, () => entry())
    writeJournal(folder, entries)
    return { folder, entries }
  }

  test('fills in what comes, from a torn line on when it is whole', async () => {
    const { folder, entries } = ledgerOf(30)
    const { follower, warnings } = follow(folder)
    const journal = join(folder, 'journal-000001.jsonl')
    const whole = readFileSync(journal)
    for (const length of [0, 1, 500, 5_000, 5_001, whole.length - 1, whole.length]) {
      writeFileSync(journal, whole.subarray(0, length))
      await follower.tick()
    }
    expect(entries).toHaveLength(30)
    isWhole(folder)
    expect(warnings).toEqual([])
  })

  test('follows a ledger that is being written from segment to segment, also from right after a seal', async () => {
    const folder = newFolder()
    const ledger = await openJsonLedger({ folder, nowMs: START_MS, segmentBytes: 1_500 })
    onTestFinished(() => ledger.close())
    await ledger.usePolicy(policy([limit({ quantity: 1e15 })]), START_MS)
    const afterSeals = vi.fn<() => void>()
    for (let call = 0; call < 60; call++) {
      const { id } = held(ledger.reserve(order()))
      await ledger.settle(id, settlement({ costNano: call * 7 })).durable
      // A new follower each time, from where the last one came to.
      const { follower, warnings } = follow(folder)
      await follower.tick()
      await follower.close()
      const history = SqliteHistory.openReadOnly(historyPath(folder))
      if (history.cursor.offset === 0) afterSeals()
      history.close()
      isWhole(folder)
      expect(warnings).toEqual([])
    }
    expect(readdirSync(folder).filter((name) => name.startsWith('journal-')).length).toBeGreaterThan(10)
    expect(afterSeals.mock.calls.length).toBeGreaterThan(5)
    const { books } = await readLedger(folder)
    const [total] = sumOf(historyPath(folder), ALL)
    expect(books.spend(0, START_MS * 2)).toMatchObject([{ costNano: total?.cost_nano, tokens: total?.tokens, requests: total?.calls }])
  })

  test.each([
    ['deleted', (path: string) => rmSync(path)],
    ['cut short', (path: string) => truncateSync(path, 20_000)],
    ['made empty', (path: string) => truncateSync(path, 0)],
    ['overwritten', (path: string) => writeFileSync(path, 'This is not a database, whatever its name says. '.repeat(2000))],
    ['of another version', (path: string) => runSql(path, 'PRAGMA user_version = 99')],
    ['without a table', (path: string) => runSql(path, 'DROP TABLE rollups')],
    ['without a cursor', (path: string) => runSql(path, 'DELETE FROM cursor')],
  ])('makes a history anew that was %s before it began', async (_, harm) => {
    const { folder } = ledgerOf(300)
    await fill(folder)
    harm(historyPath(folder))
    const { follower, warnings } = follow(folder)
    await follower.tick()
    isWhole(folder)
    expect(warnings.length).toBeLessThanOrEqual(1)
  })

  test.each([
    ['deleted', (path: string) => rmSync(path)],
    ['replaced by an older one', (path: string) => rebuildFromShorter(path)],
  ])('goes on with a history that was %s while it ran', async (_, harm) => {
    const { folder, entries } = ledgerOf(300)
    const { follower, warnings } = follow(folder)
    await follower.tick()
    await harm(historyPath(folder))
    writeJournal(folder, [...entries, entry()])
    await follower.tick()
    isWhole(folder)
    expect(warnings).toEqual([])
  })

  test('goes on with a history that another process made anew', async () => {
    const { folder, entries } = ledgerOf(300)
    const { follower, warnings } = follow(folder)
    await follower.tick()
    await rebuildHistory(folder)
    writeJournal(folder, [...entries, entry()])
    await follower.tick()
    isWhole(folder)
    expect(warnings).toEqual([])
  })

  test('makes a history anew that belongs to another journal', async () => {
    const { folder } = ledgerOf(50)
    await fill(folder)
    writeJournal(
      folder,
      Array.from({ length: 60 }, () => entry({ backend: 'gpt' })),
    )
    expect(await readHistory(folder, { ...ALL, by: ['backend'] }, 'UTC')).toMatchObject({ rows: [{ backend: 'gpt', calls: 60 }], behind: 60 })
    const { follower, warnings } = follow(folder)
    await follower.tick()
    isWhole(folder)
    expect(warnings).toMatchObject([expect.stringContaining('not of this journal')])
  })

  test('makes a history anew that a reader found broken', async () => {
    const { folder } = ledgerOf(3_000)
    await fill(folder)
    const { size } = statSync(historyPath(folder))
    const file = openSync(historyPath(folder), 'r+')
    // All but the header and the tables' names.
    writeSync(file, Buffer.alloc(size - 2 ** 17, 0x5a), 0, size - 2 ** 17, 2 ** 17)
    closeSync(file)
    const { follower, warnings } = follow(folder)
    const reading = await readHistory(folder, { ...ALL, by: ['task_id'] }, 'UTC', (error) => follower.distrust(error))
    expect(reading).toMatchObject({ rows: [{ calls: 3_000 }], behind: 3_000 })
    await follower.tick()
    isWhole(folder)
    expect(warnings).toMatchObject([expect.stringContaining('malformed')])
  })

  test('says once that it is locked out, and fills in what it missed', async () => {
    const { folder, entries } = ledgerOf(10)
    const { follower, warnings } = follow(folder)
    await follower.tick()
    const other = new DatabaseSync(historyPath(folder))
    other.exec('BEGIN IMMEDIATE')
    writeJournal(folder, [...entries, entry()])
    await follower.tick()
    await follower.tick()
    expect(warnings).toMatchObject([expect.stringContaining('locked')])
    // Whoever asks is told all the same.
    expect(await readHistory(folder, ALL, 'UTC')).toMatchObject({ rows: [{ calls: 11 }], behind: 1 })
    other.exec('ROLLBACK')
    other.close()
    await follower.tick()
    isWhole(folder)
    expect(warnings).toHaveLength(1)
  })

  test('says once that history is no file of its own, and that the journal is damaged', async () => {
    const { folder, entries } = ledgerOf(10)
    mkdirSync(historyPath(folder))
    const { follower, warnings } = follow(folder)
    await follower.tick()
    await follower.tick()
    expect(warnings).toMatchObject([expect.stringContaining('not a regular file')])
    rmSync(historyPath(folder), { recursive: true })
    await follower.tick()
    isWhole(folder)
    rmSync(historyPath(folder))
    writeJournal(folder, entries)
    const journal = join(folder, 'journal-000001.jsonl')
    writeFileSync(journal, readFileSync(journal, 'utf8').replace('"completion_tokens":800', '"completion_tokens":801'))
    copyFileSync(journal, join(folder, 'journal-000002.jsonl'))
    await follower.tick()
    await follower.tick()
    expect(warnings).toMatchObject([{}, expect.stringContaining('damaged')].slice(0, 2).map((one, index) => (index === 0 ? expect.any(String) : one)))
    expect(existsSync(historyPath(folder))).toBe(true)
  })
})

function runSql(path: string, sql: string): void {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}

/** What `cp` of a backup does. */
async function rebuildFromShorter(path: string): Promise<void> {
  const folder = newFolder()
  writeJournal(folder, [])
  await fill(folder)
  for (const suffix of ['-wal', '-shm']) rmSync(path + suffix, { force: true })
  rmSync(path)
  copyFileSync(historyPath(folder), path)
}

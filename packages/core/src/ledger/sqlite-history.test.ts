import { spawn } from 'node:child_process'
import { copyFileSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { ALL, asSums, contents, entry, fill, isWhole, naive, newFolder, sumOf, writeJournal } from '../../../../test/contract/history-samples.ts'
import { catchUp, historyPath, readHistory, rebuildHistory } from './history-follower.ts'
import type { HistoryKey, HistoryQuery } from './history.ts'
import { SqliteHistory } from './sqlite-history.ts'

/** Around the changes of the clocks in New York, Berlin and Lord Howe, and the ends of months and of the year. */
const EDGES = [
  '2026-03-08T07:00Z',
  '2026-11-01T06:00Z',
  '2026-03-29T01:00Z',
  '2026-10-25T01:00Z',
  '2026-04-04T15:00Z',
  '2026-12-31T10:00Z',
  '2027-01-01T00:00Z',
  '2026-06-30T18:15Z',
].map((text) => Date.parse(text))
const moment = fc.tuple(fc.constantFrom(...EDGES), fc.integer({ min: -30 * 3_600_000, max: 30 * 3_600_000 })).map(([edge, ms]) => edge + ms)
const randomEntry = fc
  .record({
    ms: moment,
    backend: fc.constantFrom('claude', 'gpt', 'local'),
    model: fc.constantFrom('m1', 'm2'),
    task_type: fc.constantFrom('chat', 'code', '', null),
    task_id: fc.constantFrom('issue-94', "o'brien", null),
    status: fc.constantFrom('ok' as const, 'error' as const, 'cut' as const),
    nano: fc.oneof(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 0, max: 1_000_000_000_000 })),
    prompt_tokens: fc.nat(1_000_000),
    completion_tokens: fc.nat(10_000),
    cache_read_tokens: fc.nat(100),
  })
  .map(({ ms, nano, ...fields }) => entry({ ...fields, timestamp: new Date(ms).toISOString(), cost_usd: nano / 1e9 }))
// Lord Howe's half hours are named in the tests of the timeline.
const zone = fc.constantFrom('UTC', 'America/New_York', 'Europe/Berlin', 'Asia/Kolkata', 'Asia/Kathmandu', 'America/St_Johns', 'Pacific/Kiritimati')
const where = fc.record(
  {
    backend: fc.constantFrom('claude', 'gpt'),
    model: fc.constant('m2'),
    task_type: fc.constantFrom('chat', ''),
    task_id: fc.constantFrom("o'brien", ''),
    status: fc.constantFrom('ok', 'cut'),
  },
  { requiredKeys: [] },
)
const query = fc
  .record({
    one: moment,
    other: moment,
    by: fc.subarray<HistoryKey>(['backend', 'model', 'task_type', 'task_id', 'day', 'hour', 'status']),
    where: fc.oneof(fc.constant({}), where),
  })
  .map(({ one, other, by, where }): HistoryQuery => ({ from: new Date(Math.min(one, other)), to: new Date(Math.max(one, other)), by, where }))

describe('history', () => {
  test('says to the nano, by every key, what the settle lines of the journal add up to', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(randomEntry, { maxLength: 120 }),
        fc.integer({ min: 1, max: 60 }),
        fc.array(fc.tuple(query, zone), { minLength: 12, maxLength: 12 }),
        async (entries, batch, questions) => {
          const folder = newFolder()
          writeJournal(folder, entries)
          await fill(folder, batch)
          for (const [asked, inZone] of questions) {
            const expected = naive(folder, asked, inZone)
            expect(asSums(sumOf(historyPath(folder), asked, inZone), asked.by)).toEqual(expected)
          }
        },
      ),
      { numRuns: 15 },
    )
  })

  test('says the same wherever between SQLite and the journal a call still is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(randomEntry, { minLength: 1, maxLength: 80 }), fc.nat(80), query, zone, async (entries, known, asked, inZone) => {
        const folder = newFolder()
        writeJournal(folder, entries.slice(0, known))
        await fill(folder)
        writeJournal(folder, entries)
        const { rows, asOfSeq, behind } = await readHistory(folder, asked, inZone)
        expect(asSums(rows, asked.by)).toEqual(naive(folder, asked, inZone))
        expect(behind).toBe(Math.max(0, entries.length - known))
        expect(asOfSeq).toBe(1 + entries.length + Math.ceil(entries.length / 3))
      }),
      { numRuns: 20 },
    )
  })

  test('counts a call in the quarter-hour that it was reserved in, however late it was settled', async () => {
    const folder = newFolder()
    writeJournal(folder, [entry({ timestamp: '2026-11-20T15:00:00.000Z' }), entry({ timestamp: '2026-11-19T23:59:59.999Z' })])
    await fill(folder)
    expect(sumOf(historyPath(folder), { ...ALL, by: ['day'] }).map(({ day, calls }) => [day, calls])).toEqual([
      ['2026-11-19', 1],
      ['2026-11-20', 1],
    ])
  })

  test("has the brief's columns, to be read with any tool", async () => {
    const folder = newFolder()
    const one = entry({ task_type: null, overrun: true })
    writeJournal(folder, [one])
    await fill(folder)
    const database = new DatabaseSync(historyPath(folder), { readOnly: true })
    onTestFinished(() => database.close())
    expect(database.prepare('SELECT * FROM calls').get()).toEqual({ ...one, overrun: 1, requests: 1, cost_nano: 16_500_000 })
    const columns = database
      .prepare("SELECT name FROM pragma_table_xinfo('calls')")
      .all()
      .map(({ name }) => name)
    expect(columns.slice(0, 9)).toEqual([
      'timestamp',
      'backend',
      'model',
      'prompt_tokens',
      'completion_tokens',
      'cost_usd',
      'task_id',
      'task_type',
      'duration_ms',
    ])
  })

  test('is for its owner alone, and so is what SQLite puts beside it', async () => {
    const folder = newFolder()
    writeJournal(folder, [entry()])
    const history = SqliteHistory.open(historyPath(folder))
    await catchUp(folder, history)
    for (const suffix of ['', '-wal', '-shm']) expect(statSync(historyPath(folder) + suffix).mode & 0o777, suffix).toBe(0o600)
    history.close()
    await rebuildHistory(folder)
    expect(statSync(historyPath(folder)).mode & 0o777).toBe(0o600)
  })

  test('takes all of a batch or nothing', () => {
    const path = join(newFolder(), 'history.sqlite')
    const history = SqliteHistory.open(path)
    onTestFinished(() => history.close())
    const wrong = entry({ prompt_tokens: 0.5 })
    const at = { segment: 1, offset: 10, seq: 2, crc: 7 }
    expect(() => history.apply([entry(), entry(), wrong], at)).toThrow()
    expect(history.cursor.seq).toBe(0)
    expect(contents(path)).toEqual([[], [], [{ segment: 1, offset: 0, seq: 0, crc: 0 }]])
    history.apply([entry()], at)
    expect(history.cursor).toEqual(at)
  })

  test('counts a call once, however often its line comes', () => {
    const path = join(newFolder(), 'history.sqlite')
    const history = SqliteHistory.open(path)
    onTestFinished(() => history.close())
    const one = entry()
    history.apply([one, one], { segment: 1, offset: 10, seq: 2, crc: 7 })
    history.apply([one], { segment: 1, offset: 20, seq: 3, crc: 8 })
    expect(sumOf(path, ALL)).toMatchObject([{ calls: 1, cost_nano: 16_500_000 }])
    expect(sumOf(path, { ...ALL, by: ['task_id'] })).toMatchObject([{ calls: 1, cost_nano: 16_500_000 }])
  })

  test('does not let a second writer double anything', () => {
    const path = join(newFolder(), 'history.sqlite')
    const [one, other] = [SqliteHistory.open(path), SqliteHistory.open(path)]
    onTestFinished(() => [one, other].forEach((history) => history.close()))
    const calls = [entry()]
    one.apply(calls, { segment: 1, offset: 10, seq: 1, crc: 7 })
    expect(() => other.apply(calls, { segment: 1, offset: 10, seq: 1, crc: 7 })).toThrow('another process')
    expect(sumOf(path, ALL)).toMatchObject([{ calls: 1 }])
  })

  test('made anew is the same, row for row, as filled bit by bit', async () => {
    const folder = newFolder()
    const entries = fc.sample(randomEntry, { numRuns: 500, seed: 7 })
    for (const known of [0, 1, 40, 300, 500]) {
      writeJournal(folder, entries.slice(0, known))
      await fill(folder, 30)
    }
    const bitByBit = contents(historyPath(folder))
    const progress = vi.fn<(seq: number) => void>()
    await rebuildHistory(folder, progress)
    expect(contents(historyPath(folder))).toEqual(bitByBit)
    expect(progress).toHaveBeenLastCalledWith(1 + 500 + 167, expect.any(Number))
    isWhole(folder)
  })

  test('made anew takes away what an attempt that died left, and not what another one is at', async () => {
    const folder = newFolder()
    writeJournal(folder, [entry()])
    const [stale, fresh] = ['history.sqlite.one.tmp', 'history.sqlite.two.tmp'].map((name) => join(folder, name))
    for (const path of [stale, fresh]) writeFileSync(path ?? '', '')
    const longAgo = new Date(Date.now() - 2 * 3_600_000)
    utimesSync(stale ?? '', longAgo, longAgo)
    await rebuildHistory(folder)
    expect(readdirSync(folder).toSorted()).toEqual(['history.sqlite', 'history.sqlite.two.tmp', 'journal-000001.jsonl'])
  })

  test('stays as it is when the journal cannot be read to its end', async () => {
    const folder = newFolder()
    writeJournal(
      folder,
      Array.from({ length: 20 }, () => entry()),
    )
    await fill(folder)
    const before = contents(historyPath(folder))
    const journal = join(folder, 'journal-000001.jsonl')
    writeFileSync(journal, readFileSync(journal, 'utf8').replace('"synced":0', '"synced":1'))
    copyFileSync(journal, join(folder, 'journal-000002.jsonl'))
    await expect(rebuildHistory(folder)).rejects.toMatchObject({ code: 'LEDGER_DAMAGED' })
    expect(contents(historyPath(folder))).toEqual(before)
  })

  test('loses and doubles nothing, whenever the process that fills it is killed', async () => {
    const folder = newFolder()
    writeJournal(folder, fc.sample(randomEntry, { numRuns: 8_000, seed: 9 }))
    const child = `
      const { catchUp, historyPath } = await import(${JSON.stringify(join(import.meta.dirname, 'history-follower.ts'))})
      const { SqliteHistory } = await import(${JSON.stringify(join(import.meta.dirname, 'sqlite-history.ts'))})
      const history = SqliteHistory.open(historyPath(process.argv[1]))
      const scan = await catchUp(process.argv[1], history, 1, () => process.stdout.write('.'))
      process.stdout.write('done')`
    for (let afterMs = 0; afterMs < 40; afterMs += 5) {
      const filling = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', child, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
      filling.stdout.once('data', () => setTimeout(() => filling.kill('SIGKILL'), afterMs))
      await new Promise((resolve) => filling.once('close', resolve))
      // What is in is a prefix of the journal, and its sums agree with it.
      const calls = sumOf(historyPath(folder), ALL)[0]?.calls ?? 0
      expect(sumOf(historyPath(folder), { ...ALL, by: ['task_id'] }).reduce((sum, row) => sum + row.calls, 0)).toBe(calls)
    }
    await fill(folder)
    isWhole(folder)
  })
})

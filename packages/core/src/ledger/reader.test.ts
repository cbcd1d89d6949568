import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, test } from 'vitest'
import type { Notice } from '../notices/notice.ts'
import { openJsonLedger } from './json-ledger.ts'
import type { Ledger } from './ledger.ts'
import { followNotices, journalEnd, readLedger } from './reader.ts'

const START_MS = Date.UTC(2026, 10, 20, 15)
const POLICY = { version: 'v1', text: 'budgets: {}', timezone: 'UTC', limits: [] }

function newFolder(): string {
  const base = mkdtempSync(join(tmpdir(), 'reader-'))
  onTestFinished(() => rmSync(base, { recursive: true, force: true }))
  return join(base, 'ledger')
}

async function open(folder: string, segmentBytes = 2 ** 20): Promise<Ledger> {
  const ledger = await openJsonLedger({ folder, nowMs: START_MS, segmentBytes })
  onTestFinished(() => ledger.close())
  return ledger
}

async function raise(ledger: Ledger, ...episodes: readonly string[]): Promise<void> {
  for (const episode of episodes) await ledger.notice({ severity: 'info', kind: 'rule', scope: 's', episode, text: episode, data: {} }, START_MS)
}

/** The next `count` notices, then ends the following. */
async function next(count: number, folder: string, after: number): Promise<readonly string[]> {
  const controller = new AbortController()
  const found: string[] = []
  for await (const notice of followNotices(folder, after, controller.signal)) {
    found.push(`${notice.number} ${notice.episode}`)
    if (found.length === count) controller.abort()
  }
  return found
}

describe('reading a ledger', () => {
  it('sees what a running writer has on disk, without its lock and without writing', async () => {
    const folder = newFolder()
    const ledger = await open(folder)
    await ledger.usePolicy(POLICY, START_MS)
    await raise(ledger, 'a')
    const before = readFileSync(join(folder, 'journal-000001.jsonl'))
    const { books, policyText, policyVersion, fault } = await readLedger(folder)
    expect({ policyText, policyVersion, fault, ledger: books.ledger, notices: books.notices.latest }).toEqual({
      policyText: 'budgets: {}',
      policyVersion: 'v1',
      fault: undefined,
      ledger: ledger.id,
      notices: ledger.notices,
    })
    expect(readFileSync(join(folder, 'journal-000001.jsonl'))).toEqual(before)
    await raise(ledger, 'b')
    expect((await readLedger(folder)).books.notices.nextNumber).toBe(3)
  })

  it('takes a torn last line for one that is not written yet, and leaves it', async () => {
    const folder = newFolder()
    const ledger = await open(folder)
    await raise(ledger, 'a')
    const path = join(folder, 'journal-000001.jsonl')
    writeFileSync(path, '{"seq":3,"type":"noti', { flag: 'a' })
    const { books, fault } = await readLedger(folder)
    expect(fault).toBeUndefined()
    expect(books.notices.nextNumber).toBe(2)
    expect(readFileSync(path, 'utf8')).toMatch(/"noti$/)
  })

  it('says so when a line that had been on disk is altered, and keeps what comes before', async () => {
    const folder = newFolder()
    await raise(await open(folder), 'a', 'b', 'c')
    const path = join(folder, 'journal-000001.jsonl')
    writeFileSync(path, readFileSync(path, 'utf8').replace('"text":"b"', '"text":"B"'))
    const { books, fault } = await readLedger(folder)
    expect(fault).toMatchObject({ code: 'LEDGER_DAMAGED', reason: expect.stringContaining('seq 3') })
    expect(books.notices.nextNumber).toBe(2)
  })

  it('passes on the fault that closed the ledger, even one that it cannot read', async () => {
    const folder = newFolder()
    await open(folder)
    const fault = { code: 'LEDGER_FAULT', reason: 'EIO', since: '2026-11-20T15:00:00.000Z' }
    writeFileSync(join(folder, 'fault.json'), JSON.stringify(fault))
    expect((await readLedger(folder)).fault).toEqual(fault)
    writeFileSync(join(folder, 'fault.json'), '{"code":')
    expect((await readLedger(folder)).fault).toMatchObject({ code: 'LEDGER_FAULT', reason: expect.stringContaining('cannot be read') })
  })

  it('needs a folder', async () => {
    await expect(readLedger(newFolder())).rejects.toMatchObject({ code: 'LEDGER_MISSING' })
  })
})

test('the end of the journal moves with each line, over the ends of segments, and is nowhere before the first', async () => {
  const folder = newFolder()
  expect(await journalEnd(folder)).toBeUndefined()
  const ledger = await open(folder, 500)
  const ends = [await journalEnd(folder)]
  for (const episode of ['a', 'b', 'c', 'd', 'e', 'f']) {
    await raise(ledger, episode)
    ends.push(await journalEnd(folder))
  }
  expect(new Set(ends.map((end) => `${end?.segment} ${end?.bytes}`)).size).toBe(7)
  expect(ends.at(-1)?.segment).toBeGreaterThan(1)
  expect(Math.abs((ends.at(-1)?.writtenMs ?? 0) - Date.now())).toBeLessThan(60_000)
})

describe('following the notices', () => {
  it('gives those there are and those that come, once and in order, over the ends of segments', async () => {
    const folder = newFolder()
    const ledger = await open(folder, 500)
    await raise(ledger, 'a', 'b', 'c')
    const following = next(6, folder, 1)
    await raise(ledger, 'd', 'e')
    await ledger.usePolicy(POLICY, START_MS)
    await raise(ledger, 'f', 'g')
    expect(await following).toEqual(['2 b', '3 c', '4 d', '5 e', '6 f', '7 g'])
  })

  it('goes on after a cursor, by way of the checkpoint', async () => {
    const folder = newFolder()
    const first = await open(folder)
    await raise(first, 'a', 'b', 'c')
    await first.close()
    await raise(await open(folder), 'd')
    expect(await next(3, folder, 1)).toEqual(['2 b', '3 c', '4 d'])
    expect(await next(1, folder, 3)).toEqual(['4 d'])
  })

  it('finds in the journal what the checkpoint no longer keeps', async () => {
    const folder = newFolder()
    const first = await openJsonLedger({ folder, nowMs: START_MS, fsync: 'never' })
    await Promise.all(Array.from({ length: 600 }, (_, index) => raise(first, String(index))))
    await first.close()
    expect(await next(600, folder, 0)).toEqual(Array.from({ length: 600 }, (_, index) => `${index + 1} ${index}`))
  })

  it('waits for a folder, and for the end of a line', async () => {
    const folder = newFolder()
    const following = next(2, folder, 0)
    const ledger = await open(folder)
    await raise(ledger, 'a')
    await ledger.close()
    const path = join(folder, 'journal-000001.jsonl')
    const whole = readFileSync(path)
    await raise(await open(folder), 'b')
    expect(await following).toEqual(['1 a', '2 b'])
    expect(readFileSync(path).subarray(0, whole.length)).toEqual(whole)
  })

  it('stops when it is told to, and at once', async () => {
    const folder = newFolder()
    await open(folder)
    const found: Notice[] = []
    for await (const notice of followNotices(folder, 0, AbortSignal.timeout(20))) found.push(notice)
    for await (const notice of followNotices(newFolder(), 0, AbortSignal.timeout(20))) found.push(notice)
    expect(found).toEqual([])
  })

  it('fails on a damaged journal: what comes after must not be passed on', async () => {
    const folder = newFolder()
    await raise(await open(folder), 'a', 'b', 'c')
    const path = join(folder, 'journal-000001.jsonl')
    writeFileSync(path, readFileSync(path, 'utf8').replace('"text":"b"', '"text":"B"'))
    await expect(next(3, folder, 0)).rejects.toMatchObject({ code: 'LEDGER_DAMAGED' })
  })
})

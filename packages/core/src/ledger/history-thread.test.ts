import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { manualClock } from '../clock.ts'
import { openManciple, type Manciple } from '../manciple.ts'
import { historyPath } from './history-follower.ts'
import { openHistory } from './history-thread.ts'

const NOON = Date.parse('2026-11-20T17:00:00Z')
const TODAY = { from: new Date('2026-11-20T05:00Z'), to: new Date('2026-11-21T05:00Z') }

function newFolder(): string {
  const base = mkdtempSync(join(tmpdir(), 'history-'))
  onTestFinished(() => rmSync(base, { recursive: true, force: true }))
  return join(base, 'ledger')
}

async function routerOn(ledger: string): Promise<{ readonly router: Manciple; readonly warnings: string[] }> {
  const warnings: string[] = []
  const text = 'timezone: America/New_York\nbudgets: { daily_limit_usd: 50.00 }'
  const router = await openManciple({ config: { text }, ledger, clock: manualClock(NOON), onError: (error) => warnings.push(String(error)) })
  onTestFinished(() => router.close())
  return { router, warnings }
}

async function call(router: Manciple, backend: string, taskId: string): Promise<void> {
  const dispatch = await router.decide({ backend, taskId, taskType: 'chat', inputTokens: 1000, maxOutputTokens: 500, pinned: true })
  await dispatch.settle({ usage: { inputTokens: 1000, outputTokens: 200 } })
}

test('a router answers about the past by any key, and so does one that keeps its ledger in memory by those it has', async () => {
  const [{ router: disk }, { router: memory }] = [await routerOn(newFolder()), await routerOn('memory')]
  for (const router of [disk, memory])
    for (const [backend, task] of [
      ['claude', 'a'],
      ['claude', 'b'],
      ['gpt', 'a'],
      ['local', 'a'],
    ] as const)
      await call(router, backend, task)
  expect(await disk.history({ ...TODAY, by: ['task_id'], where: { backend: 'claude' } })).toMatchObject([
    { task_id: expect.any(String), calls: 1, tokens: 1200, prompt_tokens: 1000, completion_tokens: 200 },
    { calls: 1 },
  ])
  for (const by of [[], ['backend'], ['day', 'model'], ['hour', 'task_type', 'backend']] as const) {
    const totals = await memory.history({ ...TODAY, by })
    const rows = await disk.history({ ...TODAY, by })
    expect(rows).toEqual(totals.map((row) => expect.objectContaining(row)))
    expect(rows.reduce((sum, row) => sum + row.calls, 0)).toBe(4)
  }
  expect(await memory.history({ ...TODAY, by: ['backend'], where: { backend: 'gpt', task_type: 'chat' } })).toMatchObject([{ backend: 'gpt', calls: 1 }])
  await expect(memory.history({ ...TODAY, by: ['task_id'] })).rejects.toMatchObject({ code: 'QUERY_INVALID' })
  await expect(disk.history({ from: TODAY.to, to: TODAY.from, by: [] })).rejects.toMatchObject({ code: 'QUERY_INVALID' })
})

test('a history that is locked fails no dispatch and no question, and is filled in when it is free', async () => {
  const folder = newFolder()
  const { router, warnings } = await routerOn(folder)
  await call(router, 'claude', 'a')
  /** What SQLite has; nothing while its tables are being made. */
  const stored = (): unknown => {
    const database = new DatabaseSync(historyPath(folder), { readOnly: true })
    try {
      return database.prepare('SELECT count(*) AS calls FROM calls').get()?.['calls']
    } catch {
      return undefined
    } finally {
      database.close()
    }
  }
  while (!existsSync(historyPath(folder)) || stored() !== 1) await sleep(50)
  const other = new DatabaseSync(historyPath(folder))
  other.exec('BEGIN IMMEDIATE')
  await call(router, 'claude', 'b')
  while (warnings.length === 0) await sleep(50)
  expect(await router.history({ ...TODAY, by: ['backend'] })).toMatchObject([{ backend: 'claude', calls: 2 }])
  other.exec('ROLLBACK')
  other.close()
  while (stored() !== 2) await sleep(50)
  expect(warnings).toMatchObject([expect.stringContaining('locked')])
})

test('a thread begins of itself, and leaves nothing open behind it', async () => {
  const folder = newFolder()
  const { router, warnings } = await routerOn(folder)
  await call(router, 'claude', 'a')
  while (!existsSync(historyPath(folder))) await sleep(50)
  await router.history({ ...TODAY, by: [] })
  await router.close()
  for (const suffix of ['-wal', '-shm']) expect(existsSync(historyPath(folder) + suffix)).toBe(false)
  await expect(router.history({ ...TODAY, by: [] })).rejects.toMatchObject({ code: 'CLOSED' })
  expect(warnings).toEqual([])
})

test('a question that is under way when history is closed is answered or refused, one that comes later is refused', async () => {
  const folder = newFolder()
  const { router } = await routerOn(folder)
  await call(router, 'claude', 'a')
  const history = openHistory(folder, () => {})
  const [asked] = await Promise.allSettled([history.query({ ...TODAY, by: [] }, 'UTC'), history.close()])
  if (asked.status === 'fulfilled') expect(asked.value).toMatchObject([{ calls: 1 }])
  else expect(asked.reason).toMatchObject({ code: 'CLOSED' })
  await expect(history.caughtUp()).rejects.toMatchObject({ code: 'CLOSED' })
})

test('a folder that is gone rejects a question and harms nobody', async () => {
  const warnings: string[] = []
  const history = openHistory(join(newFolder(), 'nowhere'), (text) => warnings.push(text))
  await expect(history.query({ ...TODAY, by: [] }, 'UTC')).rejects.toThrow('ENOENT')
  await history.caughtUp()
  expect(warnings).toHaveLength(1)
  await history.close()
})

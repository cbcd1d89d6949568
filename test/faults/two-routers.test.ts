import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { scanJournal, START } from '../../packages/core/src/ledger/journal-scan.ts'
import { readLedger } from '../../packages/core/src/ledger/reader.ts'
import type { Answer } from './router.ts'
import { startRouter } from './routers.ts'
import { newFolder, openLedger } from './support.ts'

const LOCKED = { ok: false, code: 'LEDGER_LOCKED' }

/** The sessions of a journal in the order of their records, and how it ends. */
async function sessionsOf(folder: string): Promise<{ sessions: readonly string[]; ending: string; settles: number }> {
  const sessions: string[] = []
  let settles = 0
  const { ending } = await scanJournal(folder, START, undefined, (record) => {
    const id =
      record.type === 'reserve' ? record.hold.id : record.type === 'settle' ? record.entry.id : record.type === 'open' ? `${record.session}-` : undefined
    const session = id?.slice(0, id.lastIndexOf('-'))
    if (session !== undefined && sessions.at(-1) !== session) sessions.push(session)
    if (record.type === 'settle') settles++
  })
  return { sessions, ending: ending.kind, settles }
}

function settledOf(answer: Answer): number {
  return answer.ok ? (answer.settled ?? 0) : Number.NaN
}

it('is written by one router at a time: one that is stopped keeps its ledger, goes on where it was, and leaves it at once when it dies', async () => {
  const folder = newFolder()
  const first = startRouter(folder)
  const second = startRouter(folder)
  expect(await first.tell({ do: 'open' })).toEqual({ ok: true })
  expect(await second.tell({ do: 'open' })).toMatchObject(LOCKED)
  await first.tell({ do: 'load' })
  for (let pause = 0; pause < 3; pause++) {
    await sleep(50)
    first.child.kill('SIGSTOP')
    await sleep(20)
    expect(await second.tell({ do: 'open' })).toMatchObject(LOCKED)
    expect((await readLedger(folder)).fault).toBeUndefined()
    first.child.kill('SIGCONT')
  }
  const settled = settledOf(await first.tell({ do: 'rest' }))
  expect(settled).toBeGreaterThan(10)
  const found = await sessionsOf(folder)
  expect(found).toMatchObject({ sessions: [expect.any(String)], ending: 'whole', settles: settled })

  await first.tell({ do: 'load' })
  await sleep(30)
  const gone = once(first.child, 'exit')
  first.child.kill('SIGKILL')
  await gone
  // At the first attempt, and it goes on where the other stopped.
  expect(await second.tell({ do: 'open' })).toEqual({ ok: true })
  expect(await second.tell({ do: 'call' })).toMatchObject({ ok: true, backend: 'claude', settled: 1 })
  const after = await sessionsOf(folder)
  expect(after.ending).toBe('whole')
  expect(after.sessions).toEqual([...found.sessions, expect.any(String)])
  expect(after.settles).toBeGreaterThan(settled)
})

it('is free when a router that was stopped is killed', async () => {
  const folder = newFolder()
  const router = startRouter(folder)
  await router.tell({ do: 'open' })
  router.child.kill('SIGSTOP')
  await expect(openLedger(folder)).rejects.toMatchObject({ code: 'LEDGER_LOCKED' })
  await router.end('SIGKILL')
  const ledger = await openLedger(folder)
  expect(ledger.fault).toBeUndefined()
  // A refused attempt takes nothing away from the one that holds the lock.
  await expect(openLedger(folder)).rejects.toMatchObject({ code: 'LEDGER_LOCKED' })
  const other = startRouter(folder)
  expect(await other.tell({ do: 'open' })).toMatchObject(LOCKED)
  await ledger.close()
  expect(await other.tell({ do: 'open' })).toEqual({ ok: true })
})

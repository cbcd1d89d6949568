import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock, type Clock } from '../../packages/core/src/clock.ts'
import { describe, expect, it, vi } from 'vitest'
import { openManciple, type Manciple } from '../../packages/core/src/manciple.ts'
import { readLedger } from '../../packages/core/src/ledger/reader.ts'
import { HAS_STRACE } from './kills.ts'
import type { Answer } from './router.ts'
import { MAY_MOUNT, ROUTER_POLICY, startRouter, tmpfs, type Router } from './routers.ts'
import { newFolder } from './support.ts'

const IS_ROOT = process.getuid?.() === 0
const OPEN = { ok: true }
const WAIT = { timeout: 5_000, interval: 10 }

/** Cloud calls are not taken, local ones are, and the one notice that says so was given, with the system's own reason. */
async function expectClosed(router: Router, answer: Answer, reason: string): Promise<void> {
  if (answer.ok && answer.backend !== 'local') expect(answer.unsettled).toContain(reason)
  for (let call = 0; call < 3; call++) {
    expect(await router.tell({ do: 'call' })).toMatchObject({ ok: true, backend: 'local', unsettled: expect.stringContaining(reason) })
  }
  await vi.waitFor(() => expect(router.notices.map(({ notice }) => notice)).toContain('ledger-fault'), WAIT)
  const faults = router.notices.filter(({ notice }) => notice === 'ledger-fault')
  expect(faults).toEqual([{ notice: 'ledger-fault', text: expect.stringContaining(reason) }])
}

/** All that was acknowledged is there, and cloud calls are taken again. */
async function expectWhole(router: Router, folder: string, settled: number): Promise<void> {
  const { books, fault } = await readLedger(folder)
  expect(fault).toBeUndefined()
  const requests = books.spend(0, Date.now() * 2).reduce((sum, row) => sum + (row.backend === 'claude' ? row.requests : 0), 0)
  expect(requests).toBeGreaterThanOrEqual(settled)
  expect(requests).toBeLessThanOrEqual(settled + 1)
  expect(await router.tell({ do: 'call' })).toMatchObject({ ok: true, backend: 'claude' })
}

async function settledOf(router: Router): Promise<number> {
  const answer = await router.tell({ do: 'rest' })
  return answer.ok ? (answer.settled ?? 0) : 0
}

describe('a system call that fails', () => {
  it.skipIf(!HAS_STRACE).each([
    ['fdatasync', 'EIO', 6],
    ['fdatasync', 'EIO', 7],
    ['pwrite64', 'EIO', 8],
    ['pwrite64', 'ENOSPC', 9],
    ['pwrite64', 'EROFS', 10],
  ] as const)('%s with %s, once and at the %ith time, stops cloud calls until the ledger is opened again (needs strace)', async (call, code, nth) => {
    const folder = newFolder()
    const router = startRouter(folder, ['strace', '-f', '-qqq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:error=${code}:when=${nth}`])
    expect(await router.tell({ do: 'open' })).toEqual(OPEN)
    await expectClosed(router, await router.callUntilClosed(50), code)
    const settled = await settledOf(router)
    expect(JSON.parse(readFileSync(join(folder, 'fault.json'), 'utf8'))).toMatchObject({ code: 'LEDGER_FAULT', reason: expect.stringContaining(code) })
    expect(await router.tell({ do: 'close' })).toEqual(OPEN)
    expect(await router.tell({ do: 'open' })).toEqual(OPEN)
    await expectWhole(router, folder, settled)
  })

  it.skipIf(process.platform === 'win32')('for want of file descriptors stops cloud calls at the end of a segment, and an opening', async () => {
    const folder = newFolder()
    const router = startRouter(folder, ['sh', '-c', 'ulimit -n 100 && exec "$@"', 'sh'])
    expect(await router.tell({ do: 'open', segmentBytes: 20_000 })).toEqual(OPEN)
    await router.tell({ do: 'starve' })
    await expectClosed(router, await router.callUntilClosed(200), 'EMFILE')
    const settled = await settledOf(router)
    expect(await router.tell({ do: 'close' })).toEqual(OPEN)
    await router.tell({ do: 'starve' })
    expect(await router.tell({ do: 'open' })).toMatchObject({ ok: false, code: 'LEDGER_UNWRITABLE' })
    await router.tell({ do: 'feed' })
    expect(await router.tell({ do: 'open' })).toEqual(OPEN)
    await expectWhole(router, folder, settled)
  })

  it.skipIf(!IS_ROOT)('for want of rights stops cloud calls at the end of a segment, and an opening (needs root)', async () => {
    const folder = newFolder()
    const router = startRouter(folder)
    expect(await router.tell({ do: 'open', segmentBytes: 20_000 })).toEqual(OPEN)
    await router.tell({ do: 'demote' })
    await expectClosed(router, await router.callUntilClosed(200), 'EACCES')
    const settled = await settledOf(router)
    expect(await router.tell({ do: 'close' })).toEqual(OPEN)
    expect(await router.tell({ do: 'open' })).toMatchObject({ ok: false, code: 'LEDGER_UNWRITABLE' })
    await router.tell({ do: 'promote' })
    expect(await router.tell({ do: 'open' })).toEqual(OPEN)
    await expectWhole(router, folder, settled)
  })
})

describe('a file system', () => {
  /** Looks at the ledger ten times a second instead of twice a minute. */
  const clock: Clock = { ...systemClock(), every: (periodMs, task) => systemClock().every(periodMs / 300, task) }

  interface Opened {
    readonly manciple: Manciple
    readonly told: string[]
  }

  async function open(ledger: string): Promise<Opened> {
    const manciple = await openManciple({ config: { text: ROUTER_POLICY }, ledger, clock, onError: () => undefined })
    const told: string[] = []
    manciple.on('notice', ({ kind, text }) => told.push(`${kind}: ${text}`))
    return { manciple, told }
  }

  /** Calls one after the other until one of them does not get to disk. @returns what those before it cost. */
  async function spendUntilClosed(manciple: Manciple): Promise<number> {
    for (let spent = 0; ;) {
      const dispatch = await manciple.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 500 })
      if (dispatch.decision.backend === 'local') return spent
      try {
        spent += Math.round((await dispatch.settle({ inputTokens: 1000, outputTokens: 200 })).cost_usd * 1e9)
      } catch {
        return spent
      }
    }
  }

  const spentIn = (manciple: Manciple): number => manciple.costs().month.costNano

  it.skipIf(!MAY_MOUNT)(
    'that is full stops cloud calls with a notice, keeps the old data whole, and serves again when there is room (needs mount)',
    async () => {
      const { root, remount } = tmpfs('300k')
      const folder = join(root, 'ledger')
      const { manciple, told } = await open(folder)
      const spent = await spendUntilClosed(manciple)
      expect(spent).toBeGreaterThan(0)
      const local = await manciple.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 500 })
      expect(local.decision).toMatchObject({ verdict: 'reroute', backend: 'local' })
      await vi.waitFor(() => expect(told.join()).toContain('ledger-fault'), WAIT)
      expect(told.filter((text) => text.startsWith('ledger-fault: '))).toEqual([expect.stringMatching(/^ledger-fault: Cloud calls are stopped: .*ENOSPC/)])
      await manciple.close()
      // Still full: closed as before, or not opened at all.
      await open(folder).then(
        async (again) => {
          expect((await again.manciple.decide({ backend: 'claude', inputTokens: 1, maxOutputTokens: 1 })).decision.backend).toBe('local')
          await again.manciple.close()
        },
        (error: unknown) => expect(error).toMatchObject({ code: 'LEDGER_UNWRITABLE' }),
      )
      remount('size=4m')
      const { manciple: healed } = await open(folder)
      expect((await healed.decide({ backend: 'claude', inputTokens: 1, maxOutputTokens: 300 })).decision.backend).toBe('claude')
      expect(spentIn(healed)).toBe(spent)
      await healed.close()
    },
  )

  it.skipIf(!MAY_MOUNT)('that may only be read is refused, can still be read, and serves when it may be written (needs mount)', async () => {
    const { root, remount } = tmpfs('4m')
    const folder = join(root, 'ledger')
    const { manciple } = await open(folder)
    const dispatch = await manciple.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 500 })
    await dispatch.settle({ inputTokens: 1000, outputTokens: 200 })
    const spent = spentIn(manciple)
    await manciple.close()
    remount('ro')
    await expect(open(folder)).rejects.toMatchObject({ code: 'LEDGER_UNWRITABLE', message: expect.stringMatching(/EROFS|read-only/i) })
    expect((await readLedger(folder)).books.spend(0, Date.now() * 2)).toMatchObject([{ requests: 1, costNano: spent }])
    remount('rw')
    const { manciple: healed } = await open(folder)
    expect(spentIn(healed)).toBe(spent)
    await healed.close()
  })

  it.skipIf(!IS_ROOT)('is told from a folder that may not be written (needs root)', async () => {
    const folder = newFolder()
    const router = startRouter(folder)
    expect(await router.tell({ do: 'open' })).toEqual(OPEN)
    await router.tell({ do: 'close' })
    chmodSync(folder, 0o500)
    await router.tell({ do: 'demote' })
    expect(await router.tell({ do: 'open' })).toMatchObject({ ok: false, code: 'LEDGER_UNWRITABLE' })
  })
})

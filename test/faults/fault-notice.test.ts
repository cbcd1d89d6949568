import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { manualClock } from '../../packages/core/src/clock.ts'
import { loadPolicyText } from '../../packages/core/src/config/watch.ts'
import { systemDisk } from '../../packages/core/src/ledger/disk.ts'
import { openJsonLedger } from '../../packages/core/src/ledger/json-ledger.ts'
import { EmbeddedManciple } from '../../packages/core/src/embedded-manciple.ts'
import { preparePolicy } from '../../packages/core/src/policy/prepare.ts'
import { diskWith, newFolder } from './support.ts'

test('a disk that fails is told at once, though the clock stands still and only local calls follow', async () => {
  const folder = newFolder()
  let broken = false
  const datasync = (fd: number): Promise<void> => (broken ? Promise.reject(new Error('EIO')) : systemDisk.datasync(fd))
  const { policy } = loadPolicyText('budgets: { daily_limit_usd: 5.00 }', 'policy')
  const clock = manualClock(Date.parse('2026-11-10T12:00:00Z'))
  const ledger = await openJsonLedger({ folder, nowMs: clock.wallMs(), disk: diskWith({ datasync }) })
  const manciple = new EmbeddedManciple({ ledger, prepared: await preparePolicy(policy), clock, onError: () => undefined })
  await manciple.start()
  const heard: string[] = []
  manciple.on('notice', ({ kind }) => heard.push(kind))
  broken = true
  const local = await manciple.decide({ backend: 'local', inputTokens: 1 })
  expect(local.decision.backend).toBe('local')
  await Promise.resolve()
  expect(heard).toEqual(['ledger-fault'])
  expect((await manciple.decide({ backend: 'claude', inputTokens: 1 })).decision).toMatchObject({ backend: 'local' })
  await manciple.close()
  rmSync(folder, { recursive: true })
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { adjustment, held, order, policy, settlement, START_MS } from '../../../../test/contract/ledger-samples.ts'
import { openMemoryLedger } from './memory-ledger.ts'

test('the timestamp of an entry is the time at which its call was decided', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: Date.parse('2200-01-01T00:00:00Z') }), { minLength: 1, maxLength: 20 }), (times) => {
      const ledger = openMemoryLedger()
      for (const atMs of times.toSorted((a, b) => a - b)) {
        const call = { atMs, backend: 'local', kind: 'local', model: 'm', taskId: null, taskType: null, requestedBackend: null } as const
        const size = { inputTokens: 1, maxOutputTokens: 1, estimate: { costNano: 0, tokens: 2, requests: 1 } }
        const reserved = ledger.reserve({ ...call, ...size, priceSource: 'free', policy: 'p', candidates: [] })
        if (!reserved.ok) throw new Error('there is no limit that could lack room')
        const usage = { costNano: 0, promptTokens: 1, completionTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 }
        const { entry } = ledger.settle(reserved.hold.id, { ...usage, durationMs: 1, status: 'ok', usageSource: 'reported' })
        expect(entry.timestamp).toBe(new Date(atMs).toISOString())
      }
    }),
  )
})

test('the revision moves with each change of the books, and stands while only time passes', async () => {
  const ledger = openMemoryLedger()
  await ledger.usePolicy(policy(), START_MS)
  const moves = async (change: () => unknown): Promise<boolean> => {
    const { revision } = ledger
    await change()
    return ledger.revision > revision
  }
  const { id } = held(ledger.reserve(order()))
  expect(await moves(() => ledger.advance(START_MS + 60_000))).toBe(false)
  expect(await moves(() => ledger.settle(id, settlement()))).toBe(true)
  expect(await moves(() => ledger.reserve(order()))).toBe(true)
  expect(await moves(() => ledger.adjust(adjustment()))).toBe(true)
})

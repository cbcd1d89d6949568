import { expect, test } from 'vitest'
import type { MeterState, Quantities } from '../limit.ts'
import type { PreparedPolicy } from '../policy/prepare.ts'
import { LastLook } from './last-look.ts'

const NOW = Date.parse('2026-04-01T12:00:00Z')
const ORDINARY: Quantities = { costNano: 10, tokens: 20, requests: 1 }
// Only which one it is matters here.
const [policy, otherPolicy] = [{}, {}] as unknown as [PreparedPolicy, PreparedPolicy]

function meter(change: Partial<MeterState> = {}): MeterState {
  const limit = { name: 'all.day', quantity: 100, unit: 'usd', window: { kind: 'day' }, scope: {}, hard: true } as const
  return { limit, settled: 5, held: 1, presumed: 0, beside: 0, reading: undefined, bounds: undefined, roomAt: () => undefined, ...change }
}

test('nothing is the same at the first look', () => {
  expect(new LastLook().same(policy, [], ORDINARY, NOW)).toBe(false)
})

test('what is unchanged is the same until the next quarter-hour begins', () => {
  const last = new LastLook()
  last.same(policy, [meter()], ORDINARY, NOW)
  expect(last.same(policy, [meter()], ORDINARY, NOW + 30_000)).toBe(true)
  expect(last.same(policy, [meter()], ORDINARY, NOW + 899_999)).toBe(true)
  expect(last.same(policy, [meter()], ORDINARY, NOW + 900_000)).toBe(false)
  expect(last.same(policy, [meter()], ORDINARY, NOW + 930_000)).toBe(true)
})

interface Look {
  readonly prepared: PreparedPolicy
  readonly meters: readonly MeterState[]
  readonly ordinary: Quantities
}

const LOOK: Look = { prepared: policy, meters: [meter(), meter()], ordinary: ORDINARY }
const CHANGES: readonly (readonly [what: string, change: Partial<Look>])[] = [
  ['what is settled', { meters: [meter(), meter({ settled: 6 })] }],
  ['what is held', { meters: [meter(), meter({ held: 0 })] }],
  ['what is presumed spent', { meters: [meter(), meter({ presumed: 1 })] }],
  ['what was used beside the ledger', { meters: [meter({ beside: 1 }), meter()] }],
  ['the number of limits', { meters: [meter()] }],
  ['the ordinary call', { ordinary: { ...ORDINARY } }],
  ['the policy', { prepared: otherPolicy }],
]

test.each(CHANGES)('%s makes a difference, once', (_, change) => {
  const last = new LastLook()
  last.same(LOOK.prepared, LOOK.meters, LOOK.ordinary, NOW)
  const { prepared, meters, ordinary } = { ...LOOK, ...change }
  expect(last.same(prepared, meters, ordinary, NOW)).toBe(false)
  expect(last.same(prepared, meters, ordinary, NOW)).toBe(true)
})

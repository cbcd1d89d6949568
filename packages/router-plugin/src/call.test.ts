import type { Decision, Dispatch, LedgerEntry, Outcome } from '@manciple/core'
import { MancipleError } from '@manciple/core'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Call } from './call.ts'

const ENTRY = {} as LedgerEntry
const outcomes: unknown[] = []
const releases: string[] = []
const faults: unknown[] = []
let ends = 0
let settle: (outcome: Outcome) => Promise<LedgerEntry>

function callOf(timeoutMs = 1000): Call {
  const dispatch: Dispatch = {
    decision: {} as Decision,
    settle: async (outcome) => {
      outcomes.push(outcome)
      return settle(outcome as Outcome)
    },
    release: async (reason) => {
      releases.push(reason)
    },
    [Symbol.asyncDispose]: async () => {},
  }
  return new Call({
    dispatch,
    id: 'h',
    backend: 'claude',
    inputTokens: 100,
    outputBound: 64,
    timeoutMs,
    onEnd: () => (ends += 1),
    onFault: (error) => faults.push(error),
  })
}

beforeEach(() => {
  for (const list of [outcomes, releases, faults]) list.length = 0
  ends = 0
  settle = async () => ENTRY
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('whatever ends a call first counts, and nothing ends it again', () => {
  const call = callOf()
  call.answered({ inputTokens: 1, outputTokens: 2 })
  call.abandon('cut')
  call.release('late')
  call.answered()
  vi.advanceTimersByTime(5000)
  expect(outcomes).toEqual([{ status: 'ok', usage: { inputTokens: 1, outputTokens: 2 }, durationMs: expect.any(Number) }])
  expect([releases, ends]).toEqual([[], 1])
})

test('a call that was released is not billed', () => {
  const call = callOf()
  call.release('refused the connection')
  call.answered({ inputTokens: 1, outputTokens: 2 })
  vi.advanceTimersByTime(5000)
  expect([outcomes, releases, ends]).toEqual([[], ['refused the connection'], 1])
})

test('a usage that the books refuse is a fault, and the hold stands instead', async () => {
  settle = async (outcome) => {
    if (outcome.usage !== undefined) throw new MancipleError('USAGE_INVALID', 'reasoning above output')
    return ENTRY
  }
  callOf().answered({ inputTokens: 1, outputTokens: 2 })
  await vi.runAllTimersAsync()
  expect(outcomes).toMatchObject([{ usage: { inputTokens: 1 } }, { status: 'ok' }])
  expect(outcomes[1]).not.toHaveProperty('usage')
  expect(faults).toHaveLength(1)
})

test('books that cannot be written are a fault, and no call throws for it', async () => {
  settle = async () => {
    throw new MancipleError('LEDGER_FAULT', 'no space')
  }
  callOf().abandon('error')
  await vi.runAllTimersAsync()
  expect(faults).toMatchObject([{ code: 'LEDGER_FAULT' }])
  expect(outcomes).toHaveLength(1)
})

test('what a provider has reported of a cut stream counts before what its bytes say', () => {
  const call = callOf()
  call.progress(10_000, { inputTokens: 90, outputTokens: 30 })
  call.abandon('cut')
  expect(outcomes).toMatchObject([{ status: 'cut', usageSource: 'partial', usage: { inputTokens: 90, outputTokens: 30 } }])
})

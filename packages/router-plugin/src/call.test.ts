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

function callOf({ timeoutMs = 1000, hiddenOutput = false, writesCache = (): boolean => false } = {}): Call {
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
    hiddenOutput,
    writesCache,
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

test('what a provider has reported of a cut stream counts before what its bytes say, and bytes since then count on top', () => {
  const reported = callOf()
  reported.progress(10_000, { inputTokens: 90, outputTokens: 30 })
  reported.abandon('cut')
  const since = callOf()
  since.progress(0, { inputTokens: 90, outputTokens: 1 })
  since.progress(12, undefined)
  since.abandon('aborted')
  const beyond = callOf()
  beyond.progress(0, { inputTokens: 90, outputTokens: 1 })
  beyond.progress(5000, undefined)
  beyond.abandon('cut')
  expect(outcomes).toMatchObject([
    { status: 'cut', usageSource: 'partial', usage: { inputTokens: 90, outputTokens: 30 } },
    { status: 'aborted', usageSource: 'partial', usage: { inputTokens: 90, outputTokens: 13 } },
    { status: 'cut', usageSource: 'partial', usage: { inputTokens: 90, outputTokens: 64 } },
  ])
})

test('a model that reasons unseen may have written all that it was allowed', () => {
  const unknown = callOf({ hiddenOutput: true })
  unknown.progress(5, undefined)
  unknown.abandon('cut')
  const half = callOf({ hiddenOutput: true })
  half.progress(0, { inputTokens: 90, outputTokens: 1 })
  half.progress(5, undefined)
  half.abandon('cut')
  expect(outcomes).toMatchObject([{ status: 'cut' }, { usage: { inputTokens: 90, outputTokens: 64 }, usageSource: 'partial' }])
  expect(outcomes[0]).not.toHaveProperty('usage')
})

test('input that may have been written to a cache is billed as if it were, unless the provider says otherwise', () => {
  const unreported = callOf({ writesCache: () => true })
  unreported.progress(5, undefined)
  unreported.abandon('cut')
  const reported = callOf({ writesCache: () => true })
  reported.progress(0, { inputTokens: 90, outputTokens: 1 })
  reported.abandon('cut')
  expect(outcomes).toMatchObject([{ usage: { inputTokens: 100, cacheWriteTokens: 100 } }, { usage: { inputTokens: 90 } }])
  expect(outcomes[1]).not.toHaveProperty('usage.cacheWriteTokens')
})

test('a whole answer is reported only where the last usage covers all of it', () => {
  const covered = callOf()
  covered.progress(40, { inputTokens: 90, outputTokens: 8 })
  covered.answered()
  const early = callOf()
  early.progress(0, { inputTokens: 90, outputTokens: 1 })
  early.progress(20, undefined)
  early.answered()
  expect(outcomes).toMatchObject([
    { status: 'ok', usage: { outputTokens: 8 } },
    { status: 'ok', usage: { outputTokens: 21 }, usageSource: 'partial' },
  ])
  expect(outcomes[0]).not.toHaveProperty('usageSource')
})

test('a call of which nothing is heard at all is settled when its time is over', () => {
  callOf({ timeoutMs: 1000 })
  vi.advanceTimersByTime(999)
  expect(outcomes).toEqual([])
  vi.advanceTimersByTime(1)
  expect(outcomes).toMatchObject([{ status: 'expired' }])
})

test('a call lives as long as something is heard of it, and its time and an eighth at most from then on', () => {
  const call = callOf({ timeoutMs: 1000 })
  for (let chunk = 0; chunk < 5; chunk++) {
    vi.advanceTimersByTime(900)
    call.progress(1, undefined)
  }
  vi.advanceTimersByTime(1000)
  expect(outcomes).toEqual([])
  vi.advanceTimersByTime(125)
  expect(outcomes).toMatchObject([{ status: 'expired', usage: { outputTokens: 5 } }])
})

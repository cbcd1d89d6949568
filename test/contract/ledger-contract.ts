import { describe, expect, it } from 'vitest'
import { MancipleError } from '../../packages/core/src/errors.ts'
import type { Ledger, LedgerPolicy } from '../../packages/core/src/ledger/ledger.ts'
import { freeOf } from '../../packages/core/src/limit.ts'
import { agreesWithReference } from './ledger-property.ts'
import { adjustment, DAY_MS, held, HOUR_MS, importOrder, limit, MINUTE_MS, notice, order, policy, settlement, START_MS } from './ledger-samples.ts'
import { everyWindow, numbersOf, standingOf, windowCases } from './ledger-standing.ts'
import { restartLaws } from './restart-laws.ts'

export interface OpenedLedger {
  readonly ledger: Ledger
  /** Opens the same ledger again, as a new process would, whether or not the old one was closed. Absent where nothing is kept. */
  readonly reopen?: () => Promise<Ledger>
}

export interface ContractOptions {
  /** Whether it can be opened again. */
  readonly restarts: boolean
  /** Runs of the property test. */
  readonly runs: number
}

/** What every ledger does. `open` makes a new, empty one each time. */
export function ledgerContract(name: string, open: () => Promise<OpenedLedger>, options: ContractOptions): void {
  const opened = async (inForce: LedgerPolicy = policy()): Promise<Ledger> => {
    const { ledger } = await open()
    await ledger.usePolicy(inForce, START_MS)
    return ledger
  }
  describe(`a ledger: ${name}`, () => {
    it('takes no cloud call before it has a policy', async () => {
      const { ledger } = await open()
      expect(ledger.reserve(order())).toEqual({ ok: false, limits: [] })
    })
    describe('holds', () => holdLaws(opened))
    describe('windows', () => windowLaws(opened))
    describe('entries', () => entryLaws(opened))
    describe('corrections', () => correctionLaws(opened))
    describe('imports', () => importLaws(opened))
    describe('notices', () => noticeLaws(opened))
    describe('policies', () => policyLaws(opened))
    describe.skipIf(!options.restarts)('restarts', () => restartLaws(open))
    it('has the numbers of the reference, whatever is done to it', () => agreesWithReference(open, options))
  })
}

type Opened = (inForce?: LedgerPolicy) => Promise<Ledger>

function holdLaws(opened: Opened): void {
  it('counts a hold as held and its settlement as settled', async () => {
    const ledger = await opened()
    const hold = held(ledger.reserve(order()))
    expect(numbersOf(ledger)).toEqual([{ settled: 0, held: 50_000_000, presumed: 0 }])
    expect([...ledger.openHolds.keys()]).toEqual([hold.id])
    await ledger.settle(hold.id, settlement()).durable
    expect(numbersOf(ledger)).toEqual([{ settled: 16_500_000, held: 0, presumed: 0 }])
    expect(ledger.openHolds.size).toBe(0)
  })

  it('is as before after a hold was released', async () => {
    const ledger = await opened(policy(everyWindow()))
    ledger.settle(held(ledger.reserve(order())).id, settlement())
    const before = standingOf(ledger)
    const hold = held(ledger.reserve(order({ atMs: START_MS + MINUTE_MS })))
    await ledger.release(hold.id, 'connection refused', START_MS + 2 * MINUTE_MS)
    ledger.advance(START_MS)
    expect(standingOf(ledger)).toEqual(before)
  })

  it('takes the last nano of a limit and refuses one more', async () => {
    const ledger = await opened(policy([limit({ quantity: 100_000_001 })]))
    expect(ledger.reserve(order()).ok).toBe(true)
    expect(ledger.reserve(order({ estimate: { costNano: 50_000_002, tokens: 1, requests: 1 } }))).toEqual({ ok: false, limits: ['all.day'] })
    expect(ledger.reserve(order({ estimate: { costNano: 50_000_001, tokens: 1, requests: 1 } })).ok).toBe(true)
    expect(ledger.meters.map(freeOf)).toEqual([0])
    expect(ledger.reserve(order({ estimate: { costNano: 1, tokens: 1, requests: 1 } })).ok).toBe(false)
  })

  it('changes nothing when it refuses, and names every hard limit without room', async () => {
    const tight = [limit({ name: 'cost', quantity: 49_999_999 }), limit({ name: 'roomy' }), limit({ name: 'tokens', quantity: 2999, unit: 'tokens' })]
    const ledger = await opened(policy(tight))
    const before = standingOf(ledger)
    expect(ledger.reserve(order())).toEqual({ ok: false, limits: ['cost', 'tokens'] })
    expect(standingOf(ledger)).toEqual(before)
    expect(ledger.openHolds.size).toBe(0)
  })

  it('takes 50 of 500 concurrent reservations where there is room for 50', async () => {
    const ledger = await opened(policy([limit({ quantity: 50 * 50_000_000 })]))
    const reserved = await Promise.all(
      Array.from({ length: 500 }, async () => {
        const one = ledger.reserve(order())
        if (one.ok) await one.durable
        return one
      }),
    )
    const ids = reserved.flatMap((one) => (one.ok ? [one.hold.id] : []))
    expect(new Set(ids).size).toBe(50)
    expect(ledger.meters.map(freeOf)).toEqual([0])
  })

  it('lets soft limits count but never refuse', async () => {
    const ledger = await opened(policy([limit({ quantity: 1, hard: false })]))
    expect(ledger.reserve(order()).ok).toBe(true)
    expect(ledger.meters.map(freeOf)).toEqual([1 - 50_000_000])
  })

  it('covers local calls only by limits that name them', async () => {
    const ledger = await opened(policy([limit({ quantity: 0 }), limit({ name: 'llama', unit: 'requests', quantity: 1, scope: { backend: 'local' } })]))
    const local = order({ backend: 'local', kind: 'local', model: 'llama', estimate: { costNano: 0, tokens: 3000, requests: 1 }, priceSource: 'free' })
    expect(ledger.reserve(local).ok).toBe(true)
    expect(ledger.reserve(local)).toEqual({ ok: false, limits: ['llama'] })
  })

  it('ends a hold once: a second settlement or release is HOLD_ENDED and changes nothing', async () => {
    const ledger = await opened()
    const { id } = held(ledger.reserve(order()))
    ledger.settle(id, settlement())
    const before = standingOf(ledger)
    expect(() => ledger.settle(id, settlement())).toThrow(expect.objectContaining({ code: 'HOLD_ENDED' }))
    await expect(ledger.release(id, 'again', START_MS)).rejects.toMatchObject({ code: 'HOLD_ENDED' })
    expect(() => ledger.settle('never-made', settlement())).toThrow(MancipleError)
    expect(standingOf(ledger)).toEqual(before)
  })

  it('refuses numbers that are not whole, and keeps the hold', async () => {
    const ledger = await opened()
    expect(() => ledger.reserve(order({ estimate: { costNano: 0.5, tokens: 1, requests: 1 } }))).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
    const { id } = held(ledger.reserve(order()))
    for (const wrong of [Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY]) {
      expect(() => ledger.settle(id, settlement({ costNano: wrong }))).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }))
    }
    expect(numbersOf(ledger)).toEqual([{ settled: 0, held: 50_000_000, presumed: 0 }])
  })
}

function windowLaws(opened: Opened): void {
  it.each(windowCases)('$window.kind: counts until $endMs, then no more', async ({ window, endMs }) => {
    const ledger = await opened(policy([limit({ window })]))
    ledger.settle(held(ledger.reserve(order())).id, settlement())
    ledger.advance(endMs - 1)
    expect(numbersOf(ledger)).toEqual([{ settled: 16_500_000, held: 0, presumed: 0 }])
    ledger.advance(endMs)
    expect(numbersOf(ledger)).toEqual([{ settled: 0, held: 0, presumed: 0 }])
  })

  it('says when there is room again', async () => {
    const windows = windowCases.map(({ window }, index) => limit({ name: String(index), window, quantity: 60_000_000 }))
    const ledger = await opened(policy(windows))
    const { id } = held(ledger.reserve(order()))
    expect(ledger.meters.map((meter) => meter.roomAt(60_000_000))).toEqual(windowCases.map(() => START_MS))
    ledger.settle(id, settlement())
    expect(ledger.meters.map((meter) => meter.roomAt(60_000_000))).toEqual(windowCases.map(({ endMs }) => endMs))
    expect(ledger.meters.map((meter) => meter.roomAt(43_500_000))).toEqual(windowCases.map(() => START_MS))
    expect(ledger.meters.map((meter) => meter.roomAt(60_000_001))).toEqual(windowCases.map(() => undefined))
  })

  it('bills a call that settles after midnight to the day it was reserved on', async () => {
    const ledger = await opened(policy([limit(), limit({ name: 'all.month', window: { kind: 'month', day: 1 } })]))
    const beforeMidnightMs = Date.UTC(2026, 10, 21, 4, 59)
    const { id } = held(ledger.reserve(order({ atMs: beforeMidnightMs })))
    ledger.advance(beforeMidnightMs + 2 * MINUTE_MS)
    const { entry } = ledger.settle(id, settlement())
    expect(entry.timestamp).toBe('2026-11-21T04:59:00.000Z')
    expect(numbersOf(ledger)).toEqual([
      { settled: 0, held: 0, presumed: 0 },
      { settled: 16_500_000, held: 0, presumed: 0 },
    ])
    expect(ledger.spend(Date.UTC(2026, 10, 21, 4, 45), Date.UTC(2026, 10, 21, 5))).toEqual([
      { backend: 'claude', model: 'claude-sonnet-4-20250514', taskType: 'reasoning', costNano: 16_500_000, tokens: 2300, requests: 1 },
    ])
    expect(ledger.spend(Date.UTC(2026, 10, 21, 5), Date.UTC(2026, 10, 22, 5))).toEqual([])
  })

  it('begins a first-use window with its first use, and forgets it when that was released', async () => {
    const ledger = await opened(policy([limit({ window: { kind: 'first-use', spanMs: 5 * HOUR_MS } })]))
    expect(ledger.meters[0]?.bounds).toBeUndefined()
    const first = held(ledger.reserve(order({ atMs: START_MS + MINUTE_MS })))
    expect(ledger.meters[0]?.bounds).toEqual({ startMs: START_MS, endMs: START_MS + 5 * HOUR_MS + 15 * MINUTE_MS })
    await ledger.release(first.id, 'connection refused', START_MS + 2 * MINUTE_MS)
    expect(ledger.meters[0]?.bounds).toBeUndefined()
  })

  it('begins a first-use window with the next use when the first was released: never early', async () => {
    const ledger = await opened(policy([limit({ window: { kind: 'first-use', spanMs: 5 * HOUR_MS } })]))
    const first = held(ledger.reserve(order()))
    held(ledger.reserve(order({ atMs: START_MS + 4 * HOUR_MS })))
    await ledger.release(first.id, 'connection refused', START_MS + 4 * HOUR_MS)
    expect(ledger.meters[0]?.bounds?.endMs).toBe(START_MS + 9 * HOUR_MS + 15 * MINUTE_MS)
  })

  it('never reopens a limit when time goes back', async () => {
    const ledger = await opened(policy([limit({ quantity: 50_000_000 })]))
    ledger.advance(START_MS + DAY_MS)
    const late = held(ledger.reserve(order({ atMs: START_MS })))
    expect(late.atMs).toBe(START_MS + DAY_MS)
    expect(ledger.reserve(order({ atMs: START_MS })).ok).toBe(false)
  })
}

function entryLaws(opened: Opened): void {
  it('writes the nine fields first and in order', async () => {
    const ledger = await opened()
    const { entry, durable } = ledger.settle(held(ledger.reserve(order())).id, settlement())
    await durable
    expect(Object.entries(entry).slice(0, 9)).toEqual([
      ['timestamp', '2026-11-20T15:00:00.000Z'],
      ['backend', 'claude'],
      ['model', 'claude-sonnet-4-20250514'],
      ['prompt_tokens', 1500],
      ['completion_tokens', 800],
      ['cost_usd', 0.0165],
      ['task_id', 'task-1'],
      ['task_type', 'reasoning'],
      ['duration_ms', 2300],
    ])
  })

  it('keeps each time to the millisecond', async () => {
    const ledger = await opened()
    const times = [0, 7, 70, 999, 1000, 61_005].map(
      (ms) => ledger.settle(held(ledger.reserve(order({ atMs: START_MS + ms }))).id, settlement()).entry.timestamp,
    )
    expect(times).toEqual([0, 7, 70, 999, 1000, 61_005].map((ms) => new Date(START_MS + ms).toISOString()))
  })

  it('records a truth above the hold, marks it, and counts the debt at once', async () => {
    const ledger = await opened(policy([limit({ quantity: 60_000_000 })]))
    const settle = (over: Parameters<typeof settlement>[0]) => ledger.settle(held(ledger.reserve(order())).id, settlement(over)).entry
    expect(settle({ costNano: 0, promptTokens: 0, completionTokens: 3000 })).not.toHaveProperty('overrun')
    expect(settle({ costNano: 0, promptTokens: 1, completionTokens: 3000 })).toHaveProperty('overrun', true)
    expect(settle({ costNano: 70_000_000 })).toHaveProperty('overrun', true)
    expect(ledger.meters.map(freeOf)).toEqual([-10_000_000])
    expect(ledger.reserve(order({ estimate: { costNano: 0, tokens: 0, requests: 1 } })).ok).toBe(false)
  })

  it('adds spend up by backend, model and task type', async () => {
    const ledger = await opened()
    for (const over of [{}, { taskType: null }, { backend: 'kimi', model: 'k2' }, {}]) ledger.settle(held(ledger.reserve(order(over))).id, settlement())
    const row = { costNano: 16_500_000, tokens: 2300, requests: 1 }
    expect(ledger.spend(START_MS, START_MS + HOUR_MS)).toEqual([
      { backend: 'claude', model: 'claude-sonnet-4-20250514', taskType: '', ...row },
      { backend: 'claude', model: 'claude-sonnet-4-20250514', taskType: 'reasoning', costNano: 33_000_000, tokens: 4600, requests: 2 },
      { backend: 'kimi', model: 'k2', taskType: 'reasoning', ...row },
    ])
  })
}

function correctionLaws(opened: Opened): void {
  it('counts a correction at once, in every window of its time and in no other', async () => {
    const ledger = await opened(policy([...everyWindow(), limit({ name: 'opus', scope: { model: 'opus' } })]))
    ledger.settle(held(ledger.reserve(order())).id, settlement())
    const { entry, durable } = ledger.adjust(adjustment({ atMs: START_MS + DAY_MS, spentMs: START_MS + HOUR_MS }))
    await durable
    expect(entry).toMatchObject({ status: 'adjusted', cost_usd: 0.01, prompt_tokens: 100, requests: 0, timestamp: '2026-11-20T16:00:00.000Z' })
    const counted = windowCases.map(({ endMs }) => (endMs > START_MS + DAY_MS ? 26_500_000 : 0))
    expect(numbersOf(ledger).map(({ settled }) => settled)).toEqual([...counted, 0])
    expect(ledger.spend(START_MS, START_MS + DAY_MS)).toEqual([expect.objectContaining({ costNano: 26_500_000, tokens: 2400, requests: 1 })])
    expect(ledger.audit()).toEqual([])
  })

  it('takes back what was billed, but never more than was spent in a window, and changes nothing when it refuses', async () => {
    const ledger = await opened(policy(everyWindow()))
    ledger.settle(held(ledger.reserve(order())).id, settlement())
    const before = standingOf(ledger)
    const names = windowCases.map(({ window }) => window.kind)
    expect(() => ledger.adjust(adjustment({ costNano: -16_500_001 }))).toThrow(expect.objectContaining({ code: 'ADJUST_INVALID', details: { limits: names } }))
    // A rolling window would fall below zero as soon as the call itself has left it.
    const later = { atMs: START_MS + HOUR_MS, spentMs: START_MS + HOUR_MS, costNano: -1 }
    expect(() => ledger.adjust(adjustment(later))).toThrow(expect.objectContaining({ details: { limits: ['first-use', 'rolling'] } }))
    for (const wrong of [{ costNano: 0.5 }, { requests: Number.NaN }, { reason: '' }, { backend: '' }, { spentMs: START_MS + DAY_MS }, { spentMs: -1 }]) {
      expect(() => ledger.adjust(adjustment(wrong))).toThrow(expect.objectContaining({ code: 'ADJUST_INVALID' }))
    }
    ledger.advance(START_MS)
    expect(standingOf(ledger)).toEqual(before)
    ledger.adjust(adjustment({ costNano: -16_500_000, promptTokens: -1500, completionTokens: -800, requests: -1 }))
    expect(numbersOf(ledger).map(({ settled }) => settled)).toEqual(windowCases.map(() => 0))
    expect(ledger.spend(0, START_MS + DAY_MS)).toEqual([])
  })

  it('ends only holds that are presumed spent', async () => {
    const ledger = await opened()
    const { id } = held(ledger.reserve(order()))
    await expect(ledger.dropPresumed(id, 'it never went out', START_MS)).rejects.toMatchObject({ code: 'HOLD_ENDED' })
    expect(numbersOf(ledger)).toEqual([{ settled: 0, held: 50_000_000, presumed: 0 }])
  })
}

function importLaws(opened: Opened): void {
  it('counts a call of its own time once', async () => {
    const ledger = await opened(policy(everyWindow()))
    const first = ledger.import(importOrder())
    await first?.durable
    expect(first?.entry).toMatchObject({ id: 'import-1', status: 'imported', cost_usd: 0.0165, timestamp: '2026-11-20T14:00:00.000Z' })
    expect(ledger.has('import-1')).toBe(true)
    const before = standingOf(ledger)
    expect(numbersOf(ledger).map(({ settled }) => settled)).toEqual(windowCases.map(() => 16_500_000))
    expect(ledger.import(importOrder())).toBeUndefined()
    expect(standingOf(ledger)).toEqual(before)
    ledger.import(importOrder({ id: 'import-2', spentMs: START_MS - DAY_MS }))
    // Yesterday is over, as are its five hours; the week, month, quarter and year are not.
    expect(numbersOf(ledger).map(({ settled }) => settled)).toEqual([1, 2, 2, 2, 2, 1, 1].map((calls) => calls * 16_500_000))
    expect(ledger.audit()).toEqual([])
  })

  it('knows the calls that it ruled itself', async () => {
    const ledger = await opened()
    const { id } = held(ledger.reserve(order()))
    expect(ledger.has(id)).toBe(true)
    expect(ledger.has(`${id}0`)).toBe(false)
    expect(ledger.import(importOrder({ id }))).toBeUndefined()
  })

  it('refuses figures that are not whole and times ahead', async () => {
    const ledger = await opened()
    for (const wrong of [{ costNano: -1 }, { promptTokens: 0.5 }, { spentMs: START_MS + 1 }, { spentMs: Number.NaN }, { id: '' }]) {
      expect(() => ledger.import(importOrder(wrong))).toThrow(expect.objectContaining({ code: 'IMPORT_INVALID' }))
    }
    expect(ledger.spend(0, START_MS * 2)).toEqual([])
  })

  it('keeps the latest observation of each backend', async () => {
    const ledger = await opened()
    for (const used of [0.1, 0.4]) await ledger.observe({ backend: 'claude', used, at: '2026-11-20T15:00:00.000Z', source: 'header' })
    expect([...ledger.observations.values()].map(({ used }) => used)).toEqual([0.4])
  })
}

function noticeLaws(opened: Opened): void {
  it('numbers notices from 1 without a gap and raises each kind and episode once', async () => {
    const ledger = await opened()
    const bodies = [notice(), notice({ kind: 'limit-reached' }), notice(), notice({ episode: 'all.day@2026-11-21' })]
    const raised = await Promise.all(bodies.map((body) => ledger.notice(body, START_MS)))
    expect(raised.map((one) => one?.number)).toEqual([1, 2, undefined, 3])
    expect(ledger.notices.map((one) => [one.number, one.time, one.kind])).toEqual([
      [1, '2026-11-20T15:00:00.000Z', 'limit-near'],
      [2, '2026-11-20T15:00:00.000Z', 'limit-reached'],
      [3, '2026-11-20T15:00:00.000Z', 'limit-near'],
    ])
    expect(ledger.raised('limit-near', 'all.day@2026-11-21')).toBe(true)
    expect(ledger.raised('limit-reached', 'all.day@2026-11-21')).toBe(false)
  })
}

function policyLaws(opened: Opened): void {
  it('folds what was used into the limits of a new policy', async () => {
    const ledger = await opened()
    ledger.settle(held(ledger.reserve(order())).id, settlement())
    ledger.settle(held(ledger.reserve(order({ taskType: 'bulk' }))).id, settlement())
    held(ledger.reserve(order({ taskType: 'bulk' })))
    const limits = [
      limit({ name: 'bulk', scope: { taskType: 'bulk' }, window: { kind: 'rolling', spanMs: HOUR_MS } }),
      limit({ name: 'calls', unit: 'requests', quantity: 10, window: { kind: 'month', day: 20 } }),
      limit({ name: 'kimi', scope: { backend: 'kimi' } }),
    ]
    await ledger.usePolicy(policy(limits, { version: 'v2', text: 'v2' }), START_MS)
    expect(ledger.meters.map((meter) => meter.limit.name)).toEqual(['bulk', 'calls', 'kimi'])
    expect(numbersOf(ledger)).toEqual([
      { settled: 16_500_000, held: 50_000_000, presumed: 0 },
      { settled: 2, held: 1, presumed: 0 },
      { settled: 0, held: 0, presumed: 0 },
    ])
  })

  it('moves the day with the zone', async () => {
    const ledger = await opened()
    ledger.settle(held(ledger.reserve(order())).id, settlement())
    // The call was at midnight in Tokyo, the first instant of the day under way there, and in Kathmandu on the evening before.
    await ledger.usePolicy(policy([limit()], { version: 'v2', timezone: 'Asia/Tokyo' }), START_MS + HOUR_MS)
    expect(numbersOf(ledger)).toEqual([{ settled: 16_500_000, held: 0, presumed: 0 }])
    await ledger.usePolicy(policy([limit()], { version: 'v3', timezone: 'Asia/Kathmandu' }), START_MS + 4 * HOUR_MS)
    expect(numbersOf(ledger)).toEqual([{ settled: 0, held: 0, presumed: 0 }])
  })
}

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  adjustment,
  DAY_MS,
  held,
  HOUR_MS,
  importOrder,
  limit,
  MINUTE_MS,
  notice,
  order,
  policy,
  settlement,
  START_MS,
} from '../../../../test/contract/ledger-samples.ts'
import { RecordedLedger } from '../../../../test/contract/recorded-ledger.ts'
import type { Limit } from '../limit.ts'
import { Books } from './books.ts'
import { createLedger } from './create-ledger.ts'
import type { Log } from './log.ts'

const LIMITS: readonly Limit[] = [
  limit(),
  limit({ name: 'tokens', unit: 'tokens', quantity: 1_000_000, window: { kind: 'rolling', spanMs: 5 * HOUR_MS } }),
  limit({ name: 'session', unit: 'requests', quantity: 1000, window: { kind: 'first-use', spanMs: 5 * HOUR_MS } }),
]

/** A ledger in which each of these calls was reserved at its time and then settled, released or left open. */
async function used(
  calls: readonly { readonly stepMs: number; readonly end: 'settle' | 'release' | 'leave' | 'import' | 'adjust' | 'repair' }[],
  restart: (recorded: RecordedLedger) => void,
) {
  const recorded = new RecordedLedger()
  await recorded.ledger.usePolicy(policy(LIMITS), START_MS)
  let atMs = START_MS
  for (const [index, { stepMs, end }] of calls.entries()) {
    if (index === Math.floor(calls.length / 2)) {
      restart(recorded)
      await recorded.ledger.usePolicy(policy(LIMITS), atMs)
    }
    atMs += stepMs
    const reserved = recorded.ledger.reserve(order({ atMs }))
    if (!reserved.ok) continue
    if (end === 'settle') recorded.ledger.settle(reserved.hold.id, settlement())
    if (end === 'release') await recorded.ledger.release(reserved.hold.id, 'refused', atMs)
    await recorded.ledger.notice(notice({ episode: String(index % 3) }), atMs)
    if (end === 'import') recorded.ledger.import(importOrder({ id: `import-${index % 3}`, atMs, spentMs: atMs - HOUR_MS }))
    if (end === 'adjust') recorded.ledger.adjust(adjustment({ atMs, spentMs: atMs - HOUR_MS }))
    if (end === 'repair') {
      const repair = {
        type: 'repair',
        number: recorded.books.repairs + 1,
        time: new Date(atMs).toISOString(),
        lost: [],
        bytes: 0,
        salvaged: 0,
        files: [],
      } as const
      recorded.books.apply(repair)
      recorded.records.push(repair)
    }
  }
  return { recorded, atMs }
}

const calls = fc.array(
  fc.record({
    stepMs: fc.constantFrom(0, 60_000, HOUR_MS, 26 * HOUR_MS),
    end: fc.constantFrom('settle' as const, 'release' as const, 'leave' as const, 'import' as const, 'adjust' as const, 'repair' as const),
  }),
  { maxLength: 30 },
)

describe('books', () => {
  it('are the same when their records are applied again, once or one by one', async () => {
    await fc.assert(
      fc.asyncProperty(calls, async (made) => {
        const { recorded, atMs } = await used(made, (each) => each.replay())
        const twice = new Books()
        for (const record of [...recorded.records, ...recorded.records]) twice.apply(record)
        const stuttered = new Books()
        for (const record of recorded.records) for (const again of [record, record]) stuttered.apply(again)
        const live = JSON.stringify(recorded.books.snapshot())
        for (const books of [twice, stuttered]) {
          // Only a ledger in use sweeps, so its anchors may be later than those of a replay.
          expect({ ...books.snapshot(), anchors: [] }).toEqual({ ...JSON.parse(live), anchors: [] })
          books.usePolicy(policy(LIMITS), atMs)
          expect(books.meters.map(({ settled, held: h, presumed }) => [settled, h, presumed])).toEqual(
            recorded.books.meters.map(({ settled, held: h, presumed }) => [settled, h, presumed]),
          )
        }
      }),
      { numRuns: 100 },
    )
  })

  it('come back whole from their snapshot', async () => {
    await fc.assert(
      fc.asyncProperty(calls, async (made) => {
        const { recorded } = await used(made, (each) => each.restore())
        const json = JSON.stringify(recorded.books.snapshot())
        expect(JSON.stringify(Books.restore(JSON.parse(json)).snapshot())).toBe(json)
      }),
      { numRuns: 100 },
    )
  })

  it('balance at all times', async () => {
    await fc.assert(
      fc.asyncProperty(calls, async (made) => {
        const { recorded } = await used(made, (each) => each.replay())
        expect(recorded.books.audit()).toEqual([])
      }),
      { numRuns: 100 },
    )
  })

  it('name every number that does not balance', async () => {
    const { recorded } = await used([{ stepMs: 0, end: 'settle' }], () => {})
    recorded.books.meters[0]?.add(START_MS, 'settled', 1)
    expect(recorded.books.audit()).toEqual([
      'all.day settled: 16500001 in the running numbers, 16500000 in the fold',
      'all.day cells: 16500001 in the running numbers, 16500000 in the fold',
    ])
  })

  it('forget cells 35 days after the longest window has left them, a day of them at a time', async () => {
    const { recorded } = await used([{ stepMs: 0, end: 'settle' }], () => {})
    const { ledger, books } = recorded
    const nextDayMs = Math.floor(START_MS / DAY_MS) * DAY_MS + DAY_MS
    ledger.advance(nextDayMs + 36 * DAY_MS - 15 * 60_000)
    expect(ledger.spend(0, Number.POSITIVE_INFINITY)).toHaveLength(1)
    expect(books.sinceMs).toBe(0)
    ledger.advance(nextDayMs + 36 * DAY_MS)
    expect(ledger.spend(0, Number.POSITIVE_INFINITY)).toEqual([])
    expect(books.snapshot().cells).toEqual([])
    expect(books.sinceMs).toBe(nextDayMs)
  })

  it('journal the end of a presumed hold', async () => {
    const { recorded } = await used([{ stepMs: 0, end: 'leave' }], () => {})
    await recorded.replay().usePolicy(policy([limit()]), START_MS)
    const [id] = recorded.books.presumedHolds.keys()
    recorded.ledger.advance(START_MS + DAY_MS)
    expect(recorded.records.at(-1)).toEqual({ type: 'expire', id, time: new Date(START_MS + DAY_MS).toISOString() })
    expect(recorded.books.presumedHolds.size).toBe(0)
  })

  it('go on folding a first-use window as if a hold that expired were still there', async () => {
    const session = policy([limit({ name: 'session', window: { kind: 'first-use', spanMs: HOUR_MS } })])
    const recorded = new RecordedLedger()
    await recorded.ledger.usePolicy(session, START_MS)
    held(recorded.ledger.reserve(order()))
    await recorded.replay().usePolicy(session, START_MS)
    const minutes = [50, 70, 80]
    for (const minute of minutes) recorded.ledger.settle(held(recorded.ledger.reserve(order({ atMs: START_MS + minute * MINUTE_MS }))).id, settlement())
    expect(recorded.books.presumedHolds.size).toBe(0)
    const look = () => recorded.books.meters.map(({ settled, bounds }) => ({ settled, bounds }))
    const live = look()
    expect(live).toEqual([{ settled: 16_500_000, bounds: { startMs: START_MS + 75 * MINUTE_MS, endMs: START_MS + 150 * MINUTE_MS } }])
    await recorded.replay().usePolicy(session, START_MS + 80 * MINUTE_MS)
    expect(look()).toEqual(live)
  })

  it('take no earlier time for now than their last record', async () => {
    const { recorded } = await used([{ stepMs: HOUR_MS, end: 'settle' }], () => {})
    const restored = Books.restore(recorded.books.snapshot())
    restored.usePolicy(policy(), START_MS)
    expect(restored.nowMs).toBe(START_MS + HOUR_MS)
  })

  it('keep the latest 500 notices and 2,000 episodes', async () => {
    const { ledger, books } = new RecordedLedger()
    for (let episode = 1; episode <= 2001; episode += 1) await ledger.notice(notice({ episode: String(episode) }), START_MS)
    expect(ledger.notices).toHaveLength(500)
    expect(ledger.notices.at(-1)?.number).toBe(2001)
    expect([1, 2, 2001].map((episode) => ledger.raised('limit-near', String(episode)))).toEqual([false, true, true])
    expect(books.snapshot().notices.raised).toHaveLength(2000)
  })

  it('keep the latest observation of each backend, and take no time from it', async () => {
    const { ledger, books } = new RecordedLedger()
    const observed = (used_: number) => ({ backend: 'claude', used: used_, at: '2999-01-01T00:00:00.000Z', source: 'header' })
    await ledger.observe(observed(0.1))
    await ledger.observe(observed(0.2))
    expect([...books.observations.values()]).toEqual([observed(0.2)])
    expect(ledger.lastMs).toBe(START_MS)
  })

  it('journal a policy only when it is new', async () => {
    const recorded = new RecordedLedger()
    await recorded.ledger.usePolicy(policy(), START_MS)
    await recorded.ledger.usePolicy(policy(), START_MS)
    await recorded.replay().usePolicy(policy(), START_MS)
    await recorded.ledger.usePolicy(policy([], { version: 'v2' }), START_MS)
    expect(recorded.records.filter((record) => record.type === 'policy').map((record) => record.version)).toEqual(['v1', 'v2'])
  })

  it('name the task type of a call without one as the empty string, for limits too', async () => {
    const { ledger } = new RecordedLedger()
    await ledger.usePolicy(policy([limit({ quantity: 0, scope: { taskType: '' } })]), START_MS)
    expect(ledger.reserve(order({ taskType: null })).ok).toBe(false)
    expect(ledger.reserve(order()).ok).toBe(true)
  })
})

describe('a ledger whose log has a fault', () => {
  it('takes no cloud call, still takes local ones, and still bills', async () => {
    const recorded = new RecordedLedger()
    await recorded.ledger.usePolicy(policy(), START_MS)
    const { id } = held(recorded.ledger.reserve(order()))
    const fault = { code: 'LEDGER_FAULT', reason: 'EIO', since: new Date(START_MS).toISOString() } as const
    const log: Log = { ...recorded.log, fault }
    const ledger = createLedger({ books: recorded.books, log, session: 'session1', opened: { cutBytes: 0, presumed: [] } })
    expect(ledger.fault).toBe(fault)
    expect(ledger.reserve(order())).toEqual({ ok: false, limits: [] })
    expect(held(ledger.reserve(order({ kind: 'local', backend: 'local' }))).id).not.toBe(id)
    ledger.settle(id, settlement())
    expect(ledger.meters[0]).toMatchObject({ settled: 16_500_000, held: 0 })
  })
})

import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { manualClock, type ManualClock } from '../../packages/core/src/clock.ts'
import { scanJournal, START } from '../../packages/core/src/ledger/journal-scan.ts'
import type { LedgerEntry } from '../../packages/core/src/ledger/record.ts'
import { openManciple, type Manciple } from '../../packages/core/src/manciple.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../contract/ledger-samples.ts'
import { copyFolder, newFolder } from './support.ts'

/** A call holds $0.356 and costs $0.256: three fit a day. */
const REQUEST = { backend: 'claude', inputTokens: 100, maxOutputTokens: 256 }
const USAGE = { inputTokens: 100, outputTokens: 156 }
const DAY_NANO = 1_000_000_000
const MONTH_NANO = 20_000_000_000
const CALL_NANO = 256_000_000

function policyIn(zone: string, monthUsd = MONTH_NANO / 1e9): string {
  return `timezone: ${zone}
budgets: { daily_limit_usd: 1.00, monthly_limit_usd: ${monthUsd} }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  local: { kind: local, models: ["llama3.1:8b"] }
prices: { claude-sonnet-4-20250514: { input_mtok: 1000, output_mtok: 1000 } }
`
}

/** A router that spends whatever it may, its clock, and its ledger on disk. */
class Spender {
  readonly clock: ManualClock
  readonly kinds: string[] = []
  readonly #zone: string
  readonly #text: string
  #folder = newFolder()
  #manciple: Manciple | undefined

  constructor(zone: string, start: string, monthUsd?: number) {
    this.#zone = zone
    this.#text = policyIn(zone, monthUsd)
    this.clock = manualClock(Date.parse(start))
    onTestFinished(() => this.close())
  }

  get manciple(): Manciple {
    if (this.#manciple === undefined) throw new Error('it is closed')
    return this.#manciple
  }

  async open(): Promise<this> {
    this.#manciple = await openManciple({ config: { text: this.#text }, ledger: this.#folder, clock: this.clock })
    this.#manciple.on('notice', ({ kind }) => this.kinds.push(kind))
    return this
  }

  async close(): Promise<void> {
    await this.#manciple?.close()
    this.#manciple = undefined
  }

  /** Goes on with what a process leaves that dies now. */
  async crash(): Promise<void> {
    const left = copyFolder(this.#folder)
    onTestFinished(() => this.close())
    await this.close()
    this.#folder = left
    await this.open()
  }

  /** @returns how many calls found room. */
  async spendAll(): Promise<number> {
    for (let calls = 0; ; calls++) {
      await using dispatch = await this.manciple.decide(REQUEST)
      await dispatch.settle(USAGE)
      if (dispatch.decision.backend === 'local') return calls
    }
  }

  /** Spends all there is every half an hour. @returns how many calls found room. */
  async live(ms: number): Promise<number> {
    let calls = await this.spendAll()
    for (let passed = 0; passed < ms; passed += HOUR_MS / 2) {
      this.clock.advance(HOUR_MS / 2)
      calls += await this.spendAll()
    }
    return calls
  }

  async entries(): Promise<readonly LedgerEntry[]> {
    const entries: LedgerEntry[] = []
    const { ending } = await scanJournal(this.#folder, START, undefined, (record) => {
      if (record.type === 'settle' && record.entry.backend === 'claude') entries.push(record.entry)
    })
    expect(ending.kind).not.toBe('damaged')
    return entries
  }

  /** What was spent by local day, or by the first characters of its date; by another calendar than the ledger's own. */
  async spentBy(characters = 10): Promise<ReadonlyMap<string, number>> {
    const format = new Intl.DateTimeFormat('en-CA', { timeZone: this.#zone, year: 'numeric', month: '2-digit', day: '2-digit' })
    const spent = new Map<string, number>()
    for (const { timestamp, cost_usd: usd } of await this.entries()) {
      const key = format.format(new Date(timestamp)).slice(0, characters)
      spent.set(key, (spent.get(key) ?? 0) + Math.round(usd * 1e9))
    }
    return spent
  }

  /** No day and no month of the calendar has more than its limit. */
  async expectWithinLimits(): Promise<void> {
    for (const [day, nano] of await this.spentBy()) expect(nano, day).toBeLessThanOrEqual(DAY_NANO)
    for (const [month, nano] of await this.spentBy(7)) expect(nano, month).toBeLessThanOrEqual(MONTH_NANO)
  }
}

/** When the first call of each day was made. */
async function firstOfDays(spender: Spender, zone: string): Promise<readonly string[]> {
  const days = new Map<string, string>()
  const format = new Intl.DateTimeFormat('en-CA', { timeZone: zone, dateStyle: 'short' })
  for (const { timestamp } of await spender.entries()) {
    const day = format.format(new Date(timestamp))
    if (!days.has(day)) days.set(day, timestamp)
  }
  return [...days.values()]
}

describe('a clock that', () => {
  it('is set back an hour makes time stand still, and reopens nothing', async () => {
    const spender = await new Spender('UTC', '2026-11-20T00:30:00Z').open()
    expect(await spender.spendAll()).toBe(3)
    // Back over midnight: yesterday had room.
    spender.clock.stepWall(-HOUR_MS)
    expect(await spender.live(HOUR_MS)).toBe(0)
    expect(spender.kinds.filter((kind) => kind === 'clock-jump')).toEqual(['clock-jump'])
    expect(await spender.live(3 * DAY_MS)).toBe(9)
    expect([...(await spender.spentBy()).keys()]).toEqual(['2026-11-20', '2026-11-21', '2026-11-22', '2026-11-23'])
    await spender.expectWithinLimits()
  })

  it('is set back by more goes unheard, and reopens nothing', async () => {
    const spender = await new Spender('UTC', '2026-11-20T12:00:00Z').open()
    expect(await spender.spendAll()).toBe(3)
    spender.clock.stepWall(-3 * DAY_MS)
    expect(await spender.live(11 * HOUR_MS)).toBe(0)
    expect(await spender.live(2 * HOUR_MS)).toBe(3)
    expect(spender.kinds.filter((kind) => kind === 'clock-jump')).toEqual(['clock-jump'])
    await spender.expectWithinLimits()
  })

  it('leaps a day ahead opens no other day, however often', async () => {
    const spender = await new Spender('UTC', '2026-11-20T12:00:00Z').open()
    expect(await spender.spendAll()).toBe(3)
    for (let leap = 0; leap < 5; leap++) {
      spender.clock.stepWall(DAY_MS)
      expect(await spender.spendAll()).toBe(0)
    }
    spender.clock.stepWall(-5 * DAY_MS)
    expect(await spender.live(12 * HOUR_MS)).toBe(3)
    expect(spender.kinds.filter((kind) => kind === 'clock-jump')).toEqual(['clock-jump'])
    await spender.expectWithinLimits()
  })

  it('was a day ahead when the router started has spent that day: set right again, it gets no second one', async () => {
    const spender = await new Spender('UTC', '2026-11-20T12:00:00Z').open()
    expect(await spender.spendAll()).toBe(3)
    await spender.close()
    spender.clock.stepWall(DAY_MS)
    await spender.open()
    expect(await spender.spendAll()).toBe(3)
    await spender.close()
    spender.clock.stepWall(-DAY_MS)
    await spender.open()
    // Stands still until the twenty-first has come, and that day is spent.
    expect(await spender.live(35 * HOUR_MS)).toBe(0)
    expect(await spender.live(HOUR_MS)).toBe(3)
    await spender.expectWithinLimits()
  })

  it.each([2_000, 30_000, -2_000, -30_000])('is set right by %i ms around midnight gives each day once', async (stepMs) => {
    const spender = await new Spender('UTC', '2026-11-20T23:59:45Z').open()
    expect(await spender.spendAll()).toBe(3)
    spender.clock.stepWall(stepMs)
    let calls = await spender.spendAll()
    for (let second = 0; second < 60; second++) {
      spender.clock.advance(1_000)
      calls += await spender.spendAll()
    }
    expect(calls).toBe(3)
    await spender.expectWithinLimits()
  })
})

describe('the calendar', () => {
  it('bills a hold that spans midnight to the day that it was made on', async () => {
    const spender = await new Spender('UTC', '2026-11-20T23:50:00Z').open()
    const late = await spender.manciple.decide(REQUEST)
    spender.clock.advance(20 * MINUTE_MS)
    expect(await spender.spendAll()).toBe(3)
    expect((await late.settle(USAGE)).timestamp).toBe('2026-11-20T23:50:00.000Z')
    expect(await spender.spendAll()).toBe(0)
    expect([...(await spender.spentBy())]).toEqual([
      ['2026-11-21', 3 * CALL_NANO],
      ['2026-11-20', CALL_NANO],
    ])
  })

  it('keeps a hold that a crash left before midnight in the day that it was made on', async () => {
    const spender = await new Spender('UTC', '2026-11-20T23:50:00Z').open()
    await spender.manciple.decide(REQUEST)
    await spender.manciple.decide(REQUEST)
    await spender.crash()
    expect(await spender.spendAll()).toBe(0)
    spender.clock.advance(20 * MINUTE_MS)
    expect(await spender.spendAll()).toBe(3)
    expect([...(await spender.spentBy())]).toEqual([['2026-11-21', 3 * CALL_NANO]])
  })

  it.each([
    ['spring, when a day has 23 hours', '2026-03-06T05:00:00Z', ['2026-03-07T05', '2026-03-08T05', '2026-03-09T04', '2026-03-10T04']],
    ['autumn, when a day has 25', '2026-10-30T04:00:00Z', ['2026-10-31T04', '2026-11-01T04', '2026-11-02T05', '2026-11-03T05']],
  ])('gives each local day once in %s', async (_, start, midnights) => {
    const zone = 'America/New_York'
    const spender = await new Spender(zone, start).open()
    expect(await spender.live(4 * DAY_MS + HOUR_MS)).toBe(5 * 3)
    expect((await firstOfDays(spender, zone)).slice(1).map((timestamp) => timestamp.slice(0, 13))).toEqual(midnights)
    await spender.expectWithinLimits()
  })

  it('ends a month at UTC+14 where that month ends, ten hours after noon before', async () => {
    const zone = 'Pacific/Kiritimati'
    const spender = await new Spender(zone, '2026-01-29T10:00:00Z', 1.5).open()
    expect(await spender.live(3 * DAY_MS)).toBe(5 + 5)
    // The thirtieth, the thirty-first, and the first and second of February.
    expect(await firstOfDays(spender, zone)).toEqual([
      '2026-01-29T10:00:00.000Z',
      '2026-01-30T10:00:00.000Z',
      '2026-01-31T10:00:00.000Z',
      '2026-02-01T10:00:00.000Z',
    ])
    const months = await spender.spentBy(7)
    for (const nano of months.values()) expect(nano).toBeLessThanOrEqual(1_500_000_000)
    expect([...months.keys()]).toEqual(['2026-01', '2026-02'])
  })
})

const move = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 2 * DAY_MS }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('step' as const),
      ms: fc.oneof(fc.integer({ min: -3 * DAY_MS, max: 3 * DAY_MS }), fc.integer({ min: -HOUR_MS, max: HOUR_MS }), fc.integer({ min: -5_000, max: 5_000 })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), ms: fc.constant(0) }) },
)
const zones = fc.constantFrom('UTC', 'America/New_York', 'Pacific/Kiritimati', 'Asia/Kathmandu', 'Australia/Lord_Howe')
const starts = fc.constantFrom('2026-11-01T03:30:00Z', '2026-03-08T05:30:00Z', '2026-01-31T09:30:00Z', '2026-12-31T20:00:00Z')

it('never gives a day or a month more than its limit, whatever the clock does, and never goes back', async () => {
  await fc.assert(
    fc.asyncProperty(zones, starts, fc.array(move, { maxLength: 20 }), async (zone, start, moves) => {
      const spender = await new Spender(zone, start).open()
      await spender.spendAll()
      for (const { kind, ms } of moves) {
        if (kind === 'advance') spender.clock.advance(ms)
        else if (kind === 'step') spender.clock.stepWall(ms)
        else {
          await spender.close()
          await spender.open()
        }
        await spender.spendAll()
      }
      await spender.close()
      await spender.expectWithinLimits()
      const times = (await spender.entries()).map(({ timestamp }) => timestamp)
      expect(times).toEqual(times.toSorted())
    }),
    { numRuns: 40 },
  )
})

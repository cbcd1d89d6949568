import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { manualClock } from './clock.ts'
import { type ClockJump, LedgerTime } from './ledger-time.ts'

const START = Date.UTC(2026, 10, 1)
const HOUR = 3_600_000
const DAY = 24 * HOUR

function setUp(lastRecordMs = 0) {
  const clock = manualClock(START)
  const jumps: ClockJump[] = []
  const time = new LedgerTime(clock, lastRecordMs, (jump) => jumps.push(jump))
  return { clock, jumps, time, kinds: () => jumps.map((jump) => jump.kind) }
}

describe('ledger time', () => {
  test('is the wall clock while nothing is amiss, also over a year', () => {
    const { clock, jumps, time } = setUp(START - DAY)
    for (let day = 0; day < 365; day++) {
      clock.advance(DAY)
      expect(time.now()).toBe(clock.wallMs())
    }
    expect(jumps).toEqual([])
  })

  test('stands still at the last record until the wall has passed it, and says so once', () => {
    const { clock, jumps, time } = setUp(START + 10_000)
    expect(time.now()).toBe(START + 10_000)
    clock.advance(4_000)
    expect(time.now()).toBe(START + 10_000)
    expect(jumps).toEqual([{ kind: 'behind', byMs: 10_000, wallMs: START, nowMs: START + 10_000 }])
    clock.advance(7_000)
    expect(time.now()).toBe(START + 11_000)
    clock.stepWall(-5_000)
    time.now()
    expect(jumps.length).toBe(2)
  })

  test('takes no pause between the readings of the two clocks for a jump', () => {
    const clock = manualClock(START)
    const jumps: ClockJump[] = []
    let pauses = 0
    const monotonicMs = () => {
      if (pauses++ === 3) clock.advance(2 * HOUR)
      return clock.monotonicMs()
    }
    const time = new LedgerTime({ ...clock, monotonicMs }, 0, (jump) => jumps.push(jump))
    for (let reading = 0; reading < 10; reading++) expect(time.now()).toBe(clock.wallMs())
    expect(pauses).toBeGreaterThan(4)
    expect(jumps).toEqual([])
  })

  test('stands still for an hour when the wall is set back an hour', () => {
    const { clock, kinds, time } = setUp()
    time.now()
    clock.stepWall(-HOUR)
    expect(time.now()).toBe(START)
    clock.advance(HOUR - 1)
    expect(time.now()).toBe(START)
    clock.advance(2)
    expect(time.now()).toBe(START + 1)
    expect(kinds()).toEqual(['behind'])
  })

  test('goes on by the monotonic clock when the wall is set back by more', () => {
    const { clock, jumps, time } = setUp()
    clock.advance(1000)
    clock.stepWall(-DAY)
    expect(time.now()).toBe(START + 1000)
    clock.advance(DAY)
    expect(time.now()).toBe(START + 1000 + DAY)
    expect(jumps).toEqual([{ kind: 'back', byMs: DAY, wallMs: START + 1000 - DAY, nowMs: START + 1000 }])
  })

  test('does not believe a wall that leaps a day ahead, until it comes back', () => {
    const { clock, jumps, time } = setUp()
    clock.stepWall(DAY)
    expect(time.now()).toBe(START)
    clock.advance(2 * DAY)
    expect(time.now()).toBe(START + 2 * DAY)
    expect(jumps).toEqual([{ kind: 'ahead', byMs: DAY, wallMs: START + DAY, nowMs: START }])
    clock.stepWall(-DAY + 60_000)
    expect(time.now()).toBe(START + 2 * DAY + 60_000)
    clock.stepWall(DAY)
    expect(time.now()).toBe(START + 2 * DAY + 60_000)
    expect(jumps.length).toBe(2)
  })

  test('takes an NTP step of two seconds ahead as it comes', () => {
    const { clock, jumps, time } = setUp()
    clock.stepWall(2_000)
    expect(time.now()).toBe(START + 2_000)
    expect(jumps).toEqual([])
  })

  test('waits out an NTP step of two seconds back, with a notice, and one of a second without', () => {
    const { clock, jumps, time } = setUp(START)
    clock.stepWall(-1_000)
    expect(time.now()).toBe(START)
    expect(jumps).toEqual([])
    clock.stepWall(-1_000)
    expect(time.now()).toBe(START)
    clock.advance(2_000)
    expect(time.now()).toBe(START)
    clock.advance(1)
    expect(time.now()).toBe(START + 1)
    expect(jumps).toEqual([{ kind: 'behind', byMs: 2_000, wallMs: START - 2_000, nowMs: START }])
  })

  test('follows a machine that slept for a week', () => {
    const { clock, jumps, time } = setUp()
    clock.advance(7 * DAY)
    expect(time.now()).toBe(START + 7 * DAY)
    expect(jumps).toEqual([])
  })

  test('does not add up the small corrections of a slow clock', () => {
    const { clock, jumps, time } = setUp()
    for (let hour = 0; hour < 10_000; hour++) {
      clock.advance(HOUR)
      clock.stepWall(900)
      expect(time.now()).toBe(clock.wallMs())
    }
    expect(jumps).toEqual([])
  })

  test('has settled its state before it tells, so that the listener may ask for the time', () => {
    const clock = manualClock(START)
    const seen: number[] = []
    const time = new LedgerTime(clock, 0, () => seen.push(time.now()))
    clock.stepWall(DAY)
    time.now()
    expect(seen).toEqual([START])
  })

  const move = fc.oneof(
    fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 2 * DAY }) }),
    fc.record({ kind: fc.constant('stepWall' as const), ms: fc.oneof(fc.integer({ min: -3 * DAY, max: 3 * DAY }), fc.integer({ min: -5_000, max: 5_000 })) }),
  )

  test('never goes back, whatever the clocks do', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), fc.integer({ min: -3 * DAY, max: 3 * DAY }), (moves, offset) => {
        const { clock, time } = setUp(START + offset)
        let last = START + offset
        for (const { kind, ms } of moves) {
          clock[kind](ms)
          const now = time.now()
          expect(now).toBeGreaterThanOrEqual(last)
          last = now
        }
      }),
    )
  })

  test('is never carried ahead by more than an hour in one step, however large', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const { clock, time } = setUp()
        let last = time.now()
        for (const { kind, ms } of moves) {
          clock[kind](ms)
          const now = time.now()
          expect(now - last).toBeLessThanOrEqual((kind === 'advance' ? ms : 0) + HOUR)
          last = now
        }
      }),
    )
  })
})

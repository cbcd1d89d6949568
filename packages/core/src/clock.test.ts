import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { acceleratedClock, manualClock, systemClock } from './clock.ts'

const machine = vi.hoisted(() => ({ uptimeS: 0 }))
vi.mock('node:os', () => ({ uptime: () => machine.uptimeS }))

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 })
  machine.uptimeS = 5_000
})
afterEach(() => vi.useRealTimers())

/** Time that passes for all of the machine's clocks. */
function pass(ms: number): void {
  vi.advanceTimersByTime(ms)
  machine.uptimeS += ms / 1000
}

/** The machine sleeps: wall clock and uptime go on, performance.now() does not. */
function sleep(ms: number): void {
  vi.setSystemTime(Date.now() + ms)
  machine.uptimeS += ms / 1000
}

describe('systemClock', () => {
  test('shows the wall clock and lets the monotonic one run with it', () => {
    const clock = systemClock()
    const startMs = clock.monotonicMs()
    pass(4321)
    expect(clock.wallMs()).toBe(1_800_000_004_321)
    expect(clock.monotonicMs() - startMs).toBe(4321)
  })
  test('counts a sleep of the machine at the first reading after it', () => {
    const clock = systemClock()
    const startMs = clock.monotonicMs()
    pass(10)
    sleep(8 * 3_600_000)
    pass(10)
    expect(clock.monotonicMs() - startMs).toBeCloseTo(8 * 3_600_000 + 20, 3)
    sleep(60_000)
    expect(clock.monotonicMs() - startMs).toBeCloseTo(8 * 3_600_000 + 60_020, 3)
  })
  test('adds up short sleeps', () => {
    const clock = systemClock()
    const startMs = clock.monotonicMs()
    for (let nap = 0; nap < 10; nap++) {
      sleep(1_500)
      clock.monotonicMs()
    }
    expect(clock.monotonicMs() - startMs).toBeCloseTo(15_000, 3)
  })
  test('does not follow a step of the wall clock', () => {
    const clock = systemClock()
    const startMs = clock.monotonicMs()
    vi.setSystemTime(Date.now() + 86_400_000)
    expect(clock.monotonicMs() - startMs).toBe(0)
    vi.setSystemTime(Date.now() - 2 * 86_400_000)
    expect(clock.monotonicMs() - startMs).toBe(0)
  })
  test('is not moved, and never goes back, by the coarse grain of uptime', () => {
    const clock = systemClock()
    const startMs = clock.monotonicMs()
    for (const errorS of [0.9, -0.9, 0.5, -0.9]) {
      machine.uptimeS += errorS
      pass(1000)
      clock.monotonicMs()
      machine.uptimeS -= errorS
    }
    expect(clock.monotonicMs() - startMs).toBeCloseTo(4000, 3)
  })
  test('calls a task every period until it is stopped, and holds no process open', () => {
    const task = vi.fn()
    const interval = vi.spyOn(globalThis, 'setInterval')
    const stop = systemClock().every(100, task)
    expect(interval.mock.results[0]?.value.hasRef()).toBe(false)
    pass(350)
    expect(task).toHaveBeenCalledTimes(3)
    stop()
    pass(350)
    expect(task).toHaveBeenCalledTimes(3)
  })
})

describe('acceleratedClock', () => {
  test('starts where it is told and runs faster than real time', () => {
    const clock = acceleratedClock({ startMs: 1_000_000, rate: 3600 })
    expect(clock.wallMs()).toBe(1_000_000)
    pass(1000)
    expect(clock.wallMs()).toBe(4_600_000)
    expect(clock.monotonicMs()).toBe(3_600_000)
  })
  test('calls a task every period of its own time, but at most every 10 real ms', () => {
    const clock = acceleratedClock({ startMs: 0, rate: 60 })
    const slow = vi.fn()
    const fast = vi.fn()
    clock.every(60_000, slow)
    clock.every(1, fast)
    pass(2000)
    expect(slow).toHaveBeenCalledTimes(2)
    expect(fast).toHaveBeenCalledTimes(200)
  })
})

describe('manualClock', () => {
  test('stands still until it is moved, and steps only the wall', () => {
    const clock = manualClock(1000)
    clock.advance(5)
    clock.stepWall(-100)
    expect([clock.wallMs(), clock.monotonicMs()]).toEqual([905, 5])
  })
  test('runs the tasks that fall due in order, each at its own time', () => {
    const clock = manualClock(0)
    const seen: string[] = []
    clock.every(30, () => seen.push(`slow ${clock.wallMs()}`))
    const stop = clock.every(20, () => seen.push(`fast ${clock.wallMs()}`))
    clock.advance(60)
    expect(seen).toEqual(['fast 20', 'slow 30', 'fast 40', 'slow 60', 'fast 60'])
    stop()
    clock.advance(30)
    expect(seen.slice(5)).toEqual(['slow 90'])
  })
  test('lets a task stop itself and start another', () => {
    const clock = manualClock(0)
    const seen: number[] = []
    const stop = clock.every(10, () => {
      stop()
      clock.every(5, () => seen.push(clock.monotonicMs()))
    })
    clock.advance(20)
    expect(seen).toEqual([15, 20])
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Quantities, Unit } from '../limit.ts'
import { emptyPacingState, Pacing, PACING, type PacingState } from './pacing.ts'
import type { PacedLimit } from './pacing-plan.ts'
import type { LimitStanding } from './horizon.ts'

const DAY_MS = 86_400_000
const START_MS = Date.parse('2026-04-01T00:00:00Z')
const NAMES = ['claude', 'gpt', 'kimi']

interface Request {
  readonly values: readonly number[]
  readonly likely: readonly Quantities[]
}

const value = fc.integer({ min: 0, max: 20 }).map((steps) => steps / 20)
const likely = fc.record({ costNano: fc.integer({ min: 1_000, max: 1_000_000_000 }), tokens: fc.integer({ min: 1, max: 200_000 }), requests: fc.constant(1) })
const request: fc.Arbitrary<Request> = fc.record({
  values: fc.array(value, { minLength: 3, maxLength: 3 }),
  likely: fc.array(likely, { minLength: 3, maxLength: 3 }),
})
const traffic = fc.array(request, { minLength: 20, maxLength: 80 })
const quotas = fc.array(fc.integer({ min: 1_000_000, max: 100_000_000_000 }), { minLength: 3, maxLength: 3 })

function limitsOf(names: readonly string[], quantities: readonly number[], unit: Unit = 'usd'): readonly PacedLimit[] {
  return names.map((name, index) => ({ name: `${name}.month`, unit, backends: [index], quota: true, floor: 0.5, paid: quantities[index]! }))
}

function standingsOf(quantities: readonly number[], used = 0.2): readonly LimitStanding[] {
  return quantities.map((quantity) => ({ quantity, used: Math.floor(quantity * used), bounds: { startMs: START_MS, endMs: START_MS + 30 * DAY_MS } }))
}

function paced(names: readonly string[], requests: readonly Request[], quantities: readonly number[], backMs = [0, 0, 0]): Pacing {
  const pacing = new Pacing({ backends: names, limits: limitsOf(names, quantities) })
  requests.forEach(({ values, likely }, i) => pacing.observe(START_MS + (i * 5 * DAY_MS) / requests.length, values, likely, 0.4))
  run(pacing.solve(standingsOf(quantities), START_MS + 5 * DAY_MS, backMs))
  return pacing
}

function run(steps: Generator<undefined, void>): number {
  let count = 0
  for (const step of steps) if (step === undefined) count += 1
  return count
}

function routeOf(pacing: Pacing, { values, likely }: Request): number {
  let best = -1
  let bestScore = 0.4
  values.forEach((value, b) => {
    const score = value - pacing.toll(b, likely[b]!)
    if (score > bestScore) [best, bestScore] = [b, score]
  })
  return best
}

describe('pacing', () => {
  it('routes the same when all money is scaled by a constant', () => {
    fc.assert(
      fc.property(traffic, quotas, fc.constantFrom(2, 1024, 0.5), (requests, quantities, factor) => {
        const scale = ({ values, likely }: Request): Request => ({ values, likely: likely.map((one) => ({ ...one, costNano: one.costNano * factor })) })
        const even = quantities.map((quantity) => quantity * 20)
        const plain = paced(NAMES, requests, even)
        const scaled = paced(
          NAMES,
          requests.map(scale),
          even.map((quantity) => quantity * factor),
        )
        for (const one of requests) {
          const [left, right] = [one, scale(one)].map((seen, k) => [plain, scaled][k]!.toll(0, seen.likely[0]!))
          expect(right).toBeCloseTo(left!, 6)
          expect(routeOf(scaled, scale(one))).toBe(routeOf(plain, one))
        }
      }),
      { numRuns: 60 },
    )
  })

  it('routes by what a backend is, not by its name or place', () => {
    fc.assert(
      fc.property(traffic, quotas, (requests, quantities) => {
        const turn = <T>(row: readonly T[]): T[] => [row[2]!, row[0]!, row[1]!]
        const plain = paced(NAMES, requests, quantities)
        const turned = paced(
          ['x', 'y', 'z'],
          requests.map(({ values, likely }) => ({ values: turn(values), likely: turn(likely) })),
          turn(quantities),
        )
        for (const { likely } of requests) {
          NAMES.forEach((_, b) => expect(turned.toll((b + 1) % 3, likely[b]!)).toBeCloseTo(plain.toll(b, likely[b]!), 5))
        }
      }),
      { numRuns: 60 },
    )
  })

  it('has finite prices whatever it has seen', () => {
    fc.assert(
      fc.property(
        traffic,
        quotas,
        fc.double({ min: 0, max: 1.2, noNaN: true }),
        fc.constantFrom<Unit>('usd', 'tokens', 'requests'),
        fc.boolean(),
        (requests, quantities, used, unit, down) => {
          const pacing = new Pacing({ backends: NAMES, limits: limitsOf(NAMES, quantities, unit) })
          requests.forEach(({ values, likely }, i) => pacing.observe(START_MS + i * 1000, i % 3 === 0 ? [Number.NaN, ...values.slice(1)] : values, likely, 0))
          for (const day of [0, 1, 29.999, 30])
            run(pacing.solve(standingsOf(quantities, used), START_MS + day * DAY_MS, down ? [START_MS + 31 * DAY_MS, 0, 0] : [0, 0, 0]))
          for (const { likely } of requests) NAMES.forEach((_, b) => expect(pacing.toll(b, likely[b]!)).toSatisfy(Number.isFinite))
          for (const { low, expected, high, share } of pacing.outlooks)
            expect([low, expected, high, share]).toSatisfy((figures: number[]) => figures.every(Number.isFinite))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('charges nothing before it has seen anything', () => {
    const pacing = new Pacing({ backends: NAMES, limits: limitsOf(NAMES, [1e9, 1e9, 1e9]) })
    run(pacing.solve(standingsOf([1e9, 1e9, 1e9]), START_MS, [0, 0, 0]))
    expect(pacing.toll(0, { costNano: 1e9, tokens: 1, requests: 1 })).toBe(0)
    expect(pacing.due(START_MS + DAY_MS)).toBe(false)
  })

  it('prices what is short and subsidises what would lapse', () => {
    const requests = Array.from({ length: 200 }, (): Request => ({
      values: [1, 0.8, 0.7],
      likely: NAMES.map(() => ({ costNano: 10_000_000, tokens: 1000, requests: 1 })),
    }))
    // 200 requests in 5 days: some 1,000 to come, at a cent each. The first quota takes 50 of them, the others all.
    const pacing = paced(NAMES, requests, [500_000_000, 50_000_000_000, 50_000_000_000])
    const call = { costNano: 10_000_000, tokens: 1000, requests: 1 }
    expect(pacing.toll(0, call)).toBeGreaterThan(pacing.toll(1, call))
    expect(pacing.toll(1, call)).toBeLessThan(0)
    expect(pacing.toll(2, call)).toBeLessThan(0)
  })

  it('looks to the end of each window: a scarce week is dear even where the month is not', () => {
    const call = { costNano: 10_000_000, tokens: 1000, requests: 1 }
    const limits: PacedLimit[] = [
      { name: 'claude.week', unit: 'usd', backends: [0], quota: true, floor: 0.5, paid: 1e9 },
      { name: 'kimi.month', unit: 'usd', backends: [1], quota: true, floor: 0.5, paid: 1e12 },
    ]
    const pacing = new Pacing({ backends: ['claude', 'kimi'], limits })
    for (let i = 0; i < 400; i += 1) pacing.observe(START_MS + i * 1_000_000, [1, 0.5], [call, call], 0)
    const nowMs = START_MS + 4.7 * DAY_MS
    const month = { quantity: 1e12, used: 0, bounds: { startMs: START_MS, endMs: START_MS + 30 * DAY_MS } }
    const week = (used: number): LimitStanding => ({ quantity: 1e9, used, bounds: { startMs: START_MS, endMs: START_MS + 7 * DAY_MS } })
    run(pacing.solve([week(0.95e9), month], nowMs, [0, 0]))
    const scarce = pacing.toll(0, call)
    run(pacing.solve([week(0), month], nowMs, [0, 0]))
    expect(scarce).toBeGreaterThan(pacing.toll(0, call))
  })

  it('draws more work to what would lapse with a week than with a month, and no more than that to what would with five hours', () => {
    const quantity = 1_000_000_000_000
    const subsidyOver = (days: number): number => {
      const pacing = new Pacing({ backends: ['claude'], limits: [{ name: 'q', unit: 'usd', backends: [0], quota: true, floor: 0, paid: quantity }] })
      for (let i = 0; i < 50; i += 1) pacing.observe(START_MS + i, [0.9], [{ costNano: 1_000_000, tokens: 1_000, requests: 1 }], 0.4)
      run(pacing.solve([{ quantity, used: 0, bounds: { startMs: START_MS, endMs: START_MS + days * DAY_MS } }], START_MS + 0.98 * days * DAY_MS, [0]))
      return pacing.toll(0, { costNano: 1_000_000, tokens: 1_000, requests: 1 })
    }
    const [month, year, week, hours] = [30, 365, 7, 5 / 24].map(subsidyOver)
    expect(month).toBeLessThan(-0.8 * PACING.lapseWorth)
    expect(year).toBeLessThan(-0.8 * PACING.lapseWorth)
    expect(week).toBeLessThan(1.5 * month!)
    expect(hours).toBeLessThan(week!)
    expect(hours).toBeGreaterThan(-PACING.lapseWorthMost * PACING.lapseWorth)
  })

  it('expects of a call what calls of its task type and size brought', () => {
    const pacing = new Pacing({ backends: NAMES, limits: limitsOf(NAMES, [1e9, 1e9, 1e9]) })
    for (let i = 0; i < 200; i += 1) {
      pacing.learn('claude', 'chat', 1_000_000, 1_000_000, 0.05, 100)
      pacing.learn('claude', 'chat', 1_000_000, 1_000_000, 0.6, 5000)
    }
    expect(pacing.outputShare('chat', 100)).toBeLessThan(0.1)
    expect(pacing.outputShare('chat', 5000)).toBeGreaterThan(0.5)
  })

  it('goes on after a restart with the prices it had', () => {
    fc.assert(
      fc.property(traffic, quotas, (requests, quantities) => {
        const pacing = paced(NAMES, requests, quantities)
        const copy: PacingState = JSON.parse(JSON.stringify(pacing.state))
        const restarted = new Pacing({ backends: NAMES, limits: limitsOf(NAMES, quantities) }, copy)
        for (const { likely } of requests) NAMES.forEach((_, b) => expect(restarted.toll(b, likely[b]!)).toBe(pacing.toll(b, likely[b]!)))
        expect(restarted.state).toEqual(pacing.state)
      }),
      { numRuns: 30 },
    )
  })

  it('keeps a state of bounded size, however long it runs', () => {
    const pacing = new Pacing({ backends: NAMES, limits: limitsOf(NAMES, [1e9, 1e9, 1e9]) }, emptyPacingState())
    const likely = NAMES.map((_, b) => ({ costNano: 1_234_567 * (b + 1), tokens: 1_234, requests: 1 }))
    for (let i = 0; i < 20_000; i += 1) {
      pacing.observe(START_MS + i * 3_600_000, [0.9, 0.8, 0.7], likely, 0.4)
      pacing.learn(NAMES[i % 3]!, `type ${i}`, 1_000_000, 1_100_000, 1 / (i + 3), (i * 37) % 200_000)
    }
    expect(JSON.stringify(pacing.state).length).toBeLessThan(100_000)
    expect(pacing.state.sample.fallback.length).toBe(PACING.sampleSize)
  })

  it('solves in steps, and decides by the old prices until the last one', () => {
    const pacing = paced(
      NAMES,
      Array.from({ length: 100 }, (): Request => ({ values: [1, 0.9, 0.8], likely: NAMES.map(() => ({ costNano: 10_000_000, tokens: 10, requests: 1 })) })),
      [1e9, 1e9, 1e9],
    )
    const call = { costNano: 10_000_000, tokens: 10, requests: 1 }
    const before = pacing.toll(0, call)
    const steps = pacing.solve(standingsOf([1e9, 1e9, 1e9], 0.99), START_MS + 6 * DAY_MS, [0, 0, 0])
    steps.next()
    steps.next()
    expect(pacing.toll(0, call)).toBe(before)
    run(steps)
    expect(pacing.toll(0, call)).not.toBe(before)
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parsePolicy } from '../../packages/core/src/config/parse.ts'
import { emptyMonth, START_MS, worldOf, type Month, type World } from './month.ts'
import { PacedRouter } from './paced.ts'
import { simpleRouters } from './routers.ts'
import { simulate } from './simulate.ts'

const TEXT = `
timezone: UTC
backends:
  claude: { provider: anthropic, models: [a], quota: 2.00/month }
  kimi: { provider: moonshotai, models: [b], quota: 1.00/week }
  local: { kind: local, models: [c] }
floors: { backend: 0.5, total: 0.7 }
prices:
  a: { input_mtok: 3, output_mtok: 15 }
  b: { input_mtok: 0.6, output_mtok: 2.5 }
preferences:
  code: { claude: 1.0, kimi: 0.8, local: 0.5 }
  chat: { claude: 0.8, kimi: 0.9, local: 0.6 }
`

function world(): World {
  const parsed = parsePolicy(TEXT, 'test')
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  return worldOf(parsed.policy)
}

const call = fc.record({
  at: fc.double({ min: 0, max: 0.999, noNaN: true }),
  type: fc.integer({ min: 0, max: 1 }),
  input: fc.integer({ min: 1, max: 100_000 }),
  output: fc.integer({ min: 1, max: 2048 }),
  seconds: fc.integer({ min: 1, max: 100_000 }),
})
const months = fc.array(call, { minLength: 50, maxLength: 300 }).map((calls): Month => {
  const month = emptyMonth(calls.length, START_MS)
  calls
    .toSorted((a, b) => a.at - b.at)
    .forEach(({ at, type, input, output, seconds }, i) => {
      month.atMs[i] = START_MS + at * 30 * 86_400_000
      month.type[i] = type
      month.input[i] = input
      month.output[i] = output
      month.maxOutput[i] = 2048
      month.durationMs[i] = seconds * 1000
    })
  return month
})

describe('a paced month', () => {
  it('never uses more than a quota, whatever its floors ask for', () => {
    const paid = world()
    fc.assert(
      fc.property(months, (month) => {
        for (const router of [...simpleRouters(paid), new PacedRouter(paid)]) {
          const { overshoot, windows } = simulate(paid, month, router)
          expect(overshoot).toBe(0)
          windows.forEach((row, b) => row.forEach((used) => expect(used).toBeLessThanOrEqual(paid.quotas[b]!.quantity)))
        }
      }),
      { numRuns: 40 },
    )
  })

  it('is the same again from the same requests', () => {
    const paid = world()
    fc.assert(
      fc.property(months, (month) => {
        const [one, other] = [0, 1].map(() => simulate(paid, month, new PacedRouter(paid)))
        expect(one!.used).toEqual(other!.used)
        expect(one!.value).toBe(other!.value)
      }),
      { numRuns: 10 },
    )
  })
})

import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { manualClock } from './clock.ts'
import { openManciple, type Manciple } from './manciple.ts'

const POLICY = `
backends:
  claude: { provider: anthropic, models: [a], quota: 0.05/month }
  kimi: { provider: moonshotai, models: [b], quota: 10.00/month }
  local: { kind: local, models: [c] }
prices:
  a: { input_mtok: 1, output_mtok: 10 }
  b: { input_mtok: 1, output_mtok: 10 }
floors: { backend: 0, total: 0 }
`
const CALL = { backend: 'claude', inputTokens: 10_000, maxOutputTokens: 1000 }

async function withTwo(work: (manciple: Manciple) => Promise<void>): Promise<void> {
  const manciple = await openManciple({ config: { text: POLICY }, ledger: 'memory', clock: manualClock(Date.parse('2026-11-10T12:00:00Z')) })
  try {
    await work(manciple)
  } finally {
    await manciple.close()
  }
}

test('reasons tell of the time of the decision, whenever they are read', async () => {
  await withTwo(async (manciple) => {
    const first = await manciple.decide(CALL)
    const second = await manciple.decide(CALL)
    const third = await manciple.decide(CALL)
    // What was held comes back: by now there would be room.
    await first.settle({ inputTokens: 10, outputTokens: 10 })
    await second.settle({ inputTokens: 10, outputTokens: 10 })
    expect(third.decision.reasons).toEqual(['claude/a was left: claude.quota has $0.01 left and this call may cost $0.02'])
    expect(third.decision.reasons).toBe(third.decision.reasons)
    await third.release('not needed')
  })
})

test('a decision that is written as JSON or shown in a console has its reasons and candidates', async () => {
  await withTwo(async (manciple) => {
    const { decision } = await manciple.decide(CALL)
    const written: unknown = JSON.parse(JSON.stringify(decision))
    expect(written).toMatchObject({ verdict: 'dispatch', backend: 'claude', reasons: ['as requested'], candidates: [{ backend: 'claude' }, {}, {}] })
    expect(Object.keys(written as object).sort()).toEqual(
      ['backend', 'candidates', 'estimateNano', 'hold', 'maxOutputTokens', 'model', 'policy', 'reasons', 'verdict'].sort(),
    )
    expect(inspect(decision)).toContain("reasons: [ 'as requested' ]")
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { learnOutputShare, OUTPUT_SHARES, outputShareOf, type OutputShares } from './output-shares.ts'

describe('the output of calls', () => {
  it('is a guess before anything was seen, then what the task type does', () => {
    const shares: OutputShares = {}
    expect(outputShareOf(shares, 'code', 100)).toBe(OUTPUT_SHARES.first)
    learnOutputShare(shares, 'code', 100, 0.6)
    expect(outputShareOf(shares, 'code', 100)).toBeCloseTo(0.6)
    expect(outputShareOf(shares, 'code', 90_000)).toBeCloseTo(0.6)
    expect(outputShareOf(shares, 'chat', 100)).toBe(OUTPUT_SHARES.first)
  })

  it('tells long inputs from short ones once it has seen enough of both', () => {
    const shares: OutputShares = {}
    for (let i = 0; i < 200; i += 1) {
      learnOutputShare(shares, 'chat', 200, 0.1)
      learnOutputShare(shares, 'chat', 4000, 0.5)
    }
    expect(outputShareOf(shares, 'chat', 200)).toBeCloseTo(0.1, 1)
    expect(outputShareOf(shares, 'chat', 4000)).toBeCloseTo(0.5, 1)
    expect(outputShareOf(shares, 'chat', 30_000)).toBeCloseTo(0.3, 1)
  })

  it('stays within what was seen, finite, whatever the size and the name', () => {
    const name = fc.constantFrom('code', '', 'constructor', '__proto__', 'toString')
    const call = fc.tuple(name, fc.integer({ min: 0, max: 10_000_000 }), fc.double({ min: 0, max: 1, noNaN: true }))
    fc.assert(
      fc.property(fc.array(call, { minLength: 1, maxLength: 100 }), name, fc.integer({ min: 0, max: 10_000_000 }), (calls, taskType, tokens) => {
        const shares: OutputShares = {}
        for (const [type, inputTokens, share] of calls) learnOutputShare(shares, type, inputTokens, share)
        const seen = [OUTPUT_SHARES.first, ...calls.map(([, , share]) => share)]
        const share = outputShareOf(shares, taskType, tokens)
        expect(share).toBeGreaterThanOrEqual(Math.min(...seen) - 1e-5)
        expect(share).toBeLessThanOrEqual(Math.max(...seen) + 1e-5)
      }),
    )
  })

  it('takes further task types together, and so keeps a bounded state', () => {
    const shares: OutputShares = {}
    for (let i = 0; i < 20_000; i += 1) learnOutputShare(shares, `type ${i % 1000}`, (i * 37) % 200_000, (i % 100) / 100)
    expect(Object.keys(shares).length).toBeLessThanOrEqual(OUTPUT_SHARES.taskTypes + 1)
    expect(JSON.stringify(shares).length).toBeLessThan(80_000)
    expect(outputShareOf(shares, 'another', 100)).toBeCloseTo(0.5, 0)
  })
})

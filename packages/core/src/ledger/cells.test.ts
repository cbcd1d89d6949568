import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CallScope, Scope, Unit } from '../limit.ts'
import { covers, quantityOf } from '../limit.ts'
import { QUARTER_MS, quarterOf } from '../windows.ts'
import { Cells } from './cells.ts'

const START_MS = Date.UTC(2026, 10, 20)
const SONNET: CallScope = { backend: 'claude', kind: 'cloud', model: 'sonnet', taskType: 'bulk' }
const CALLS: readonly CallScope[] = [
  SONNET,
  { backend: 'claude', kind: 'cloud', model: 'opus', taskType: '' },
  { backend: 'local', kind: 'local', model: 'llama', taskType: 'bulk' },
  { backend: 'moved', kind: 'local', model: 'm', taskType: '' },
  { backend: 'moved', kind: 'cloud', model: 'm', taskType: '' },
]
const SCOPES: readonly Scope[] = [{}, { backend: 'claude' }, { model: 'llama' }, { taskType: 'bulk' }, { backend: 'moved' }]
const UNITS: readonly Unit[] = ['usd', 'tokens', 'requests']

const entry = fc.record({
  call: fc.constantFrom(...CALLS),
  atMs: fc.nat(40 * QUARTER_MS).map((ms) => START_MS + ms),
  quantities: fc.record({ costNano: fc.nat(1000), tokens: fc.nat(1000), requests: fc.nat(3) }),
})
const entries = fc.array(entry, { maxLength: 80 })

function filled(all: readonly (typeof entry extends fc.Arbitrary<infer T> ? T : never)[]): Cells {
  const cells = new Cells()
  for (const { call, atMs, quantities } of all) cells.add(call, atMs, quantities)
  return cells
}

describe('cells', () => {
  it('sum what a scope used in the quarter-hours of a span, in whatever order it came', () => {
    fc.assert(
      fc.property(entries, fc.constantFrom(...SCOPES), fc.constantFrom(...UNITS), fc.nat(40), fc.nat(40), (all, scope, unit, from, count) => {
        const startMs = START_MS + from * QUARTER_MS
        const endMs = startMs + count * QUARTER_MS
        const inside = all.filter(({ call, atMs }) => covers(scope, call) && atMs >= startMs && atMs < endMs)
        const expected = inside.reduce((sum, { quantities }) => sum + quantityOf(unit, quantities), 0)
        expect(filled(all).sum(scope, unit, startMs, endMs)).toBe(expected)
      }),
    )
  })

  it('give each quarter-hour of a scope once', () => {
    fc.assert(
      fc.property(entries, fc.constantFrom(...SCOPES), (all, scope) => {
        const expected = new Map<number, number>()
        for (const { call, atMs, quantities } of all) {
          if (covers(scope, call)) expected.set(quarterOf(atMs), (expected.get(quarterOf(atMs)) ?? 0) + quantities.tokens)
        }
        expect(new Map(filled(all).quarters(scope, 'tokens', START_MS))).toEqual(expected)
      }),
    )
  })

  it('come back from their JSON, and equal cells have equal JSON', () => {
    fc.assert(
      fc.property(entries, (all) => {
        const snapshot = filled(all).snapshot()
        expect(Cells.restore(JSON.parse(JSON.stringify(snapshot))).snapshot()).toEqual(snapshot)
        expect(JSON.stringify(filled(all.toReversed()).snapshot())).toBe(JSON.stringify(snapshot))
      }),
    )
  })

  it('forget what begins before a time and nothing else', () => {
    fc.assert(
      fc.property(entries, fc.nat(40), (all, index) => {
        const beforeMs = START_MS + index * QUARTER_MS
        const cells = filled(all)
        cells.prune(beforeMs)
        expect(cells.snapshot()).toEqual(filled(all.filter(({ atMs }) => atMs >= beforeMs)).snapshot())
      }),
    )
  })

  it('show spend by backend, model and task type, whatever kind the backend was, and leave out what used nothing', () => {
    const cells = new Cells()
    for (const call of CALLS) cells.add(call, START_MS, { costNano: 5, tokens: 3, requests: 1 })
    cells.add({ backend: 'a', kind: 'cloud', model: 'b', taskType: '' }, START_MS, { costNano: 0, tokens: 0, requests: 0 })
    expect(cells.rows(START_MS, START_MS + QUARTER_MS)).toEqual([
      { backend: 'claude', model: 'opus', taskType: '', costNano: 5, tokens: 3, requests: 1 },
      { backend: 'claude', model: 'sonnet', taskType: 'bulk', costNano: 5, tokens: 3, requests: 1 },
      { backend: 'local', model: 'llama', taskType: 'bulk', costNano: 5, tokens: 3, requests: 1 },
      { backend: 'moved', model: 'm', taskType: '', costNano: 10, tokens: 6, requests: 2 },
    ])
  })

  it('keep a use that cost nothing, for the windows that begin with it', () => {
    const cells = filled([{ call: SONNET, atMs: START_MS, quantities: { costNano: 0, tokens: 0, requests: 0 } }])
    expect([...cells.quarters({}, 'usd', 0)]).toEqual([[START_MS, 0]])
  })

  it('refuse a sum that would not be exact and stay as they were', () => {
    const cells = filled([{ call: SONNET, atMs: START_MS, quantities: { costNano: Number.MAX_SAFE_INTEGER, tokens: 1, requests: 1 } }])
    const before = cells.snapshot()
    expect(() => cells.add(SONNET, START_MS, { costNano: 1, tokens: 1, requests: 1 })).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }))
    expect(cells.snapshot()).toEqual(before)
  })
})

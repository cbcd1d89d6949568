import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OpenHolds } from './open-holds.ts'
import type { Hold } from './record.ts'

function holdAt(number: number): Hold {
  return {
    id: `session-${number.toString(36)}`,
    atMs: number,
    backend: 'claude',
    kind: 'cloud',
    model: 'claude-sonnet-4-20250514',
    taskId: null,
    taskType: null,
    requestedBackend: null,
    inputTokens: 1,
    maxOutputTokens: 1,
    estimate: { costNano: 1, tokens: 2, requests: 1 },
    priceSource: 'list',
    policy: 'p',
    candidates: [],
  }
}

/** Steps between numbers such that slots come round while some holds are still open. */
const step = fc.oneof(fc.constant(1), fc.constant(36 ** 2), fc.integer({ min: 1, max: 3000 }))
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ add: step }) },
  { weight: 3, arbitrary: fc.record({ remove: fc.nat() }) },
  { weight: 1, arbitrary: fc.constant({ clear: true as const }) },
)

test('whatever comes and goes, it holds what a map would, in the order in which it came', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
      const holds = new OpenHolds()
      const model = new Map<string, Hold>()
      const seen: string[] = []
      let number = 0
      for (const one of commands) {
        if ('add' in one) {
          number += one.add
          const hold = holdAt(number)
          seen.push(hold.id)
          holds.add(hold)
          model.set(hold.id, hold)
        } else if ('clear' in one) {
          holds.clear()
          model.clear()
        } else if (seen.length > 0) {
          const id = seen[one.remove % seen.length] ?? ''
          expect(holds.delete(id)).toBe(model.delete(id))
        }
        expect(holds.size).toBe(model.size)
      }
      expect(holds.values()).toEqual([...model.values()])
      expect([...holds.keys()]).toEqual([...model.keys()])
      for (const id of seen) {
        expect(holds.get(id)).toBe(model.get(id))
        expect(holds.has(id)).toBe(model.has(id))
      }
    }),
    { numRuns: 300 },
  )
})

test('an id of another session with the same number is another hold', () => {
  const holds = new OpenHolds()
  holds.add(holdAt(7))
  expect(holds.get('another-7')).toBeUndefined()
  expect(holds.delete('another-7')).toBe(false)
  expect(holds.size).toBe(1)
})

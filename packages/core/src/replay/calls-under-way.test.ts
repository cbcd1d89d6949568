import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CallsUnderWay, type CallUnderWay } from './calls-under-way.ts'

const under = (endMs: number, number: number): CallUnderWay => ({ endMs, number }) as CallUnderWay

test('calls come off in the order in which they end, those that end together in the order in which they began', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat({ max: 20 }), fc.constant('take')), { maxLength: 200 }), (steps) => {
      const calls = new CallsUnderWay()
      const sorted: CallUnderWay[] = []
      for (const [number, step] of steps.entries()) {
        if (typeof step === 'number') {
          const call = under(step, number)
          calls.add(call)
          sorted.push(call)
          sorted.sort((left, right) => left.endMs - right.endMs || left.number - right.number)
        } else expect(calls.take()).toBe(sorted.shift())
        expect(calls.next).toBe(sorted[0])
      }
    }),
  )
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { drawBar } from './bar.ts'
import { terminalOf } from './terminal.ts'

const nowhere = { write: () => true }
const plain = terminalOf({ stdout: nowhere, stderr: nowhere, env: {}, isTTY: false, columns: undefined })
const share = fc.double({ min: 0, max: 3, noNaN: true })

describe('a bar', () => {
  test('is as wide as it is told to be', () => {
    fc.assert(
      fc.property(share, fc.integer({ min: 8, max: 60 }), fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }), (part, width, plan) => {
        expect(drawBar(part, width, plain, plan)).toHaveLength(width)
      }),
    )
  })

  test('grows with the share; it is empty only at nothing and full only at all', () => {
    const filled = (part: number): number => drawBar(part, 25, plain).replaceAll(/[^#]/g, '').length
    fc.assert(
      fc.property(share, share, (a, b) => {
        expect(filled(Math.min(a, b))).toBeLessThanOrEqual(filled(Math.max(a, b)))
        expect(filled(a) === 0).toBe(a === 0)
        expect(filled(a) === 20).toBe(a >= 1)
      }),
    )
  })

  test('marks where the plan is', () => {
    expect(drawBar(0.25, 13, plain, 0.5)).toBe('##..|...  25%')
    expect(drawBar(1, 13, plain, 1)).toBe('#######| 100%')
  })
})

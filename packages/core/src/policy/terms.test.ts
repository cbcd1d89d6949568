import fc from 'fast-check'
import { expect, test } from 'vitest'
import { termsOf } from './terms.ts'

/** Whether a term holds where the leaves have the values of a combination. */
const holds = (term: string, combination: string): boolean => [...term].every((sign, leaf) => sign === '-' || sign === combination[leaf])
const combinations = (leaves: number): readonly string[] =>
  Array.from({ length: 2 ** leaves }, (_, value) =>
    value
      .toString(2)
      .padStart(leaves, '0')
      .slice(-leaves || 1),
  )

test('an `all` is one term, an `any` one of each leaf', () => {
  expect(termsOf('0001')).toEqual(['11'])
  expect(termsOf('0111')).toEqual(['-1', '1-'])
  expect(termsOf('1000')).toEqual(['00'])
})

test('what never holds has no terms, and what always holds one that asks nothing', () => {
  expect(termsOf('0000')).toEqual([])
  expect(termsOf('1111')).toEqual(['--'])
  expect(termsOf('1')).toEqual([''])
})

test('terms mean what their table says, for any table', () => {
  const table = fc.integer({ min: 0, max: 6 }).chain((leaves) => fc.array(fc.constantFrom('0', '1'), { minLength: 2 ** leaves, maxLength: 2 ** leaves }))
  fc.assert(
    fc.property(table, (bits) => {
      const leaves = Math.log2(bits.length)
      const terms = termsOf(bits.join(''))
      const again = (leaves === 0 ? [''] : combinations(leaves)).map((combination) => (terms.some((term) => holds(term, combination)) ? '1' : '0'))
      expect(again).toEqual(bits)
    }),
    { numRuns: 500 },
  )
})

test('ten leaves make at most 36 terms', () => {
  // all: [any of 3, any of 3, any of 4]
  const table = combinations(10).map((values) =>
    values.slice(0, 3).includes('1') && values.slice(3, 6).includes('1') && values.slice(6).includes('1') ? '1' : '0',
  )
  expect(termsOf(table.join(''))).toHaveLength(36)
})

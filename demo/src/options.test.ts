import { expect, test } from 'vitest'
import { parseOptions } from './options.ts'

test('everything has a default', () => {
  expect(parseOptions([])).toEqual({
    trace: undefined,
    limit: 5000,
    days: 30,
    seconds: 40,
    seed: 1,
    policy: undefined,
    ledger: undefined,
    serve: false,
    help: false,
  })
})

test.each([
  [['--limit', 'many'], /--limit: expected a whole number/],
  [['--limit', '0'], /--limit/],
  [['--days', '0'], /--days/],
  [['--seconds', '1.5'], /--seconds/],
  [['--seed', ''], /--seed/],
  [['--tracee', 'x'], /tracee/],
])('%j is refused by name', (args, message) => {
  expect(() => parseOptions(args)).toThrow(message)
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Amount } from '../limit.ts'
import { MAX_NANO } from '../money.ts'
import type { Window } from '../windows.ts'
import { formatAmount, parseAmount } from './amount.ts'

const anyWindow: fc.Arbitrary<Window> = fc.oneof(
  fc.constantFrom<Window>({ kind: 'day' }, { kind: 'quarter' }, { kind: 'year' }),
  fc.record({ kind: fc.constant('month' as const), day: fc.integer({ min: 1, max: 31 }) }),
  fc.record({
    kind: fc.constant('week' as const),
    weekday: fc.integer({ min: 1, max: 7 }),
    minute: fc.integer({ min: 0, max: 95 }).map((quarter) => quarter * 15),
  }),
  fc.record({
    kind: fc.constantFrom('rolling' as const, 'first-use' as const),
    spanMs: fc.integer({ min: 1, max: 1_000 }).map((quarters) => quarters * 900_000),
  }),
)
const anyAmount: fc.Arbitrary<Amount> = fc.record({
  quantity: fc.oneof(
    fc.integer({ min: 0, max: MAX_NANO }),
    fc.integer({ min: 0, max: 4_000 }).map((thousands) => thousands * 1_000_000),
  ),
  unit: fc.constantFrom('usd' as const, 'tokens' as const, 'requests' as const),
  window: anyWindow,
})

describe('An amount', () => {
  it.each<[string, Amount]>([
    ['20.00/month', { quantity: 20_000_000_000, unit: 'usd', window: { kind: 'month', day: 1 } }],
    ['900k tokens/5h@first-use', { quantity: 900_000, unit: 'tokens', window: { kind: 'first-use', spanMs: 18_000_000 } }],
    ['45M tokens/week@Mon 09:00', { quantity: 45_000_000, unit: 'tokens', window: { kind: 'week', weekday: 1, minute: 540 } }],
    ['1500 requests/day', { quantity: 1500, unit: 'requests', window: { kind: 'day' } }],
    ['3.00/day', { quantity: 3_000_000_000, unit: 'usd', window: { kind: 'day' } }],
    ['1.5M tokens/7d', { quantity: 1_500_000, unit: 'tokens', window: { kind: 'rolling', spanMs: 604_800_000 } }],
    ['0.000000001/day', { quantity: 1, unit: 'usd', window: { kind: 'day' } }],
    ['0/day', { quantity: 0, unit: 'usd', window: { kind: 'day' } }],
  ])('%s is read exactly', (text, amount) => {
    expect(parseAmount(text)).toEqual(amount)
  })

  it('is printed so that it reads the same again', () => {
    fc.assert(fc.property(anyAmount, (amount) => void expect(parseAmount(formatAmount(amount))).toEqual(amount)))
  })

  it.each([
    ['20.00/month', '20.00/month'],
    ['20/month@1', '20.00/month'],
    ['0.125/day', '0.125/day'],
    ['900000 tokens/300m', '900k tokens/5h'],
    ['1001 requests/day', '1001 requests/day'],
  ])('%s is printed as %s', (text, printed) => {
    const amount = parseAmount(text)
    expect('problem' in amount ? amount.problem : formatAmount(amount)).toBe(printed)
  })

  it.each<[unknown, string]>([
    ['20/fortnight', 'an unknown window `fortnight`'],
    ['-5/day', 'a negative quantity'],
    ['5,00/day', 'a comma in the quantity'],
    ['5 EUR/day', 'an unknown unit `EUR`'],
    ['20/month/day', 'more than one window'],
    ['$5/day', 'a currency sign'],
    ['5', 'an amount without a window'],
    ['/day', 'an amount without a quantity'],
    ['5/', 'an unknown window ``'],
    ['1e3/day', 'a quantity that is not a number'],
    ['Infinity/day', 'a quantity that is not a number'],
    ['٥/day', 'a quantity that is not a number'],
    ['5k/day', 'a dollar amount in `k`'],
    ['900m tokens/day', 'an unknown suffix'],
    ['0.0000000001/day', 'a dollar amount too fine or too large'],
    ['5000000/day', 'a dollar amount too fine or too large'],
    ['1.0005k tokens/day', 'a quantity of tokens that is not whole or too large'],
    ['99999999999M tokens/day', 'a quantity of tokens that is not whole or too large'],
    [5, 'not an amount'],
    [null, 'not an amount'],
  ])('%j is refused: %s', (text, problem) => {
    expect(parseAmount(text)).toMatchObject({ problem })
  })

  it('never throws, and always says what form is expected', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 30 }), fc.stringMatching(/^[0-9.,kM $€-]{0,8}( tokens)?\/(day|month|5h|week@Mon)$/)), (text) => {
        const amount = parseAmount(text)
        if ('problem' in amount) expect(amount.expected).not.toBe('')
        else expect(Number.isSafeInteger(amount.quantity) && amount.quantity >= 0 && amount.quantity <= MAX_NANO).toBe(true)
      }),
    )
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Amount } from '../limit.ts'
import { MAX_NANO } from '../money.ts'
import type { Window } from '../windows.ts'
import { AMOUNT_FORM, formatAmount, parseAmount } from './amount.ts'

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

  it.each([
    ['900K tokens/day', 'write 900k tokens/day'],
    ['45m tokens/week', 'write 45M tokens/week'],
    ['900K/day', 'write 900k tokens/day, or, for US dollars, 900000.00/day'],
    ['2.5k/month', 'write 2.5k tokens/month, or, for US dollars, 2500.00/month'],
    ['900K', 'say for how long, like 900k tokens/month, or, for US dollars, 900000.00/month'],
    ['45m', 'say for how long, like 45M tokens/month'],
    ['5.00/week@Monday 09:00', 'write 5.00/week@Mon 09:00'],
    ['5.00/week@sunday', 'write 5.00/week@Sun'],
    ['5.00/month@15th', 'write 5.00/month@15'],
    ['15/mo', 'write 15.00/month'],
    ['10/hour', 'write 10.00/1h'],
    ['3.00/24 hours', 'write 3.00/24h'],
    ['900k tokens per 5 hours', 'write 900k tokens/5h'],
    ['5.00/5h @ first use', 'write 5.00/5h@first-use'],
    ['5.00/2 weeks', 'write 5.00/14d'],
    ['20.00/mnth', 'write 20.00/month'],
    ['20 dollars', 'say for how long, like 20.00/month'],
    ['$5.00', 'say for how long, like 5.00/month'],
    ['50 USD', 'say for how long, like 50.00/month'],
    ['20€', 'write what it is in US dollars, like 20.00/month'],
    ['5 EUR/day', 'write what it is in US dollars, like 5.00/day'],
    ['5.00 per month', 'write 5.00/month'],
    ['US$ 20 a day', 'write 20.00/day'],
    ['20 daily', 'write 20.00/day'],
    ['100 calls/day', 'write 100 requests/day'],
    ['5k tokns/day', 'write 5k tokens/day'],
    ['5,00/day', 'write 5.00/day'],
    ['1,000/day', 'write 1000.00/day'],
    ['1.000,50/day', 'write 1000.50/day'],
    ['1 000 000 tokens/day', 'write 1000000 tokens/day'],
    [5, 'say for how long, like 5.00/month'],
    ['20/fortnight', undefined],
    ['-5/day', undefined],
    ['20/month/day', undefined],
    ['1.5 requests/day', undefined],
    ['unlimited', undefined],
  ])('%j is refused with the hint: %s', (text, hint) => {
    const amount = parseAmount(text)
    expect('problem' in amount && amount.hint).toBe(hint)
  })

  it('is not looked for in a text that is much longer than one', () => {
    expect(parseAmount(`20 ${' '.repeat(100)}dollars`)).toEqual({ problem: 'an amount without a window', expected: AMOUNT_FORM })
  })

  it('is read where it is written as a hint says', () => {
    const anyText = fc.stringMatching(
      /^(US)?\$? ?[0-9]{1,4}([.,][0-9]{1,3})? ?[kKmM]? ?(tokens|USD|calls|dollars)?( per |\/| a )?(day|mo|5 hours|week@Monday|yr)?$/,
    )
    let hints = 0
    fc.assert(
      fc.property(anyText, (text) => {
        const amount = parseAmount(text)
        const hint = 'problem' in amount ? amount.hint : undefined
        for (const [written] of hint?.matchAll(/\d[^/,]*\/[^ ,]+/g) ?? []) {
          hints += 1
          expect(parseAmount(written), written).not.toHaveProperty('problem')
        }
      }),
      { numRuns: 500 },
    )
    expect(hints).toBeGreaterThan(50)
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

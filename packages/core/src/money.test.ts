import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { divideHalfUp, divideUp, formatUsd, MAX_NANO, nanoToUsd, usdToNano } from './money.ts'

/** The decimal text of nano-USD, by moving the point in the digits. */
function decimalText(nano: number): string {
  const digits = String(nano).padStart(10, '0')
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`
}

describe('usdToNano', () => {
  test.each([
    [0.57, 570_000_000],
    [20, 20_000_000_000],
    ['20.00', 20_000_000_000],
    [0.1 + 0.2, undefined],
    [1e-9, 1],
    [1.5e-7, 150],
    ['0.000000001', 1],
    ['0.0000000010', 1],
    ['0.0000000011', undefined],
    [1e-10, undefined],
    [0, 0],
    [-0, 0],
    ['1e3', 1_000_000_000_000],
    [4503599.627370496, MAX_NANO],
    ['4503599.627370496', MAX_NANO],
    ['4503599.627370497', undefined],
    [1e300, undefined],
    [-1, undefined],
    ['-0.5', undefined],
    [NaN, undefined],
    [Infinity, undefined],
    ['', undefined],
    [' 5', undefined],
    ['5.', undefined],
    ['.5', undefined],
    ['0x10', undefined],
    ['1,000', undefined],
    ['1'.repeat(1_000_000), undefined],
  ])('reads %j as %j', (usd, nano) => {
    expect(usdToNano(usd)).toBe(nano)
  })

  test('reads every amount that it can hold, written out, exactly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_NANO }), (nano) => {
        expect(usdToNano(decimalText(nano))).toBe(nano)
      }),
    )
  })
  test('reads the number that such a text stands for just as exactly up to a million USD', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e15 }), (nano) => {
        expect(usdToNano(Number(decimalText(nano)))).toBe(nano)
      }),
    )
  })
})

describe('nanoToUsd', () => {
  test('has the exact decimal as its JSON text and turns back into the same integer', () => {
    const amount = fc.integer({ min: 0, max: 1e15 })
    fc.assert(
      fc.property(amount, (nano) => {
        const usd = nanoToUsd(nano)
        expect(Math.round(usd * 1e9)).toBe(nano)
        expect(Math.round(-usd * 1e9) + nano).toBe(0)
        expect(usdToNano(JSON.stringify(usd))).toBe(nano)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('formatUsd', () => {
  test.each([
    [12_340_000_000, 2, '$12.34'],
    [-50_000_000, 2, '-$0.05'],
    [0, 2, '$0.00'],
    [1_234_567_890_000_000, 2, '$1,234,567.89'],
    [999_999_000_000, 2, '$1,000.00'],
    [100_000_000_000, 0, '$100'],
    [1_005_000_000, 2, '$1.01'],
    [1_004_999_999, 2, '$1.00'],
    [-1_005_000_000, 2, '-$1.01'],
    [5_000_000, 2, '$0.01'],
    [4_999_999, 2, '$0.005'],
    [1_200_000, 2, '$0.0012'],
    [-1_200_000, 2, '-$0.0012'],
    [16_500_000, 4, '$0.0165'],
    [1, 2, '$0.000000001'],
    [12, 0, '$0.000000012'],
    [996_000, 2, '$0.001'],
    [MAX_NANO, 9, '$4,503,599.627370496'],
  ])('shows %d with %d decimals as %s', (nano, decimals, text) => {
    expect(formatUsd(nano, decimals)).toBe(text)
  })

  test('shows no amount but zero as zero', () => {
    const amount = fc.integer({ min: -1e10, max: 1e10 }).filter((nano) => nano !== 0)
    fc.assert(
      fc.property(amount, fc.integer({ min: 0, max: 9 }), (nano, decimals) => {
        expect(formatUsd(nano, decimals)).toMatch(/[1-9]/)
      }),
    )
  })
  test('with nine decimals is the exact amount', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_NANO }), (nano) => {
        expect(usdToNano(formatUsd(nano, 9).replace(/[$,]/g, ''))).toBe(nano)
      }),
    )
  })
})

describe('division', () => {
  test('rounds half up, and up', () => {
    expect([4n, 5n, 6n, 15n].map((n) => divideHalfUp(n, 10n))).toEqual([0n, 1n, 1n, 2n])
    expect([0n, 1n, 10n, 11n].map((n) => divideUp(n, 10n))).toEqual([0n, 1n, 1n, 2n])
    expect([1n, 2n].map((n) => divideHalfUp(n, 3n))).toEqual([0n, 1n])
  })
  test('half up is within half of the quotient, up is the next whole number', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 30n }), fc.bigInt({ min: 1n, max: 10n ** 20n }), (numerator, denominator) => {
        const error = 2n * (divideHalfUp(numerator, denominator) * denominator - numerator)
        expect(error > -denominator && error <= denominator).toBe(true)
        const above = divideUp(numerator, denominator) * denominator - numerator
        expect(above >= 0n && above < denominator).toBe(true)
      }),
    )
  })
})

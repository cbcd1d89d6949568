import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decimalsFor, percent, shortAmount, shortCount, shortInstant, shortQuantity } from './amounts.ts'

describe('an amount for a table', () => {
  test('is dollars and cents, and in thousands or millions from 100,000 on', () => {
    expect(shortQuantity(12_345_678_901, 'usd')).toBe('$12.35')
    expect(shortQuantity(-50_000_000, 'usd')).toBe('-$0.05')
    expect(shortQuantity(9_999_999, 'usd')).toBe('<$0.01')
    expect(shortQuantity(0, 'usd')).toBe('$0.00')
    expect(shortQuantity(99_999_990_000_000, 'usd')).toBe('$99,999.99')
    expect(shortQuantity(123_499_000_000_000, 'usd')).toBe('$123.4k')
    expect(shortQuantity(4_500_000_000_000_000, 'usd')).toBe('$4.5M')
  })

  test('has its unit where that is not money, and no digits that say nothing', () => {
    expect(shortAmount(45_000_000, 'tokens')).toBe('45M tokens')
    expect(shortAmount(900_000, 'tokens')).toBe('900k tokens')
    expect(shortAmount(1500, 'requests')).toBe('1,500 requests')
    expect(shortAmount(20_000_000_000, 'usd')).toBe('$20.00')
  })

  test('is whole up to ten million tokens', () => {
    expect(shortCount(9_999_999)).toBe('9,999,999')
    expect(shortCount(12_399_999)).toBe('12.3M')
    expect(shortCount(-12_399_999)).toBe('-12.3M')
  })

  test('has four decimals in a column where one of them is below a dollar', () => {
    expect(decimalsFor([0, 1_000_000_000])).toBe(2)
    expect(decimalsFor([0, 999_999_999, 5_000_000_000])).toBe(4)
  })
})

describe('a share in percent', () => {
  test('is 100 only when it is full, and 0 only when it is nothing', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 2, noNaN: true }), (share) => {
        expect(percent(share) === '0%').toBe(share === 0)
        expect(Number.parseInt(percent(share), 10) >= 100).toBe(share >= 1 - 1e-10)
      }),
    )
    expect(percent(0.29)).toBe('29%')
    expect(percent(0.003)).toBe('<1%')
  })
})

describe('a time to come', () => {
  test('is in the zone, with the year where it is far', () => {
    expect(shortInstant('2026-12-01T05:00:00Z', 'America/New_York', '2026-11-20T00:00:00Z')).toBe('12-01 00:00')
    expect(shortInstant('2027-12-01T05:00:00Z', 'America/New_York', '2026-11-20T00:00:00Z')).toBe('2027-12-01')
  })
})

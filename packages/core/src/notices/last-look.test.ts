import { expect, test } from 'vitest'
import type { PreparedPolicy } from '../policy/prepare.ts'
import { LastLook } from './last-look.ts'

const NOW = Date.parse('2026-04-01T12:00:00Z')
// Only which one it is matters here.
const [policy, otherPolicy] = [{}, {}] as unknown as [PreparedPolicy, PreparedPolicy]

test('nothing is the same at the first look', () => {
  expect(new LastLook().same(policy, 0, NOW)).toBe(false)
})

test('what is unchanged is the same until the next quarter-hour begins', () => {
  const last = new LastLook()
  last.same(policy, 7, NOW)
  expect(last.same(policy, 7, NOW + 30_000)).toBe(true)
  expect(last.same(policy, 7, NOW + 899_999)).toBe(true)
  expect(last.same(policy, 7, NOW + 900_000)).toBe(false)
  expect(last.same(policy, 7, NOW + 930_000)).toBe(true)
})

test.each([
  ['a change of the books', policy, 8],
  ['the policy', otherPolicy, 7],
] as const)('%s makes a difference, once', (_, prepared, revision) => {
  const last = new LastLook()
  last.same(policy, 7, NOW)
  expect(last.same(prepared, revision, NOW)).toBe(false)
  expect(last.same(prepared, revision, NOW)).toBe(true)
})

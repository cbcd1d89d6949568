import { expect, test } from 'vitest'
import { MancipleError } from '../errors.ts'
import { checkUsage, type Usage } from './usage.ts'

const whole: Required<Usage> = { inputTokens: 10, outputTokens: 10, cacheReadTokens: 4, cacheWriteTokens: 4, reasoningTokens: 4 }

function refusal(usage: unknown): MancipleError {
  try {
    checkUsage(usage as Usage)
  } catch (error) {
    if (error instanceof MancipleError) return error
    throw error
  }
  throw new Error('the usage was taken')
}

test('a usage without cache and reasoning has none of them', () => {
  expect(checkUsage({ inputTokens: 1500, outputTokens: 800 })).toEqual({
    inputTokens: 1500,
    outputTokens: 800,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
  })
})

test('a whole usage comes back as it is, without fields of others', () => {
  expect(checkUsage(Object.assign({ prompt: 'secret' }, whole))).toEqual(whole)
})

test('cached tokens may be all of the input, and reasoning all of the output', () => {
  const usage = { inputTokens: 8, outputTokens: 5, cacheReadTokens: 3, cacheWriteTokens: 5, reasoningTokens: 5 }
  expect(checkUsage(usage)).toEqual(usage)
  expect(checkUsage({ inputTokens: 0, outputTokens: Number.MAX_SAFE_INTEGER }).outputTokens).toBe(Number.MAX_SAFE_INTEGER)
})

const malformed: readonly (readonly [unknown, string])[] = [
  [NaN, 'NaN'],
  [-1, '-1'],
  [1.5, '1.5'],
  ['abc', '"abc"'],
  ['12', '"12"'],
  [Infinity, 'Infinity'],
  [2 ** 53, '9007199254740992'],
  [null, 'null'],
  [true, 'true'],
  [{}, 'an object'],
  [10n, '10'],
]

for (const field of Object.keys(whole)) {
  for (const [value, shown] of malformed) {
    test(`${field}: ${shown} is refused by name and value`, () => {
      const error = refusal({ ...whole, [field]: value })
      expect(error.code).toBe('USAGE_INVALID')
      expect(error.message).toContain(`${field}: expected a whole number of tokens, 0 or more, found ${shown}\n`)
    })
  }
}

test.each(['inputTokens', 'outputTokens'])('%s must be there', (field) => {
  expect(refusal({ ...whole, [field]: undefined }).message).toContain(`${field}: expected a whole number of tokens, 0 or more, found nothing\n`)
})

test.each([undefined, null, 'tokens', 7])('%s is no usage', (usage) => {
  expect(refusal(usage).code).toBe('USAGE_INVALID')
})

test('more cached tokens than input are refused, also where their sum is beyond what a double holds', () => {
  expect(refusal({ ...whole, cacheReadTokens: 7 }).message).toContain('cacheReadTokens + cacheWriteTokens: expected at most inputTokens, found 7 and 4 of 10')
  const most = Number.MAX_SAFE_INTEGER
  expect(refusal({ ...whole, inputTokens: most, cacheReadTokens: most, cacheWriteTokens: 1 }).code).toBe('USAGE_INVALID')
})

test('more reasoning than output is refused', () => {
  expect(refusal({ ...whole, reasoningTokens: 11 }).message).toContain('reasoningTokens: expected at most outputTokens, found 11 of 10')
})

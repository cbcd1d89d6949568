import { expect, test } from 'vitest'
import { isListedModel, isListedProvider, listedModels, PROVIDERS } from './listed.ts'

test('every provider that is proposed is one of the list, by its own name', () => {
  expect(PROVIDERS.filter((provider) => !isListedProvider(provider))).toEqual([])
})

test.each(['bedrock', 'vertex', 'xai', 'OpenAI'])('the list knows %s by another name', (provider) => {
  expect(isListedProvider(provider)).toBe(true)
})

test.each(['openia', 'acme', ''])('the list does not know "%s"', (provider) => {
  expect(isListedProvider(provider)).toBe(false)
})

test('a model is listed with its provider, whatever date or region its name ends with', () => {
  expect(isListedModel('anthropic', 'claude-sonnet-4-20250514')).toBe(true)
  expect(isListedModel('aws', 'anthropic.claude-sonnet-4-20250514-v1:0')).toBe(true)
  expect(isListedModel('openrouter', 'openai/gpt-5')).toBe(true)
  expect(isListedModel('anthropic', 'gpt-5')).toBe(false)
  expect(isListedModel('anthropic', 'claude-sonet-4-2025')).toBe(false)
})

test("the names of a provider's models are its own and those that they go by as well", () => {
  expect(listedModels('openai')).toEqual(expect.arrayContaining(['gpt-5', 'gpt-5-mini']))
  expect(listedModels('anthropic')).toContain('claude-sonnet-4')
  expect(listedModels('acme')).toEqual([])
})

import { describe, expect, it } from 'vitest'
import { nearest } from './nearest.ts'

describe('The nearest name', () => {
  it.each([
    ['daily_limt_usd', ['daily_limit_usd', 'monthly_limit_usd'], 'daily_limit_usd'],
    ['Claude', ['claude', 'gpt'], 'claude'],
    ['piority', ['priority'], 'priority'],
    // Two letters that have changed places are one slip.
    ['gtp', ['claude', 'kimi', 'gpt', 'gemini', 'local'], 'gpt'],
    ['qouta', ['provider', 'kind', 'models', 'quota', 'paid', 'limits'], 'quota'],
    ['modle', ['models', 'model', 'hour'], 'model'],
    ['opuuss', ['opus'], 'opus'],
    // One slip in a short name, two in a longer one.
    ['locl', ['claude', 'local'], 'local'],
    ['payed', ['provider', 'kind', 'models', 'quota', 'paid', 'limits'], 'paid'],
    ['al.day', ['all.day', 'all.month'], 'all.day'],
    ['deny', ['any'], undefined],
    ['a', ['b'], undefined],
    // A part of a name, or a name with something added; slips come first.
    ['daily_limit', ['monthly_limit_usd', 'daily_limit_usd'], 'daily_limit_usd'],
    ['opus', ['claude-haiku-4-5', 'claude-opus-4-8'], 'claude-opus-4-8'],
    ['claude-sonnet-4-20250514-thinking', ['claude-sonnet-4-20250514', 'claude-opus-4-8'], 'claude-sonnet-4-20250514'],
    ['models', ['model', 'models_of_all'], 'model'],
    ['all', ['all.day'], undefined],
    ['mistral', ['claude', 'gemini'], undefined],
    ['gpt', [], undefined],
    ['gpt', ['gpt'], undefined],
  ])('to %s among %j is %s', (word, names, expected) => {
    expect(nearest(word, names)).toBe(expected)
  })

  it('to a text that is much longer than a name is none', () => {
    expect(nearest('budgets'.repeat(1_000), ['budgets'])).toBeUndefined()
  })
})

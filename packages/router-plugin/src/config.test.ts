import { expect, test } from 'vitest'
import { parsePluginConfig } from './config.ts'

const MODELS = { claude: { backend: 'claude', model: 'claude-opus-4-1' }, local: { backend: 'local', model: 'llama' } }

test('a config is read, and what it leaves out has a default', () => {
  const config = parsePluginConfig({ policy: 'budgets.yaml', ledger: 'data', models: MODELS, clock: { start: '2026-06-01T00:00:00-04:00', rate: 64_800 } })
  expect(config).toEqual({
    policy: 'budgets.yaml',
    ledger: 'data',
    models: new Map(Object.entries(MODELS)),
    clock: { startMs: Date.parse('2026-06-01T04:00:00Z'), rate: 64_800 },
    callTimeoutMs: 600_000,
    maxRetries: 1,
  })
})

test('every mistake is named at once', () => {
  const wrong = { policy: '', models: { auto: { backend: 'x', model: 'y' } }, clock: { start: 'soon', rate: -1 }, callTimeout: 5 }
  expect(() => parsePluginConfig(wrong)).toThrow(
    expect.objectContaining({
      code: 'PLUGIN_CONFIG_INVALID',
      message: expect.stringMatching(/policy.*ledger.*models.*auto.*clock\.start.*clock\.rate.*callTimeout/s),
    }),
  )
})

test.each([undefined, null, 'x', {}, { policy: 'a', ledger: 'b', models: {} }])('%j is refused with a code', (config) => {
  expect(() => parsePluginConfig(config)).toThrow(expect.objectContaining({ code: 'PLUGIN_CONFIG_INVALID' }))
})

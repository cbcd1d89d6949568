import { expect, test, vi } from 'vitest'
import type * as real from './engine.ts'
import { createRuleSet } from './rule-set.ts'

vi.mock('./engine.ts', async (original) => {
  const engine = await original<typeof real>()
  return { ...engine, runFresh: async (...question: Parameters<typeof engine.runFresh>) => (await engine.runFresh(...question)).map((answer) => !answer) }
})

test('an engine that disagrees with the tables is a fault', async () => {
  const backend = { name: 'gpt', kind: 'cloud', provider: undefined, models: ['m'], quota: undefined, paidNano: undefined } as const
  const rules = await createRuleSet({
    version: 'test',
    text: '',
    timezone: 'UTC',
    backends: [backend],
    limits: [],
    warningThreshold: 0.8,
    hardStop: true,
    floors: { backend: 0.5, total: 0.7, lowRemaining: 0.1 },
    preferences: new Map(),
    prices: new Map(),
    maxOutputTokens: 8192,
    rules: [{ name: 'nights only', conditions: { all: [{ fact: 'hour', operator: 'equal', value: 3 }] }, event: { type: 'forbid', params: {} }, line: 7 }],
  })
  rules.begin({ nowMs: 0, taskType: null, taskId: null, tags: [], inputTokens: 0 }, [])
  const explained = rules.explain({ backend, model: 'm', maxOutputTokens: 1, estimate: { costNano: 0, tokens: 0, requests: 0 } })
  await expect(explained).rejects.toMatchObject({ code: 'RULES_DISAGREE', details: { rule: 'nights only' } })
})

import type { TraceCall } from '@manciple/core'
import { randomFrom } from '../bench/rule-generator.ts'

export const START_MS = Date.parse('2026-04-01T00:00:00Z')
const DAY_MS = 86_400_000

/** Quotas of several kinds and own rules: every way in which a call can be kept from its first choice. */
export const POLICY = `
timezone: UTC
backends:
  claude: { provider: anthropic, models: [c-large, c-small], quota: 2.00/week@Mon 09:00, limits: [200k tokens/5h@first-use] }
  gpt: { provider: openai, models: [g], quota: 3.00/month }
  gemini: { provider: google, models: [m], quota: 60 requests/day, paid: 0.10/day }
  local: { kind: local, models: [l] }
limits:
  - { name: bulk, amount: 0.40/3d, task_type: bulk }
prices:
  c-large: { input_mtok: 3, output_mtok: 15 }
  c-small: { input_mtok: 1, output_mtok: 5 }
  g: { input_mtok: 1.25, output_mtok: 10 }
  m: { input_mtok: 1.25, output_mtok: 10 }
preferences:
  code: { claude: 1.0, gpt: 0.9, gemini: 0.7, local: 0.5 }
  chat: { claude: 0.7, gpt: 0.9, gemini: 1.0, local: 0.6 }
rules:
  - name: large is for code
    conditions: { all: [{ fact: model, operator: equal, value: c-large }, { fact: task_type, operator: notEqual, value: code }] }
    event: { type: forbid, params: { message: the large model is kept for code } }
  - name: nights are cheap
    conditions: { all: [{ fact: hour, operator: lessThan, value: 6 }, { fact: backend, operator: equal, value: gpt }] }
    event: { type: prefer, params: { by: 0.15 } }
`

/** As many calls over so many days, in order of time; some name a backend, some a model. */
export function makeCalls(count: number, days: number, seed: number): readonly TraceCall[] {
  const random = randomFrom(seed)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const times = Array.from({ length: count }, () => START_MS + Math.floor(random() * days * DAY_MS)).sort((left, right) => left - right)
  return times.map((atMs, index) => {
    const maxOutputTokens = pick([500, 1000, 2000])
    const backend = random() < 0.3 ? pick(['claude', 'gpt', 'gemini', 'local']) : undefined
    return {
      id: `c${index}`,
      atMs,
      durationMs: Math.floor(random() * 1_200_000),
      backend,
      model: backend === 'claude' && random() < 0.5 ? pick(['c-large', 'c-small']) : undefined,
      taskId: undefined,
      taskType: pick(['code', 'chat', 'bulk', undefined]),
      inputTokens: Math.floor(random() * 6000),
      outputTokens: Math.floor(random() * maxOutputTokens),
      cacheReadTokens: 0,
      cacheWriteTokens: 0,
      reasoningTokens: 0,
      maxOutputTokens,
    }
  })
}

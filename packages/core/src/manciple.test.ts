import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { BRIEF, SONNET, USAGE, open, settled } from '../../../test/opened-manciple.ts'
import type { DecideRequest } from './decision.ts'
import { openManciple } from './manciple.ts'

describe('a decision', () => {
  test('goes where the request asks while there is room, and its entry carries the nine fields of the brief in order', async () => {
    const { manciple } = await open(BRIEF)
    const dispatch = await manciple.decide(SONNET)
    expect(dispatch.decision).toMatchObject({
      verdict: 'dispatch',
      backend: 'claude',
      model: 'claude-sonnet-4-20250514',
      maxOutputTokens: 800,
      reasons: ['as requested'],
    })
    const entry = await dispatch.settle({ usage: USAGE, durationMs: 1234 })
    expect(Object.keys(entry).slice(0, 9)).toEqual([
      'timestamp',
      'backend',
      'model',
      'prompt_tokens',
      'completion_tokens',
      'cost_usd',
      'task_id',
      'task_type',
      'duration_ms',
    ])
    expect(entry).toMatchObject({
      backend: 'claude',
      prompt_tokens: 1500,
      completion_tokens: 800,
      cost_usd: 0.0165,
      task_id: 'issue-94',
      task_type: 'reasoning',
      duration_ms: 1234,
    })
    expect(entry.policy).toBe(dispatch.decision.policy)
  })

  test('takes the best backend when the request names none', async () => {
    const { manciple } = await open(`${BRIEF}preferences: { chat: { kimi: 0.9, claude: 0.7 } }`)
    const { decision } = await manciple.decide({ taskType: 'chat', inputTokens: 10 })
    expect(decision).toMatchObject({ verdict: 'dispatch', backend: 'kimi' })
  })

  test('forces the default bound on output where the request has none', async () => {
    const { manciple } = await open(BRIEF)
    expect((await manciple.decide({ backend: 'gpt', inputTokens: 10 })).decision.maxOutputTokens).toBe(8192)
  })

  test('prefers another model of the same backend when the model alone is refused', async () => {
    const { manciple } = await open(`${BRIEF}limits: [{ name: opus, amount: 0.001/day, model: claude-opus-4-8 }]`)
    const { decision } = await manciple.decide({ ...SONNET, model: 'claude-opus-4-8' })
    expect(decision).toMatchObject({ verdict: 'reroute', backend: 'claude', model: 'claude-sonnet-4-20250514' })
    expect(decision.reasons[0]).toMatch(/^claude\/claude-opus-4-8 was left: opus has \$0\.001 left and this call may cost/)
  })

  test('stays with a named local backend', async () => {
    const { manciple } = await open(BRIEF)
    expect((await manciple.decide({ backend: 'local', inputTokens: 10 })).decision).toMatchObject({ verdict: 'dispatch', backend: 'local' })
  })

  test('keeps a pinned request with its backend or local', async () => {
    const { manciple } = await open('budgets: { per_backend: { claude: 0/month } }')
    expect((await manciple.decide({ ...SONNET, pinned: true })).decision).toMatchObject({ verdict: 'reroute', backend: 'local' })
    expect((await manciple.decide(SONNET)).decision.backend).not.toBe('local')
  })

  test('keeps to the candidates of the request, and local', async () => {
    const { manciple } = await open('budgets: { per_backend: { gemini: 0/month } }')
    expect((await manciple.decide({ candidates: ['gemini'], inputTokens: 10 })).decision.backend).toBe('local')
    expect((await manciple.decide({ candidates: ['gemini', 'gpt'], inputTokens: 10 })).decision.backend).toBe('gpt')
  })

  test('leaves a named backend out when it is no candidate, as after a failure', async () => {
    const { settle } = await open(BRIEF)
    expect(await settle({ ...SONNET, candidates: ['gpt'] })).toMatchObject({ backend: 'gpt', requested_backend: 'claude' })
    expect(await settle({ ...SONNET, candidates: ['gpt'], pinned: true })).toMatchObject({ backend: 'local', requested_backend: 'claude' })
  })

  test('cuts the output to the room that is left before it goes elsewhere empty-handed', async () => {
    const { manciple } = await open('{ budgets: { daily_limit_usd: 0.01 }, backends: { claude: {}, local: {} } }')
    const { decision } = await manciple.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 5000 })
    expect(decision.backend).toBe('claude')
    expect(decision.maxOutputTokens).toBeLessThan(5000)
    expect(decision.maxOutputTokens).toBeGreaterThanOrEqual(256)
    expect(decision.estimateNano).toBeLessThanOrEqual(10_000_000)
    expect(decision.reasons.join()).toContain(`output is cut to ${decision.maxOutputTokens} tokens`)
  })

  test('never cuts below a thinking budget', async () => {
    const { manciple } = await open('{ budgets: { daily_limit_usd: 0.01 }, backends: { claude: { models: [claude-sonnet-4-20250514] }, local: {} } }')
    const { decision } = await manciple.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 5000, minOutputTokens: 2000 })
    expect(decision.backend).toBe('local')
  })

  test('refuses, with the reset, when nobody may take the call', async () => {
    const { manciple } = await open('{ budgets: { daily_limit_usd: 0.001 }, backends: { claude: {} } }')
    const dispatch = await manciple.decide(SONNET)
    expect(dispatch.decision).toMatchObject({ verdict: 'refuse', backend: undefined, hold: undefined })
    await expect(dispatch.settle(USAGE)).rejects.toMatchObject({ code: 'HOLD_ENDED' })
  })

  test('says when a cloud backend could take it again', async () => {
    const { manciple, settle } = await open('{ budgets: { daily_limit_usd: 0.02 }, backends: { claude: { models: [claude-sonnet-4-20250514] }, local: {} } }')
    await settle(SONNET)
    const { decision } = await manciple.decide({ ...SONNET, pinned: true })
    expect(decision).toMatchObject({ backend: 'local', resetMs: Date.parse('2026-11-11T00:00:00Z') })
  })

  test('an unknown price closes the cloud for that model, and says so', async () => {
    const { manciple, kinds } = await open('backends: { claude: { models: [no-such-model] }, local: {} }')
    const { decision } = await manciple.decide({ backend: 'claude', inputTokens: 10 })
    expect(decision.backend).toBe('local')
    expect(decision.reasons[0]).toContain('its price is unknown')
    await settled()
    expect(kinds()).toContain('price-unknown')
  })

  test('an unknown price is told also when another cloud backend takes the call', async () => {
    const { manciple, kinds } = await open('backends: { claude: { models: [no-such-model] }, gpt: {}, local: {} }')
    expect((await manciple.decide({ backend: 'claude', inputTokens: 10 })).decision.backend).toBe('gpt')
    await settled()
    expect(kinds()).toContain('price-unknown')
  })

  test('hard_stop: false warns and lets calls through', async () => {
    const { manciple, settle, kinds } = await open('budgets: { daily_limit_usd: 0.01, hard_stop: false }')
    await settle(SONNET)
    await settle(SONNET)
    expect((await manciple.decide(SONNET)).decision.backend).toBe('claude')
    await settled()
    expect(kinds()).toContain('limit-reached')
    expect(kinds()).not.toContain('local-only')
    expect(manciple.budget().limits[0]?.free).toBeLessThan(0)
  })
})

describe('bad input', () => {
  test.each<[string, DecideRequest, string]>([
    ['a negative token count', { inputTokens: -1 }, 'REQUEST_INVALID'],
    ['a NaN token count', { inputTokens: Number.NaN }, 'REQUEST_INVALID'],
    ['a fraction of a token', { inputTokens: 1, maxOutputTokens: 1.5 }, 'REQUEST_INVALID'],
    ['an endless bound', { inputTokens: 1, maxOutputTokens: Number.POSITIVE_INFINITY }, 'REQUEST_INVALID'],
    ['an unknown backend', { backend: 'claud', inputTokens: 1 }, 'BACKEND_UNKNOWN'],
    ['an unknown candidate', { candidates: ['claud'], inputTokens: 1 }, 'BACKEND_UNKNOWN'],
    ['a model without a backend', { model: 'no-such-model', inputTokens: 1 }, 'REQUEST_INVALID'],
    ['pinned to nothing', { pinned: true, inputTokens: 1 }, 'REQUEST_INVALID'],
    ['an empty task id', { taskId: '', inputTokens: 1 }, 'REQUEST_INVALID'],
  ])('%s is a coded error and reserves nothing', async (_, request, code) => {
    const { manciple } = await open(BRIEF)
    await expect(manciple.decide(request)).rejects.toMatchObject({ code })
    expect(manciple.budget().limits.every((limit) => limit.held === 0)).toBe(true)
  })

  test('a malformed usage settles nothing, and the dispatch can still be settled', async () => {
    const { manciple } = await open(BRIEF)
    const dispatch = await manciple.decide(SONNET)
    await expect(dispatch.settle({ inputTokens: Number.NaN, outputTokens: 1 })).rejects.toMatchObject({ code: 'USAGE_INVALID' })
    await expect(dispatch.settle({ inputTokens: 10, outputTokens: -1 })).rejects.toMatchObject({ code: 'USAGE_INVALID' })
    expect((await dispatch.settle(USAGE)).cost_usd).toBe(0.0165)
  })

  test('a missing file and a malformed one are coded errors', async () => {
    await expect(openManciple({ config: '/no/such/file.yaml', ledger: 'memory' })).rejects.toMatchObject({ code: 'CONFIG_MISSING' })
    await expect(openManciple({ config: { text: 'budgets: { daily_limit_usd: -5 }' }, ledger: 'memory' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

describe('billing', () => {
  test('happens once', async () => {
    const { manciple } = await open(BRIEF)
    const dispatch = await manciple.decide(SONNET)
    await dispatch.settle(USAGE)
    await expect(dispatch.settle(USAGE)).rejects.toMatchObject({ code: 'HOLD_ENDED' })
    await expect(dispatch.release('again')).rejects.toMatchObject({ code: 'HOLD_ENDED' })
    expect(manciple.costs().today).toEqual({ costNano: 16_500_000, tokens: 2300, requests: 1 })
  })

  test('a released dispatch leaves no trace in the totals', async () => {
    const { manciple } = await open(BRIEF)
    const before = manciple.budget().limits
    await (await manciple.decide(SONNET)).release('connection refused')
    expect(manciple.budget().limits).toEqual(before)
  })

  test('a dispatch that nobody settled bills its hold', async () => {
    const { manciple } = await open(BRIEF)
    {
      await using dispatch = await manciple.decide(SONNET)
      expect(dispatch.decision.backend).toBe('claude')
    }
    expect(manciple.costs().today.costNano).toBe(manciple.costs().month.costNano)
    expect(manciple.costs().today.costNano).toBeGreaterThanOrEqual(16_500_000)
  })

  test('more than the hold is recorded as it is, flagged, and told', async () => {
    const { manciple, kinds } = await open(BRIEF)
    const entry = await (await manciple.decide(SONNET)).settle({ inputTokens: 1500, outputTokens: 8000 })
    expect(entry).toMatchObject({ overrun: true, completion_tokens: 8000 })
    await settled()
    expect(kinds()).toContain('overrun')
  })

  test('closing bills what is still open', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'manciple-'))
    const first = await open(BRIEF, { ledger: folder })
    await first.manciple.decide(SONNET)
    await first.manciple.close()
    const second = await open(BRIEF, { ledger: folder })
    expect(second.manciple.costs().today.requests).toBe(1)
    expect(second.manciple.budget().limits.every((limit) => limit.presumed === 0 && limit.held === 0)).toBe(true)
    await second.manciple.close()
    await rm(folder, { recursive: true })
  })

  test('500 at once against room for 50: never a nano above the limit, the rest local, nobody refused', async () => {
    for (let repetition = 0; repetition < 100; repetition++) {
      const text = '{ budgets: { daily_limit_usd: 0.825 }, backends: { claude: { models: [claude-sonnet-4-20250514] }, local: {} } }'
      const { manciple } = await open(text)
      const dispatches = await Promise.all(Array.from({ length: 500 }, () => manciple.decide({ ...SONNET, minOutputTokens: 800 })))
      const cloud = dispatches.filter((dispatch) => dispatch.decision.backend === 'claude')
      expect(dispatches.every((dispatch) => dispatch.decision.verdict !== 'refuse')).toBe(true)
      const [limit] = manciple.budget().limits
      expect(limit?.held).toBe(cloud.reduce((sum, dispatch) => sum + dispatch.decision.estimateNano, 0))
      expect(limit?.held).toBeLessThanOrEqual(825_000_000)
      expect(cloud.length).toBeGreaterThan(30)
      const entries = await Promise.all(dispatches.map((dispatch) => dispatch.settle(USAGE)))
      expect(new Set(entries.map((entry) => entry.id)).size).toBe(500)
      expect(manciple.budget().limits[0]).toMatchObject({ settled: cloud.length * 16_500_000, held: 0 })
      await manciple.close()
    }
  })
})

describe('explain', () => {
  test('names candidates, rules, facts and headroom, and reserves nothing', async () => {
    const { manciple } = await open(BRIEF)
    const explanation = await manciple.explain(SONNET)
    expect(explanation).toMatchObject({ verdict: 'dispatch', backend: 'claude', reasons: ['as requested'] })
    const [claude] = explanation.candidates
    expect(claude?.headroom).toEqual([
      { limit: 'all.day', unit: 'usd', free: 5_000_000_000 },
      { limit: 'all.month', unit: 'usd', free: 50_000_000_000 },
      { limit: 'claude.month', unit: 'usd', free: 20_000_000_000 },
    ])
    expect(claude?.rules.length).toBeGreaterThan(0)
    expect(manciple.budget().limits.every((limit) => limit.held === 0)).toBe(true)
  })
})

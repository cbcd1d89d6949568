import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { manualClock } from './clock.ts'
import type { DecideRequest } from './decision.ts'
import { openManciple, type Manciple } from './manciple.ts'
import type { Notice } from './notices/notice.ts'

const NOON = Date.parse('2026-11-10T12:00:00Z')
const HOUR = 3_600_000
const BRIEF = `
budgets:
  daily_limit_usd: 5.00
  monthly_limit_usd: 50.00
  per_backend:
    claude: 20.00/month
    kimi: 15.00/month
    gpt: 10.00/month
    gemini: 5.00/month
  warning_threshold: 0.8   # warn at 80% spend
  hard_stop: true          # refuse cloud calls at limit
`
const SONNET: DecideRequest = { backend: 'claude', taskId: 'issue-94', taskType: 'reasoning', inputTokens: 1500, maxOutputTokens: 800 }
const USAGE = { inputTokens: 1500, outputTokens: 800 }

const opened: Manciple[] = []
afterEach(async () => {
  for (const manciple of opened.splice(0)) await manciple.close()
})

async function open(text: string, options: { ledger?: string; clock?: ReturnType<typeof manualClock> } = {}) {
  const { ledger = 'memory', clock = manualClock(NOON) } = options
  const manciple = await openManciple({ config: { text }, ledger, clock })
  opened.push(manciple)
  const notices: Notice[] = []
  manciple.on('notice', (notice) => notices.push(notice))
  const settle = async (request: DecideRequest, usage = USAGE) => (await manciple.decide(request)).settle(usage)
  return { manciple, clock, notices, settle, kinds: () => notices.map((notice) => notice.kind) }
}

/** Lets notices that were raised be written and emitted. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 5))

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

describe('notices', () => {
  test('exhausted is said once a window, restored when the next begins', async () => {
    const text = '{ timezone: America/New_York, budgets: { daily_limit_usd: 0.02 }, backends: { claude: { models: [claude-sonnet-4-20250514] }, local: {} } }'
    const { manciple, clock, notices, settle } = await open(text)
    for (let call = 0; call < 5; call++) await settle(SONNET)
    await settled()
    const exhausted = notices.filter((notice) => notice.kind === 'local-only')
    expect(exhausted.map((notice) => notice.text)).toEqual(['Cloud budget exhausted, operating local-only until 2026-11-11 00:00'])
    expect(manciple.budget().localOnly?.number).toBe(exhausted[0]?.number)
    clock.advance(18 * HOUR)
    await settled()
    expect(notices.filter((notice) => notice.kind === 'restored')).toHaveLength(1)
    expect((await manciple.decide(SONNET)).decision.backend).toBe('claude')
    expect(notices.map((notice) => notice.number)).toEqual(notices.map((_, index) => index + 1))
  })

  test('holds alone never make the purse look empty', async () => {
    const { manciple, kinds } = await open('{ budgets: { daily_limit_usd: 0.02 }, backends: { claude: { models: [claude-sonnet-4-20250514] }, local: {} } }')
    const first = await manciple.decide(SONNET)
    expect((await manciple.decide({ ...SONNET, minOutputTokens: 800 })).decision.backend).toBe('local')
    await settled()
    expect(kinds()).not.toContain('local-only')
    await first.release('no')
  })

  test('a warning at the threshold, once', async () => {
    const { settle, notices } = await open('budgets: { daily_limit_usd: 0.1 }')
    for (let call = 0; call < 5; call++) await settle(SONNET)
    await settled()
    const near = notices.filter((notice) => notice.kind === 'limit-near')
    expect(near).toHaveLength(1)
    expect(near[0]).toMatchObject({ scope: 'all.day', severity: 'warning' })
  })

  test('of an own rule about requests come once a day, however many match', async () => {
    const rule =
      '{ name: big, conditions: { all: [{ fact: input_tokens, operator: greaterThan, value: 1000 }] }, event: { type: notify, params: { message: a big one } } }'
    const { settle, clock, notices } = await open(`{ backends: { claude: {}, local: {} }, rules: [${rule}] }`)
    for (let call = 0; call < 10; call++) await settle(SONNET)
    await settle({ ...SONNET, inputTokens: 10 }, { inputTokens: 10, outputTokens: 1 })
    clock.advance(24 * HOUR)
    for (let call = 0; call < 10; call++) await settle(SONNET)
    await settled()
    expect(notices.filter((notice) => notice.kind === 'rule').map((notice) => notice.text)).toEqual(['a big one', 'a big one'])
  })

  test('of an own rule about time come to an idle router: at the hour, and when so much of a window has passed', async () => {
    const rule = (name: string, fact: string, value: number): string =>
      `{ name: ${name}, conditions: { all: [{ fact: ${fact}, operator: greaterThanInclusive, value: ${value} }] }, event: { type: notify } }`
    const rules = [rule('late', 'hour', 15), rule('passed', 'total.elapsed', 0.75001)]
    const { clock, notices } = await open(
      `{ timezone: UTC, budgets: { daily_limit_usd: 1 }, backends: { claude: { quota: 1.00/day }, local: {} }, rules: [${rules.join(', ')}] }`,
    )
    clock.advance(8 * HOUR)
    await settled()
    const told = notices.filter((notice) => notice.kind === 'rule').map(({ text, time }) => [text, time.slice(11, 19)])
    expect(told).toEqual([
      [expect.stringMatching(/^late/), '15:00:00'],
      [expect.stringMatching(/^passed/), '18:00:30'],
    ])
  })

  test('are remembered over a restart', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'manciple-'))
    const text = '{ budgets: { daily_limit_usd: 0.02 }, backends: { claude: { models: [claude-sonnet-4-20250514] }, local: {} } }'
    const clock = manualClock(NOON)
    const first = await open(text, { ledger: folder, clock })
    await first.settle(SONNET)
    await expect.poll(first.kinds).toContain('local-only')
    await first.manciple.close()
    const second = await open(text, { ledger: folder, clock })
    await second.settle(SONNET)
    await settled()
    expect(second.kinds()).toEqual([])
    clock.advance(13 * HOUR)
    await expect.poll(second.kinds).toContain('restored')
    await second.manciple.close()
    await rm(folder, { recursive: true })
  })

  test('a listener that throws touches neither the others nor a dispatch', async () => {
    const errors: unknown[] = []
    const manciple = await openManciple({
      config: { text: 'budgets: { daily_limit_usd: 0.02 }' },
      ledger: 'memory',
      clock: manualClock(NOON),
      onError: (error) => errors.push(error),
    })
    opened.push(manciple)
    const heard: string[] = []
    manciple.on('notice', () => {
      throw new Error('listener')
    })
    manciple.on('notice', (notice) => heard.push(notice.kind))
    await (await manciple.decide(SONNET)).settle(USAGE)
    await settled()
    expect(heard).toContain('limit-near')
    expect(errors.length).toBe(heard.length)
  })
})

describe('a damaged ledger', () => {
  test('stops cloud calls and says so, also to who listens later; local calls go on', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'manciple-'))
    const first = await open(BRIEF, { ledger: folder })
    await first.settle(SONNET)
    await first.settle(SONNET)
    await first.manciple.close()
    const journal = join(folder, 'journal-000001.jsonl')
    const text = await readFile(journal, 'utf8')
    await writeFile(journal, text.replace('"completion_tokens":800', '"completion_tokens":100'))
    const errors: unknown[] = []
    const manciple = await openManciple({ config: { text: BRIEF }, ledger: folder, clock: manualClock(NOON), onError: (error) => errors.push(error) })
    opened.push(manciple)
    const heard: string[] = []
    manciple.on('notice', (notice) => heard.push(notice.kind))
    const dispatch = await manciple.decide(SONNET)
    expect(dispatch.decision.backend).toBe('local')
    expect(dispatch.decision.reasons[0]).toMatch(/^cloud calls are stopped: /)
    expect(heard).toEqual(['ledger-fault'])
    expect(errors).toContainEqual(expect.objectContaining({ code: 'LEDGER_DAMAGED' }))
    expect(await readFile(journal, 'utf8')).toContain('"completion_tokens":100')
    await manciple.close()
    await rm(folder, { recursive: true })
  })
})

describe('floors', () => {
  const QUOTAS =
    '{ budgets: { per_backend: { claude: 1.00/month, kimi: 1.00/month } }, backends: { claude: { models: [claude-sonnet-4-20250514] }, kimi: {}, local: {} } }'
  const START = Date.parse('2026-11-01T00:00:00Z')
  const KIMI = { backend: 'kimi', inputTokens: 1500, maxOutputTokens: 800 }

  test('work goes to a quota that would lapse, even from a request that names another, and the decision says why', async () => {
    const { manciple, clock, settle } = await open(QUOTAS, { clock: manualClock(START) })
    clock.advance(24 * HOUR)
    for (let call = 0; call < 20; call++) await settle({ ...SONNET, pinned: call % 2 === 0 })
    clock.advance(9 * 24 * HOUR)
    // Prices are worked out beside the calls.
    await expect.poll(async () => (await manciple.explain(SONNET)).backend).toBe('kimi')
    const { decision } = await manciple.decide(SONNET)
    expect(decision).toMatchObject({ verdict: 'reroute', backend: 'kimi' })
    expect(decision.reasons[0]).toMatch(
      /^claude\/claude-sonnet-4-20250514 was left: kimi\/kimi-k2 scores higher \(\d+\.\d\d against -?\d+\.\d\d\); kimi: \d+% of its quota \(\$\d\.\d\d\) would lapse/,
    )
    expect((await manciple.decide({ ...SONNET, pinned: true })).decision.backend).toBe('claude')
  })

  test('work is eased off a quota that is nearly used up', async () => {
    const { manciple, settle, clock } = await open(QUOTAS.replace('claude: 1.00/month', 'claude: 0.09/month'), { clock: manualClock(START) })
    for (let call = 0; call < 5; call++) await settle({ ...SONNET, pinned: true })
    clock.advance(7 * HOUR)
    await expect
      .poll(async () => {
        const [claude, kimi] = (await manciple.explain({ inputTokens: 100, maxOutputTokens: 100 })).candidates.map(({ candidate }) => candidate.score)
        return (claude ?? 0) < (kimi ?? 0)
      })
      .toBe(true)
  })

  test('the three alerts of the brief are raised, each once', async () => {
    const { settle, clock, notices } = await open(QUOTAS, { clock: manualClock(START) })
    for (let call = 0; call < 56; call++) await settle({ ...SONNET, pinned: true })
    await settle(KIMI)
    clock.advance(16 * 24 * HOUR)
    await settled()
    clock.advance(2 * 24 * HOUR)
    await settled()
    const told = (kind: string, scope: string) => notices.filter((notice) => notice.kind === kind && notice.scope === scope).map(({ severity }) => severity)
    // All but one call are pinned elsewhere: advice from a quarter of the window on, an alert from half on, and so no word in mid-cycle.
    expect(told('under-used', 'kimi')).toEqual(['advice', 'alert'])
    expect(told('under-used', 'claude')).toEqual([])
    expect(notices.filter((notice) => notice.kind === 'low-remaining' && notice.scope.startsWith('claude'))).toHaveLength(1)
    expect(told('too-conservative', 'total')).toEqual(['advice', 'alert'])
  })

  test('too little over all is told at mid-cycle', async () => {
    const { settle, clock, kinds } = await open(QUOTAS, { clock: manualClock(START) })
    await settle(KIMI)
    clock.advance(16 * 24 * HOUR)
    await settled()
    expect(kinds()).toContain('demand-shortfall')
  })
})

describe('an edited policy', () => {
  test('is in force within 250 ms, and each entry carries the version that ruled it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'manciple-'))
    const file = join(folder, 'budgets.yaml')
    await writeFile(file, 'budgets: { daily_limit_usd: 5.00 }')
    const manciple = await openManciple({ config: file, ledger: 'memory' })
    opened.push(manciple)
    const notices: Notice[] = []
    manciple.on('notice', (notice) => notices.push(notice))
    const before = await (await manciple.decide(SONNET)).settle(USAGE)
    await writeFile(file, 'budgets: { daily_limit_usd: 6.00 }')
    await expect.poll(() => manciple.budget().limits[0]?.quantity, { timeout: 2000, interval: 10 }).toBe(6_000_000_000)
    const after = await (await manciple.decide(SONNET)).settle(USAGE)
    expect(after.policy).not.toBe(before.policy)
    expect(manciple.budget().limits[0]?.settled).toBe(33_000_000)
    expect(notices.find((notice) => notice.kind === 'policy-changed')?.text).toContain('all.day: 5.00/day → 6.00/day')
    await writeFile(file, 'budgets: { daily_limit_usd: 6.00, hard_stopp: true }')
    await expect.poll(() => notices.map((notice) => notice.kind), { timeout: 6000, interval: 10 }).toContain('policy-rejected')
    expect((await manciple.decide(SONNET)).decision.policy).toBe(after.policy)
    await rm(folder, { recursive: true })
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

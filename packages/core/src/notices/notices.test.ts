import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { BRIEF, HOUR, NOON, SONNET, USAGE, closeLater, open, settled } from '../../../../test/opened-manciple.ts'
import { manualClock } from '../clock.ts'
import { openManciple } from '../manciple.ts'
import type { Notice } from '../notices/notice.ts'

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
    closeLater(manciple)
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
    closeLater(manciple)
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
    closeLater(manciple)
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

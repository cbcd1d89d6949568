import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { manualClock } from './clock.ts'
import { importSpend, type ImportReport } from './import-spend.ts'
import { exportLedger } from './ledger/export.ts'
import { openManciple, type Manciple } from './manciple.ts'
import { openOutsideView } from './outside-view.ts'
import { adjustSpend, dropPresumed, verifyLedger } from './upkeep.ts'
import type { LedgerEntry } from './ledger/record.ts'

const POLICY = `
timezone: America/New_York
budgets: { daily_limit_usd: 5.00, monthly_limit_usd: 50.00, per_backend: { claude: 20.00/month } }
backends:
  claude: { provider: anthropic, models: [claude-sonnet-4-20250514] }
  mine: { provider: openai, models: [my-model] }
prices: { my-model: { input_mtok: 1.00, output_mtok: 2.00 } }
`
/** Monday 20 November 2090, 9:00 in New York, after any clock that runs these tests. */
const START_MS = Date.parse('2090-11-20T14:00:00Z')
const DAY_MS = 86_400_000

/** A folder for one test, and a ledger in it whose router has run and stopped. */
async function stopped(calls = 0): Promise<{ folder: string; file: (name: string, content: string) => string }> {
  const base = mkdtempSync(join(tmpdir(), 'import-'))
  onTestFinished(() => rmSync(base, { recursive: true, force: true }))
  const folder = join(base, 'ledger')
  const router = await started(folder)
  for (let call = 0; call < calls; call += 1) {
    const dispatch = await router.decide({ backend: 'claude', taskType: 'chat', inputTokens: 1000, maxOutputTokens: 2000, pinned: true })
    await dispatch.settle({ usage: { inputTokens: 1000, outputTokens: 2000 } })
  }
  await router.close()
  const file = (name: string, content: string): string => {
    const path = join(base, 'spend', name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, content)
    return path
  }
  return { folder, file }
}

function started(folder: string): Promise<Manciple> {
  return openManciple({ config: { text: POLICY }, ledger: folder, clock: manualClock(START_MS) })
}

function imported(folder: string, paths: readonly string[], backend?: string): Promise<ImportReport> {
  return importSpend(folder, paths, { nowMs: START_MS, ...(backend === undefined ? {} : { backend }) })
}

async function limitsOf(folder: string): Promise<Record<string, number>> {
  const view = await openOutsideView(folder, { at: 'latest' })
  return Object.fromEntries(
    view.budget().limits.map(({ limit, settled, held, presumed, free, quantity }) => {
      expect(settled + held + presumed + free).toBe(quantity)
      return [limit, settled]
    }),
  )
}

async function entriesOf(folder: string): Promise<LedgerEntry[]> {
  let text = ''
  for await (const piece of exportLedger(folder, { format: 'jsonl' })) text += piece
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as LedgerEntry)
}

async function isWhole(folder: string): Promise<void> {
  expect((await verifyLedger(folder)).findings).toEqual([])
}

describe('importSpend', () => {
  it('counts what was spent before in the windows of its own time, once', async () => {
    const { folder, file } = await stopped(1)
    const path = file(
      'before.csv',
      'Timestamp,Backend,Model,Prompt Tokens,Completion Tokens,Cost USD,task_id,task_type,duration_ms\r\n' +
        '2090-11-19T14:00:00Z,claude,claude-sonnet-4-20250514,1500,800,$1.25,issue-1,"code, mostly",2300\r\n' +
        '2090-11-20 08:00,claude,claude-sonnet-4-20250514,1000,2000,,issue-2,,\r\n' +
        '2090-10-31,mine,my-model,"1,000,000",500000,,,,\r\n',
    )
    const report = await imported(folder, [path])
    expect(report).toEqual({
      files: 1,
      calls: 3,
      imported: 3,
      known: 0,
      passedOver: 0,
      notes: [],
      costNano: 1_250_000_000 + 33_000_000 + 2_000_000_000,
      tokens: 2300 + 3000 + 1_500_000,
      from: '2090-10-31T04:00:00.000Z',
      to: '2090-11-20T13:00:00.000Z',
    })
    const expected = { 'all.day': 66_000_000, 'all.month': 1_316_000_000, 'claude.month': 1_316_000_000 }
    expect(await limitsOf(folder)).toEqual(expected)
    expect(await imported(folder, [path])).toMatchObject({ imported: 0, known: 3, costNano: 0, from: null })
    expect(await limitsOf(folder)).toEqual(expected)
    await isWhole(folder)
    expect((await entriesOf(folder)).map((entry) => [entry.status, entry.price_source, entry.cost_usd, entry.task_type])).toEqual([
      ['ok', 'list', 0.033, 'chat'],
      ['imported', 'policy', 2, null],
      ['imported', 'given', 1.25, 'code, mostly'],
      ['imported', 'list', 0.033, null],
    ])
    const router = await started(folder)
    expect(router.costs().month.costNano).toBe(1_316_000_000)
    const rows = await router.history({ from: new Date(0), to: new Date(START_MS + DAY_MS), by: ['status'] })
    expect(rows.map(({ status, calls, cost_nano }) => [status, calls, cost_nano])).toEqual([
      ['imported', 3, 3_283_000_000],
      ['ok', 1, 33_000_000],
    ])
    await router.close()
    await isWhole(folder)
  })

  it('takes two calls that look the same for two, also when more of them come later', async () => {
    const { folder, file } = await stopped()
    const line = '2090-11-20T13:00:00Z,mine,my-model,1000,0\n'
    const head = 'time,backend,model,input_tokens,output_tokens\n'
    expect(await imported(folder, [file('spend.csv', head + line + line)])).toMatchObject({ imported: 2, known: 0 })
    expect(await imported(folder, [file('spend.csv', head + line + line + line)])).toMatchObject({ imported: 1, known: 2 })
    expect(await limitsOf(folder)).toMatchObject({ 'all.day': 3_000_000 })
  })

  it('reads the logs of Claude Code: one call for each message and request, by its last usage', async () => {
    const { folder, file } = await stopped()
    const line = (id: string, request: string, second: number, output: number, over: object = {}): string =>
      JSON.stringify({
        parentUuid: null,
        sessionId: 'session-1',
        type: 'assistant',
        timestamp: `2090-11-20T13:00:0${second}.000Z`,
        requestId: request,
        uuid: `${id}-${second}`,
        message: {
          id,
          role: 'assistant',
          model: 'claude-sonnet-4-20250514',
          content: [{ type: 'text', text: 'SECRET' }],
          usage: {
            input_tokens: 4,
            cache_creation_input_tokens: 1000,
            cache_creation: { ephemeral_5m_input_tokens: 400, ephemeral_1h_input_tokens: 600 },
            cache_read_input_tokens: 10_000,
            output_tokens: output,
            service_tier: 'standard',
          },
        },
        ...over,
      })
    file(
      'project-a/one.jsonl',
      [
        JSON.stringify({ type: 'file-history-snapshot', messageId: 'm', snapshot: { trackedFileBackups: { SECRET: {} } } }),
        JSON.stringify({ type: 'summary', summary: 'SECRET', leafUuid: 'x' }),
        JSON.stringify({ type: 'user', sessionId: 'session-1', timestamp: '2090-11-20T13:00:00Z', message: { role: 'user', content: 'SECRET' } }),
        line('msg_1', 'req_1', 1, 1),
        line('msg_1', 'req_1', 2, 1),
        line('msg_1', 'req_1', 3, 500),
        line('msg_2', 'req_2', 4, 100),
        JSON.stringify({
          ...(JSON.parse(line('msg_3', 'req_3', 5, 0)) as object),
          message: { id: 'msg_3', model: '<synthetic>', usage: { input_tokens: 0, output_tokens: 0 } },
        }),
        '{"type":"assistant","timest',
      ].join('\n'),
    )
    // A session that was resumed repeats what came before.
    const resumed = file('project-a/sub/two.jsonl', `${line('msg_1', 'req_1', 3, 500, { sessionId: 'session-2' })}\n${line('msg_4', 'req_4', 6, 10)}\n`)
    const root = join(resumed, '..', '..', '..')
    const report = await imported(folder, [root])
    expect(report).toMatchObject({ files: 2, calls: 3, imported: 3, passedOver: 5, from: '2090-11-20T13:00:01.000Z' })
    expect(report.notes).toEqual(['3 calls wrote 1800 tokens to caches for an hour; they are priced as for five minutes, which is less.'])
    // $3 a million input, $15 output, $3.75 written to and $0.30 read from the cache.
    const costNano = (output: number): number => 4 * 3000 + 1000 * 3750 + 10_000 * 300 + output * 15_000
    expect(report.costNano).toBe(costNano(500) + costNano(100) + costNano(10))
    expect(await imported(folder, [root, resumed])).toMatchObject({ imported: 0, known: 3 })
    const entries = await entriesOf(folder)
    expect(entries[0]).toMatchObject({
      backend: 'claude',
      prompt_tokens: 11_004,
      cache_read_tokens: 10_000,
      cache_write_tokens: 1000,
      completion_tokens: 500,
      task_id: 'session-2',
    })
    expect(JSON.stringify(entries)).not.toContain('SECRET')
    await isWhole(folder)
  })

  it('knows its own calls again when they come back as an export', async () => {
    const { folder, file } = await stopped(3)
    for (const format of ['csv', 'jsonl'] as const) {
      let text = ''
      for await (const piece of exportLedger(folder, { format })) text += piece
      const path = file(`export.${format}`, text)
      expect(await imported(folder, [path])).toMatchObject({ calls: 3, imported: 0, known: 3 })
      const other = await stopped()
      expect(await imported(other.folder, [path])).toMatchObject({ imported: 3, costNano: 99_000_000 })
      expect(await limitsOf(other.folder)).toMatchObject({ 'all.day': 99_000_000 })
    }
  })

  it('remembers beyond the reach of the totals', async () => {
    const { folder, file } = await stopped()
    const path = file('old.csv', 'time,backend,cost\n2090-01-01,claude,1\n2090-11-19,claude,2\n')
    expect(await imported(folder, [path])).toMatchObject({ imported: 2 })
    const later = { nowMs: START_MS }
    const router = await started(folder)
    const dispatch = await router.decide({ backend: 'claude', inputTokens: 1, maxOutputTokens: 1 })
    await dispatch.release('none')
    await router.close()
    expect(await importSpend(folder, [path], later)).toMatchObject({ imported: 0, known: 2 })
    await isWhole(folder)
  })

  it('refuses a file with mistakes whole, with every one of them and its line', async () => {
    const { folder, file } = await stopped()
    const path = file(
      'wrong.csv',
      'time,backend,model,input_tokens,output_tokens,cost\n' +
        '2090-11-20,claude,m,1,1,1\n' +
        'yesterday,claude,m,-1,1,1\n' +
        '2090-11-20,nobody,m,1,1,1\n' +
        '2090-11-20,claude,m,1,1,-1\n' +
        '2090-12-20,claude,m,1,1,1\n' +
        '2090-11-20,claude,,1,1,\n',
    )
    const failure = await imported(folder, [path]).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'IMPORT_INVALID' })
    for (const text of [
      'wrong.csv:3: timestamp: expected a time',
      'wrong.csv:3: prompt_tokens: expected a whole number from 0, found "-1"',
      'wrong.csv:4: backend: the policy has claude, mine',
      'wrong.csv:5: cost_usd: expected an amount from 0, found "-1"',
      'wrong.csv:6: timestamp: 2090-12-20T05:00:00.000Z lies ahead',
      'wrong.csv:7: expected a cost_usd, or a model',
    ]) {
      expect(String(failure)).toContain(text)
    }
    expect(await entriesOf(folder)).toEqual([])
    await expect(imported(folder, [join(folder, 'none.csv')])).rejects.toMatchObject({ code: 'IMPORT_INVALID' })
    await expect(imported(folder, [path], 'nobody')).rejects.toMatchObject({ code: 'BACKEND_UNKNOWN' })
    await expect(imported(join(folder, 'none'), [path])).rejects.toMatchObject({ code: 'LEDGER_MISSING' })
  })

  it('refuses a call without a cost whose model has no price, and never takes it for free', async () => {
    const { folder, file } = await stopped()
    const path = file(
      'unpriced.jsonl',
      '{"time":"2090-11-20","model":"who-knows","input_tokens":1}\n'.repeat(2) + '{"time":"2090-11-20","model":"what","input_tokens":1}\n',
    )
    const failure = await imported(folder, [path], 'mine').catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'IMPORT_UNPRICED', details: { models: ['mine/who-knows', 'mine/what'] } })
    expect(String(failure)).toMatch(/mine\/who-knows \(2 calls\)\nmine\/what \(1 call\)\n.*`prices:`/s)
    expect(await entriesOf(folder)).toEqual([])
  })

  it('is refused while a router runs', async () => {
    const { folder, file } = await stopped()
    const router = await started(folder)
    await expect(imported(folder, [file('a.csv', 'time,backend,cost\n')])).rejects.toMatchObject({ code: 'LEDGER_LOCKED' })
    await router.close()
  })
})

describe('adjustSpend', () => {
  const nowMs = START_MS

  it('corrects spend at its time, with a reason, in budget and history', async () => {
    const { folder } = await stopped(2)
    const entry = await adjustSpend(
      folder,
      {
        backend: 'claude',
        model: 'claude-sonnet-4-20250514',
        taskType: 'chat',
        costNano: -33_000_000,
        promptTokens: -1000,
        completionTokens: -2000,
        requests: -1,
        reason: 'billed twice',
      },
      { nowMs },
    )
    expect(entry).toMatchObject({ status: 'adjusted', cost_usd: -0.033, requests: -1, timestamp: '2090-11-20T14:00:00.000Z' })
    expect(await limitsOf(folder)).toMatchObject({ 'all.day': 33_000_000, 'claude.month': 33_000_000 })
    await adjustSpend(folder, { backend: 'claude', costNano: 7, spentAt: new Date(START_MS - 2 * DAY_MS), reason: 'the invoice says so' }, { nowMs })
    expect(await limitsOf(folder)).toMatchObject({ 'all.day': 33_000_000, 'claude.month': 33_000_007 })
    const router = await started(folder)
    const rows = await router.history({ from: new Date(0), to: new Date(START_MS + 1), by: ['status'] })
    expect(rows).toEqual([
      expect.objectContaining({ status: 'ok', cost_nano: 66_000_000, calls: 2, tokens: 6000 }),
      expect.objectContaining({ status: 'adjusted', cost_nano: -32_999_993, calls: -1, tokens: -3000 }),
    ])
    await router.close()
    await isWhole(folder)
  })

  it('never takes more off a limit than was spent in its window', async () => {
    const { folder } = await stopped(1)
    const off = (costNano: number, spentAt?: Date): Promise<LedgerEntry> =>
      adjustSpend(folder, { backend: 'claude', costNano, reason: 'refund', ...(spentAt === undefined ? {} : { spentAt }) }, { nowMs })
    await expect(off(-33_000_001)).rejects.toMatchObject({ code: 'ADJUST_INVALID', message: expect.stringContaining('all.day, all.month, claude.month') })
    await expect(off(-1, new Date(START_MS - DAY_MS))).rejects.toMatchObject({ message: expect.stringMatching(/more off all\.day than/) })
    await expect(off(1, new Date(START_MS + DAY_MS))).rejects.toMatchObject({ code: 'ADJUST_INVALID' })
    await expect(off(0.5)).rejects.toMatchObject({ code: 'ADJUST_INVALID' })
    await expect(adjustSpend(folder, { backend: 'claude', costNano: 1, reason: '' }, { nowMs })).rejects.toMatchObject({ code: 'ADJUST_INVALID' })
    await expect(adjustSpend(folder, { backend: 'nobody', costNano: 1, reason: 'x' }, { nowMs })).rejects.toMatchObject({ code: 'BACKEND_UNKNOWN' })
    expect(await limitsOf(folder)).toMatchObject({ 'all.day': 33_000_000 })
    await off(-33_000_000)
    expect(await limitsOf(folder)).toEqual({ 'all.day': 0, 'all.month': 0, 'claude.month': 0 })
  })

  it('ends a presumed hold', async () => {
    const { folder } = await stopped(1)
    await expect(dropPresumed(folder, 'none', 'x', { nowMs })).rejects.toMatchObject({ code: 'HOLD_ENDED' })
    await isWhole(folder)
  })
})

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { manualClock, openManciple, type Manciple, type ManualClock } from '@manciple/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Io } from '../index.ts'
import { runCaptured, type Captured } from '../../../../test/captured-run.ts'

const POLICY = 'timezone: America/New_York\nbudgets: { daily_limit_usd: 50.00 }'
const HOUR_MS = 3_600_000
/** Monday, 9:00 in New York, in the future of any clock that runs these tests. */
const START = Date.parse('2090-11-20T14:00:00Z')

let root = ''
let ledger = ''
let router: Manciple
let clock: ManualClock

function outcome(argv: readonly string[], io: Partial<Io> = {}): Promise<Captured> {
  return runCaptured(['history', '--ledger', ledger, ...argv], io)
}

/** 1,000 and 2,000 tokens: $0.033 with Claude. */
async function call(backend: string, taskId: string, taskType?: string): Promise<void> {
  const dispatch = await router.decide({
    backend,
    taskId,
    inputTokens: 1000,
    maxOutputTokens: 2000,
    pinned: true,
    ...(taskType === undefined ? {} : { taskType }),
  })
  await dispatch.settle({ usage: { inputTokens: 1000, outputTokens: 2000 } })
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'manciple-'))
  ledger = join(root, 'ledger')
  clock = manualClock(START)
  router = await openManciple({ config: { text: POLICY }, ledger, clock })
  await call('claude', 'issue-94', 'chat')
  clock.advance(24 * HOUR_MS)
  await call('claude', 'issue-94', 'code')
  await call('local', 'a "quoted", task')
  // Monday of the next week, 10:00 and 11:00.
  clock.advance((6 * 24 + 1) * HOUR_MS)
  await call('claude', 'issue-95', 'chat')
  clock.advance(HOUR_MS)
  await call('claude', 'issue-95\u001B[31m', 'chat')
})

afterAll(async () => {
  await router.close()
  rmSync(root, { recursive: true, force: true })
})

describe('manciple history', () => {
  test('shows this month by backend, with shares and a total', async () => {
    const { code, out } = await outcome([])
    expect(code).toBe(0)
    expect(out).toMatch(/^From 2090-11-01 00:00 to 2090-12-01 00:00:$/m)
    expect(out).toMatch(/^claude +\$0\.1320 +100% +4 +12,000 +#+$/m)
    expect(out).toMatch(/^local +\$0\.0000 +0% +1 +3,000$/m)
    expect(out).toMatch(/^total +\$0\.1320 +100% +5 +15,000$/m)
    expect(out).toContain('as of 2090-11-27 11:00 America/New_York, policy ')
  })

  test.each([
    [['--today'], 2],
    [['--yesterday'], 0],
    [['--this-week'], 2],
    [['--last-week'], 3],
    [['--last-month'], 0],
    [['--since', '2090-11-21'], 4],
    [['--until', '2090-11-21'], 3],
    [['--since', '2090-11-21', '--until', '2090-11-21'], 2],
    [['--since', '2090-11-27T11:00'], 1],
    [['--until', '2090-11-27T16:00Z'], 4],
    [['--task', 'issue-94'], 2],
    [['--backend', 'claude', '--type', 'chat'], 3],
    [['--type', ''], 1],
    [['--model', 'no such model'], 0],
    [['--status', 'ok'], 5],
  ])('%j has %i calls', async (argv, calls) => {
    const { out } = await outcome([...argv, '--json'])
    expect(JSON.parse(out)).toMatchObject({ total: { calls }, timezone: 'America/New_York', fault: null })
    const { out: text } = await outcome(argv)
    expect(text).toMatch(calls === 0 ? /^No calls\.$/m : new RegExp(`^total .+ ${calls} `, 'm'))
  })

  test('says the same as the router', async () => {
    const { rows, from, to } = JSON.parse((await outcome(['--last-week', '--by', 'day,backend,model,task_type,status', '--json'])).out)
    const asked = await router.history({ from: new Date(from), to: new Date(to), by: ['day', 'backend', 'model', 'task_type', 'status'] })
    expect(rows).toEqual(asked.map((row) => ({ ...row, cost_usd: row.cost_nano / 1e9 })))
    expect(rows).toHaveLength(3)
    expect([from, to]).toEqual(['2090-11-20T05:00:00.000Z', '2090-11-27T05:00:00.000Z'])
  })

  test('is a file for spreadsheets, with every decimal', async () => {
    const { out } = await outcome(['--by', 'task_id,hour', '--csv'])
    expect(out.split('\n')).toEqual([
      'task_id,hour,cost_usd,cost_nano,calls,tokens,prompt_tokens,completion_tokens,cache_read_tokens,cache_write_tokens,reasoning_tokens',
      'issue-94,2090-11-20T09:00-05:00,0.033000000,33000000,1,3000,1000,2000,0,0,0',
      'issue-94,2090-11-21T09:00-05:00,0.033000000,33000000,1,3000,1000,2000,0,0,0',
      '"a ""quoted"", task",2090-11-21T09:00-05:00,0.000000000,0,1,3000,1000,2000,0,0,0',
      'issue-95,2090-11-27T10:00-05:00,0.033000000,33000000,1,3000,1000,2000,0,0,0',
      'issue-95\u001B[31m,2090-11-27T11:00-05:00,0.033000000,33000000,1,3000,1000,2000,0,0,0',
      '',
    ])
  })

  test('fits 80 columns by whatever keys, draws bars on a terminal, and is plain ASCII in a pipe', async () => {
    for (const by of ['day', 'backend,model', 'day,hour,backend,model,task_type,task_id,status']) {
      const piped = await outcome(['--by', by])
      expect(piped.out).toMatch(/^[\n -~]*$/)
      const shown = stripVTControlCharacters((await outcome(['--by', by], { isTTY: true, columns: 80 })).out)
      expect(shown).toContain('█')
      expect(Math.max(...shown.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
      const text = shown.replaceAll('█', '#').replaceAll('─', '-')
      expect(text.replaceAll(/ +$/gm, '')).toBe(piped.out)
    }
  })

  test.each([
    [['--by', 'week'], 'backend, model'],
    [['--by', ''], 'backend, model'],
    [['--since', 'tomorrow'], '2026-04-01T14:30'],
    [['--since', '2090-02-30'], '2026-04-01T14:30'],
    [['--since', '2090-11-22', '--until', '2090-11-20'], 'comes after'],
    [['--since', '2091-01-01'], 'comes after today'],
    [['--last-week', '--today'], 'cannot be used with'],
    [['--last-week', '--since', '2090-11-20'], 'cannot be used with'],
    [['--csv', '--json'], 'cannot be used with'],
  ])('%j is a wrong use', async (argv, found) => {
    expect(await outcome(argv)).toMatchObject({ code: 2, out: '', err: expect.stringContaining(found) })
  })

  test('is helped, within 80 columns', async () => {
    const { code, out } = await outcome(['--help'])
    expect(code).toBe(0)
    expect(out).toContain('Examples:\n  $ manciple history')
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
  })
})

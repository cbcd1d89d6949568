import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { manualClock, openManciple, parsePolicy, type Manciple, type Notice } from '@manciple/core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Io } from './index.ts'
import { runCaptured, type Captured } from '../../../test/captured-run.ts'

const POLICY = `
timezone: America/New_York
budgets:
  daily_limit_usd: 5.00
  monthly_limit_usd: 50.00
  per_backend: { claude: 20.00/month, gpt: 10.00/month }
limits:
  - { name: a-limit-with-a-name-that-is-much-too-long-for-a-table-of-eighty-columns, amount: 900k tokens/5h@first-use, backend: claude }
  - { name: bursts, amount: 2000000.00/5h, backend: gpt }
rules:
  - name: opus is for reasoning
    conditions:
      all:
        - { fact: model, operator: equal, value: claude-opus-4-8 }
        - not: { any: [{ fact: task_type, operator: in, value: [reasoning, "null"] }, { fact: all.day.used, operator: lessThan, value: { fact: backend.used } }] }
    event: { type: forbid, params: { message: "opus is kept: for reasoning" } }
`
/** In the future of any clock that runs these tests, so that every command looks at the last record. */
const NOON = Date.parse('2090-11-20T17:00:00Z')

let root = ''
let ledger = ''
let router: Manciple

function outcome(argv: readonly string[], io: Partial<Io> = {}): Promise<Captured> {
  return runCaptured(argv, io)
}

const AS_TERMINAL = { isTTY: true, columns: 80 }

function widest(text: string): number {
  return Math.max(
    ...stripVTControlCharacters(text)
      .split('\n')
      .map((line) => line.length),
  )
}

function isAscii(text: string): boolean {
  return /^[\n -~]*$/.test(text)
}

async function spend(backend: string, outputTokens: number): Promise<void> {
  const dispatch = await router.decide({ backend, taskType: 'chat', inputTokens: 1000, maxOutputTokens: outputTokens, pinned: true })
  await dispatch.settle({ inputTokens: 1000, outputTokens })
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'manciple-'))
  ledger = join(root, 'ledger')
  router = await openManciple({ config: { text: POLICY }, ledger, clock: manualClock(NOON) })
  await spend('claude', 2000)
  await spend('claude', 2000)
  await spend('gpt', 100)
  await spend('local', 50)
})

afterAll(async () => {
  await router.close()
  rmSync(root, { recursive: true, force: true })
})

describe('manciple costs', () => {
  test('shows today, the month and their totals beside a running router', async () => {
    const { code, out } = await outcome(['costs', '--ledger', ledger])
    expect(code).toBe(0)
    // Two calls of 1,000 and 2,000 tokens at $3 and $15 a million.
    expect(out).toMatch(/^claude +\$0\.0660 +2 +6,000 +\$0\.0660 +2 +6,000$/m)
    expect(out).toMatch(/^local +\$0\.0000 +1 +1,050 /m)
    expect(out).toMatch(/^total +\$0\.0\d{3} +4 +8,150 /m)
    expect(out).toContain('as of 2090-11-20 12:00 America/New_York, policy ')
  })

  test('gives programs the report as it is, with USD', async () => {
    const { out } = await outcome(['costs', '--ledger', ledger, '--json'])
    const report = JSON.parse(out)
    expect(report).toMatchObject({ ...router.costs(), fault: null, lastRecord: new Date(NOON).toISOString() })
    expect(report.month.costUsd).toBe(router.costs().month.costNano / 1e9)
  })
})

describe('a ledger of another time', () => {
  test('is shown as of its last record with --latest; without, a line says so', async () => {
    const old = join(root, 'old')
    const replayed = await openManciple({ config: { text: POLICY }, ledger: old, clock: manualClock(Date.parse('2024-03-05T17:00:00Z')) })
    const dispatch = await replayed.decide({ backend: 'claude', inputTokens: 10, maxOutputTokens: 10 })
    await dispatch.settle({ inputTokens: 10, outputTokens: 10 })
    await replayed.close()
    const now = await outcome(['costs', '--ledger', old])
    expect(now.out).toMatch(/^total +\$0\.00 +0 /m)
    expect(now.out).toContain('The last record is of 2024-03-05 12:00; --latest shows the books as of then.')
    const then = await outcome(['costs', '--ledger', old, '--latest'])
    expect((await outcome(['budget', '--ledger', old, '--latest', '--fail-on', 'under-used'])).code).toBe(0)
    expect(then.out).toMatch(/^total +\$0\.0002 +1 +20 /m)
    expect(then.out).toMatch(/\nas of 2024-03-05 12:00 America\/New_York, policy \w{12}\n$/)
  })
})

describe('manciple budget', () => {
  test('shows limits with what is spent and left, and quotas with their pace', async () => {
    const { code, out } = await outcome(['budget', '--ledger', ledger])
    expect(code).toBe(0)
    expect(out).toMatch(/^all\.day +[#.]+ +1% +within +\$0\.07 +\$5\.00 +\$4\.93 +11-21 00:00$/m)
    expect(out).toMatch(/^bursts .+ rolls 5h$/m)
    expect(out).toMatch(/^claude +[#.]+\|[#.]+ +<1% +6\d% +0\.\d\d +under +\$20\.00 +12-01 00:00$/m)
    expect(out).toContain('America/New_York, policy ')
    expect(out).not.toContain('ALERT')
  })

  test('gives programs the report as it is, with USD', async () => {
    const { out } = await outcome(['budget', '--ledger', ledger, '--json'])
    const report = JSON.parse(out)
    const { quotas, ...rest } = router.budget()
    expect(report).toMatchObject({ ...rest, fault: null })
    // What is foreseen comes from the checkpoint, which has not been written yet.
    expect(report.quotas).toMatchObject(quotas.map((quota) => ({ ...quota, forecast: null, lapseNano: null })))
    expect(report.limits[0].quantityUsd).toBe(5)
    expect(report.limits[0].freeUsd + report.limits[0].settledUsd).toBeCloseTo(5, 9)
    expect(report.limits.find((limit: { unit: string }) => limit.unit === 'tokens')).not.toHaveProperty('quantityUsd')
  })

  test('says on a line of its own what is held, and what a crash left presumed spent', async () => {
    const dispatch = await router.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 1000, pinned: true })
    const crashed = join(root, 'crashed')
    cpSync(ledger, crashed, { recursive: true, filter: (path) => !path.includes('lock') })
    expect((await outcome(['budget', '--ledger', ledger])).out).toMatch(/^ {2}\$0\.0\d held for calls under way$/m)
    await dispatch.release('not needed')
    await (await openManciple({ config: { text: POLICY }, ledger: crashed, clock: manualClock(NOON) })).close()
    expect((await outcome(['budget', '--ledger', crashed])).out).toMatch(/^ {2}\$0\.0\d presumed spent after a crash$/m)
  })

  test('says above all else that the ledger is damaged, and fails for it', async () => {
    const damaged = join(root, 'damaged')
    cpSync(ledger, damaged, { recursive: true, filter: (path) => !path.includes('lock') })
    const journal = join(damaged, 'journal-000001.jsonl')
    writeFileSync(journal, readFileSync(journal, 'utf8').replace('"completion_tokens":2000', '"completion_tokens":2001'))
    const { code, out, err } = await outcome(['budget', '--ledger', damaged, '--fail-on', 'over'])
    expect(code).toBe(3)
    expect(out).toMatch(/^ALERT {2}Cloud calls are stopped since /)
    expect(err).toMatch(/^cloud calls are stopped: /)
    expect((await outcome(['costs', '--ledger', damaged])).out).toMatch(/^ALERT {2}Cloud calls are stopped since /)
    expect(JSON.parse((await outcome(['costs', '--ledger', damaged, '--json'])).out).fault.code).toBe('LEDGER_DAMAGED')
  })

  test('fails on what it is asked to fail on, and on nothing else', async () => {
    const under = await outcome(['budget', '--ledger', ledger, '--fail-on', 'under-used'])
    expect(under.code).toBe(3)
    expect(under.err).toMatch(/^claude is under-used: <1% of its quota with 6\d% of its window gone$/m)
    expect(await outcome(['budget', '--ledger', ledger, '--fail-on', 'near'])).toMatchObject({ code: 0, err: '' })
    expect(await outcome(['budget', '--ledger', ledger, '--fail-on', 'over'])).toMatchObject({ code: 0, err: '' })
  })
})

describe('a budget that is spent', () => {
  let spent = ''
  let poor: Manciple

  beforeAll(async () => {
    spent = join(root, 'spent')
    const text = 'budgets: { daily_limit_usd: 0.10 }'
    poor = await openManciple({ config: { text }, ledger: spent, clock: manualClock(NOON) })
    for (let calls = 0; calls < 20; calls += 1) {
      const dispatch = await poor.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 400 })
      await dispatch.settle({ inputTokens: 1000, outputTokens: dispatch.decision.maxOutputTokens })
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  })

  afterAll(() => poor.close())

  test('stands under a banner, and fails for near and over', async () => {
    const { out } = await outcome(['budget', '--ledger', spent])
    expect(out).toMatch(/^ALERT {2}Cloud budget exhausted, operating local-only until 2090-11-21 00:00$/m)
    expect(out).toMatch(/^all\.day .+ near /m)
    for (const standing of ['near', 'over']) {
      const { code, err } = await outcome(['budget', '--ledger', spent, '--fail-on', standing])
      expect(code).toBe(3)
      expect(err).toContain('Cloud budget exhausted')
    }
  })

  test('shows its notices, one a line in a pipe, broken between words on a terminal', async () => {
    const piped = await outcome(['notices', '--ledger', spent])
    expect(piped.code).toBe(0)
    expect(piped.out).toMatch(/^2090-11-20 17:00 {2}alert {4}local-only: Cloud budget exhausted, operating local-only until 2090-11-21 00:00$/m)
    const shown = await outcome(['notices', '--ledger', spent], AS_TERMINAL)
    expect(widest(shown.out)).toBeLessThanOrEqual(80)
    expect(stripVTControlCharacters(shown.out).replace(/\n +/g, ' ')).toBe(piped.out)
    const last = await outcome(['notices', '--ledger', spent, '--last', '1', '--json'])
    expect(last.out.trim().split('\n')).toHaveLength(1)
    expect(JSON.parse(last.out)).toHaveProperty('number')
  })

  test('keeps its limits within 80 columns also when they are full', async () => {
    expect(widest((await outcome(['budget', '--ledger', spent], AS_TERMINAL)).out)).toBeLessThanOrEqual(80)
  })
})

describe('manciple notices --follow', () => {
  test('shows a new notice of the running router, and ends without an error when interrupted', async () => {
    const overrun = async (backend: string): Promise<void> => {
      const dispatch = await router.decide({ backend, inputTokens: 10, maxOutputTokens: 10, pinned: true })
      await dispatch.settle({ inputTokens: 10, outputTokens: 100 })
    }
    await overrun('claude')
    const interrupt = new AbortController()
    const seen: Notice[] = []
    const stdout = { write: (text: string) => seen.push(JSON.parse(text)) }
    const following = outcome(['notices', '--follow', '--json', '--ledger', ledger], { stdout, signal: interrupt.signal })
    const sees = async (wanted: (notice: Notice) => boolean): Promise<void> => {
      while (!seen.some(wanted)) await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await sees(({ scope }) => scope === 'claude')
    expect(seen.map(({ scope }) => scope)).not.toContain('gpt')
    await overrun('gpt')
    await sees(({ scope }) => scope === 'gpt')
    interrupt.abort()
    expect((await following).code).toBe(0)
    const numbers = seen.map(({ number }) => number)
    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
  })
})

describe('every table', () => {
  for (const command of ['costs', 'budget']) {
    test(`${command} fits 80 columns, and in a pipe is plain ASCII`, async () => {
      const piped = await outcome([command, '--ledger', ledger])
      expect(widest(piped.out)).toBeLessThanOrEqual(80)
      expect(isAscii(piped.out)).toBe(true)
      const shown = await outcome([command, '--ledger', ledger], AS_TERMINAL)
      expect(isAscii(shown.out)).toBe(false)
      const signs: Record<string, string> = { '█': '#', '░': '.', '│': '|', '─': '-' }
      const text = stripVTControlCharacters(shown.out).replaceAll(/[█░│─]/g, (sign) => signs[sign] ?? sign)
      expect(text.replaceAll(/ +$/gm, '')).toBe(piped.out)
    })

    test(`${command} has colours on a terminal and none with NO_COLOR`, async () => {
      expect((await outcome([command, '--ledger', ledger], AS_TERMINAL)).out).toContain('\u001B[')
      const plain = await outcome([command, '--ledger', ledger], { ...AS_TERMINAL, env: { NO_COLOR: '1' } })
      expect(plain.out).not.toContain('\u001B[')
    })
  }
})

describe('manciple check', () => {
  let file = ''
  const write = (text: string): string => {
    writeFileSync(file, text)
    return file
  }
  beforeEach(() => {
    file = join(root, 'budgets.yaml')
  })
  afterEach(() => rmSync(file, { force: true }))

  test('says ok, what the file holds, and its version', async () => {
    const { code, out } = await outcome(['check', write(POLICY)])
    expect(code).toBe(0)
    expect(out).toMatch(/^ok: 6 limits, 5 backends, \d+ rules, version [0-9a-f]{12}$/m)
  })

  test('gives advice, and still says ok', async () => {
    const { code, out } = await outcome(['check', write('budgets: { daily_limit_usd: 5.00, monthly_limit_usd: 2.00 }')])
    expect(code).toBe(0)
    expect(out).toMatch(/^ok: 2 limits/)
    expect(out).toContain('can never bind')
  })

  test('lists every mistake with its line and a caret, and exits with 1', async () => {
    const { code, out } = await outcome(['check', write('budgets:\n  daily_limit_usd: -5\n  per_backend: { clade: 20.00/month }\n')])
    expect(code).toBe(1)
    expect(out).toContain(`${file}:2:20: `)
    expect(out).toContain('  2 |   daily_limit_usd: -5\n    |                    ^')
    expect(out).toMatch(/did you mean `claude`\?/)
    expect(out).toContain('2 mistakes: this file would be refused whole.')
    const { issues, ok } = JSON.parse((await outcome(['check', file, '--json'])).out)
    expect(ok).toBe(false)
    expect(issues.map((issue: { line: number }) => issue.line)).toEqual([2, 3])
  })

  test('prints all rules as they may stand in a policy file', async () => {
    const { out } = await outcome(['check', write(POLICY), '--rules'])
    const { rules } = JSON.parse((await outcome(['check', file, '--rules', '--json'])).out)
    expect(out).toContain('# line 4, limit all.day\n- name: all.day\n')
    expect(out).toContain('# line 8, limit a-limit-with')
    expect(out).toContain('#   claude.month: the quota of claude, floor 50%, weighs $20.00\n')
    expect(out).toContain('#   all.day: bounds claude, ')
    const again = parsePolicy(POLICY.slice(0, POLICY.indexOf('rules:')) + out, 'again')
    expect(again).toMatchObject({ ok: true })
    const plain = ({ name, conditions, event: { type, params } }: (typeof rules)[number]) => ({
      name,
      conditions,
      type,
      params: { ...params, limit: undefined },
    })
    if (again.ok) expect(again.policy.rules.map(plain)).toEqual(rules.map(plain))
    expect(rules.length).toBeGreaterThan(10)
  })

  test('exits with 2 and a code when there is no file', async () => {
    const { code, err, out } = await outcome(['check', join(root, 'none.yaml')])
    expect(code).toBe(2)
    expect(err).toMatch(/^error CONFIG_MISSING: /)
    expect(out).toBe('')
  })
})

describe('a wrong use', () => {
  test('of a ledger that is not there is a coded error that says what to do, without a stack', async () => {
    for (const command of ['costs', 'budget', 'notices']) {
      const { code, err } = await outcome([command, '--ledger', join(root, 'nowhere')])
      expect(code).toBe(2)
      expect(err).toMatch(/^error LEDGER_MISSING: .*nowhere/)
      expect(err).not.toMatch(/^ +at /m)
    }
  })

  test('exits with 2 and names what is wrong', async () => {
    expect(await outcome(['spend'])).toMatchObject({ code: 2, err: expect.stringContaining('spend') })
    expect(await outcome(['notices', '--last', 'all'])).toMatchObject({ code: 2, err: expect.stringContaining('whole number') })
    expect(await outcome(['budget', '--fail-on', 'never'])).toMatchObject({ code: 2, err: expect.stringContaining('near, over, under-used') })
    expect(await outcome([])).toMatchObject({ code: 2, out: '', err: expect.stringContaining('Usage: manciple [options] [command]') })
    expect(await outcome(['ledger'])).toMatchObject({ code: 2, out: '', err: expect.stringContaining('Usage: manciple ledger [options] [command]') })
  })

  test('is helped: each command has examples, within 80 columns', async () => {
    for (const argv of [['--help'], ...['check', 'costs', 'budget', 'notices'].map((command) => [command, '--help'])]) {
      const { code, out } = await outcome(argv)
      expect(code).toBe(0)
      expect(out).toContain('Examples:\n  $ manciple')
      expect(widest(out)).toBeLessThanOrEqual(80)
    }
  })

  test('has a version', async () => {
    expect(await outcome(['--version'])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  })
})

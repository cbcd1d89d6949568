import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { manualClock, openManciple, type Manciple } from '@manciple/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runCaptured, type Captured } from '../../../../test/captured-run.ts'

const NOON = Date.parse('2090-11-20T17:00:00Z')
const POLICY = `timezone: America/New_York
budgets: { daily_limit_usd: 1.00 }
backends: { claude: { models: [claude-sonnet-4-20250514, claude-opus-4-8] }, gpt: { models: [gpt-5] }, local: {} }
rules:
  - name: opus is for reasoning
    conditions:
      all:
        - { fact: model, operator: equal, value: claude-opus-4-8 }
        - { fact: task_type, operator: notEqual, value: reasoning }
    event: { type: forbid, params: { message: "opus is kept for reasoning" } }
  - name: drafts go to gpt
    conditions: { all: [{ fact: backend, operator: equal, value: gpt }, { fact: tags, operator: contains, value: draft }] }
    event: { type: prefer, params: { by: 0.9 } }
`
const LATER = POLICY.replace('1.00 }', '9.00 }')
let root = ''
let ledger = ''
let router: Manciple
const ids: string[] = []

function explain(...argv: readonly string[]): Promise<Captured> {
  return runCaptured(['explain', ...argv])
}

async function call(request: Parameters<Manciple['decide']>[0], outputTokens: number): Promise<void> {
  const dispatch = await router.decide(request)
  await dispatch.settle({ inputTokens: request.inputTokens, outputTokens })
  ids.push(dispatch.decision.hold ?? '')
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'manciple-'))
  ledger = join(root, 'ledger')
  const clock = manualClock(NOON)
  router = await openManciple({ config: { text: POLICY }, ledger, clock })
  await call({ backend: 'claude', taskType: 'chat', inputTokens: 1000, maxOutputTokens: 1000 }, 1000)
  await call({ backend: 'claude', model: 'claude-opus-4-8', taskType: 'chat', inputTokens: 1000, maxOutputTokens: 1000 }, 1000)
  await call({ backend: 'claude', taskType: 'chat', tags: ['draft'], inputTokens: 1000, maxOutputTokens: 1000 }, 1000)
  await call({ backend: 'claude', taskType: 'chat', inputTokens: 1000, maxOutputTokens: 60_000 }, 60_000)
  clock.advance(3_600_000)
  await call({ backend: 'gpt', taskType: 'chat', inputTokens: 1000, maxOutputTokens: 64_000, minOutputTokens: 64_000 }, 2000)
  await router.close()
  // Another policy is in force by now.
  await (await openManciple({ config: { text: LATER }, ledger, clock })).close()
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

describe('manciple explain', () => {
  test('says what a call would get now, with rules, their facts and lines, headroom, version, and what would have to be different', async () => {
    const { code, out } = await explain(
      '--ledger',
      ledger,
      '--backend',
      'claude',
      '--model',
      'claude-opus-4-8',
      '--task-type',
      'chat',
      '--max-output-tokens',
      '1000',
    )
    expect(code).toBe(0)
    expect(out).toMatch(/^reroute: claude\/claude-sonnet-4-20250514\n {2}claude\/claude-opus-4-8 was left: forbidden by "opus is for reasoning": opus is\n/)
    expect(out).toMatch(/^at 2090-11-20 13:00 America\/New_York, policy [0-9a-f]{12}$/m)
    expect(out).toMatch(/^claude\/claude-opus-4-8: forbidden, score 1\.00, may cost \$0\.03\d+$/m)
    expect(out).toMatch(/^ {2}headroom {2}all\.day \$\d\.\d\d$/m)
    expect(out).toMatch(/^ {2}forbid {4}"opus is for reasoning" \(line 5\): model "claude-opus-4-8", task_type\n {12}"chat"$/m)
    expect(out).toMatch(/^ {2}otherwise without rule "opus is for reasoning" \(line 5\)$/m)
  })

  test('gives programs all of it', async () => {
    const report = JSON.parse((await explain('--ledger', ledger, '--backend', 'gpt', '--json')).out)
    expect(report).toMatchObject({ verdict: 'dispatch', backend: 'gpt', at: new Date(NOON + 3_600_000).toISOString() })
    expect(report.candidates[0]).toMatchObject({ backend: 'gpt', model: 'gpt-5', whatIf: null, headroom: [{ limit: 'all.day', unit: 'usd' }] })
    expect(report.candidates.map(({ rules }: { rules: unknown[] }) => rules.length)).not.toContain(0)
  })

  test('explains a past call by the policy and on the totals of its moment', async () => {
    const { code, out } = await explain('--ledger', ledger, ids[1] ?? '')
    expect(code).toBe(0)
    expect(out).toMatch(/^reroute: claude\/claude-sonnet-4-20250514\n/)
    expect(out).toMatch(/asked for claude; 1000 input tokens, at most 1000 output tokens, \$0\.\d+ set\n {2}aside; billed \$0\.0180 \(ok\)/)
    // One call of 0.018 USD came before it, on a limit of 1 USD, not of 9.
    expect(out).toMatch(/^ {2}headroom {2}all\.day \$0\.98$/m)
    expect(out).toMatch(/^ {2}otherwise without rule "opus is for reasoning" \(line 5\)$/m)
  })

  test('a call that found no room says how much was missing', async () => {
    const { out } = await explain('--ledger', ledger, ids[4] ?? '')
    expect(out).toMatch(/^reroute: local\/llama3\.1:8b\n {2}gpt\/gpt-5 was left: all\.day has \$0\.\d+ left/)
    expect(out).toMatch(
      /^gpt\/gpt-5: no-room, .*\n {2}no room {3}all\.day\n {2}headroom {2}all\.day \$0\.\d+\n(?: {2}.*\n)* {2}otherwise with \$0\.\d+ more free in all\.day$/m,
    )
  })

  test.each([
    [['--backend', 'gpt', '--pinned'], '--backend, --pinned'],
    [['--latest'], '--latest'],
    [['--at', '2090-11-21'], '--at'],
    [['--input-tokens', '1000'], '--input-tokens'],
    [['--config', 'new.yaml'], '--config'],
  ])('a past call is explained as it was: %j beside its id is a wrong use', async (argv, named) => {
    const { code, out, err } = await explain(ids[0] ?? '', '--ledger', ledger, ...argv)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(`error: ${named} cannot go with the id of an entry`)
  })

  test('where something decided that the ledger does not keep, it says so and what the ledger has', async () => {
    const { out } = await explain('--ledger', ledger, ids[2] ?? '')
    expect(out).toMatch(/^gpt\/gpt-5\n/)
    expect(out.replaceAll(/\n */g, ' ')).toContain('The ledger keeps neither tags nor a thinking budget, and one of them decided here')
    expect(out.replaceAll(/\n */g, ' ')).toContain('gpt/gpt-5 taken (drafts go to gpt)')
    expect(JSON.parse((await explain('--ledger', ledger, ids[2] ?? '', '--json')).out)).toMatchObject({ same: false, backend: 'gpt', id: ids[2] })
  })

  test('reads the books as they stood, for a time that lies behind, and as they will stand, for one ahead', async () => {
    const head = async (at: string): Promise<string> => (await explain('--ledger', ledger, '--backend', 'claude', '--at', at)).out
    expect(await head('2090-11-20T12:30')).toMatch(/^at 2090-11-20 12:30 .*\n\nclaude.*\n(?: {2}pacing.*\n)? {2}headroom {2}all\.day \$0\.\d\d$/m)
    expect(await head('2090-11-21T09:00')).toMatch(/headroom {2}all\.day \$9\.00$/m)
    const early = await explain('--ledger', ledger, '--at', '2090-11-01')
    expect(early).toMatchObject({ code: 2, out: '' })
    expect(early.err).toMatch(/2090-11-01T04:00:00\.000Z is before the ledger begins, at 2090-11-20T17:00:00\.000Z; ask about a time from then on\n/)
    expect(early.err).not.toContain('There is no ledger here')
  })

  test('tries a file that is not in force, with or without a ledger', async () => {
    const file = join(root, 'new.yaml')
    writeFileSync(file, 'budgets: { daily_limit_usd: 0.00 }\nbackends: { claude: {}, local: {} }')
    expect((await explain('--config', file, '--backend', 'claude')).out).toMatch(/^reroute: local\//)
    expect((await explain('--config', file, '--ledger', ledger, '--backend', 'claude')).out).toMatch(/^reroute: local\//)
    writeFileSync(file, 'budgets: { daily: 0.00 }')
    expect(await explain('--config', file)).toMatchObject({ code: 2, err: expect.stringMatching(/CONFIG_INVALID.*:1:12: Unknown key/s) })
  })

  test.each([
    [['no-such-id'], 'ENTRY_UNKNOWN'],
    [['--backend', 'claud'], 'BACKEND_UNKNOWN'],
    [['--pinned'], 'REQUEST_INVALID'],
    [['--at', 'tomorrow'], 'is to be a date or time'],
    [['--input-tokens', 'many'], 'whole number'],
    [['--ledger', '/nowhere/at/all'], 'LEDGER_MISSING'],
  ])('%j is a wrong use', async (argv, message) => {
    expect(await explain('--ledger', ledger, ...argv)).toMatchObject({ code: 2, out: '', err: expect.stringContaining(message) })
  })
})

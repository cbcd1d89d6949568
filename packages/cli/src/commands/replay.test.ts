import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run, type Io } from '../index.ts'
import { runCaptured, type Captured } from '../../../../test/captured-run.ts'

/** Limits of models alone: with a quota, work would be paced, and every figure would move with each improvement of pacing. */
const POLICY = `
timezone: UTC
backends:
  claude: { provider: anthropic, models: [c] }
  gpt: { provider: openai, models: [g] }
  local: { kind: local, models: [l] }
limits:
  - { name: c, amount: 0.50/day, model: c }
  - { name: g, amount: 0.30/day, model: g }
prices:
  c: { input_mtok: 3, output_mtok: 15 }
  g: { input_mtok: 1.25, output_mtok: 10 }
preferences:
  code: { claude: 1.0, gpt: 0.9, local: 0.5 }
rules:
  - name: mornings belong to gpt
    conditions: { all: [{ fact: hour, operator: lessThan, value: 6 }, { fact: backend, operator: equal, value: gpt }] }
    event: { type: prefer, params: { by: 0.2 } }
`

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'manciple-replay-'))
  writeFileSync(path('budgets.yaml'), POLICY)
  writeFileSync(path('tight.yaml'), POLICY.replace('0.50/day', '0.20/day'))
  const lines = Array.from({ length: 120 }, (_, index) =>
    JSON.stringify({
      t: new Date(Date.UTC(2026, 3, 1) + index * 1_500_000).toISOString(),
      id: `r${index}`,
      task_type: 'code',
      prompt_tokens: 2000 + (index % 7) * 500,
      completion_tokens: 300 + (index % 5) * 100,
      max_output_tokens: 1000,
      duration_ms: 60_000,
      ...(index % 10 === 0 ? { backend: 'gpt' } : {}),
    }),
  )
  writeFileSync(path('trace.jsonl'), `${lines.join('\n')}\n`)
})
afterAll(() => rmSync(root, { recursive: true }))

function path(name: string): string {
  return join(root, name)
}

function outcome(argv: readonly string[], io: Partial<Io> = {}): Promise<Captured> {
  return runCaptured(['replay', path('trace.jsonl'), '--config', path('budgets.yaml'), ...argv], io)
}

test('a report says what was refused, rerouted and sent local, and by which rule', async () => {
  const { code, out, err } = await outcome([])
  expect(code).toBe(0)
  await expect(out.replace(/policy \w+/, 'policy 0123456789ab')).toMatchFileSnapshot('replay.report.txt')
  expect(err).toMatch(/^120 calls replayed in [\d.]+ s, [\d,]+ a second\n$/)
})

test('two policies stand side by side, by rule and by dollar', async () => {
  const { code, out } = await outcome(['--compare', path('tight.yaml')])
  expect(code).toBe(0)
  await expect(out.replaceAll(/\b[0-9a-f]{12}\b/g, 'version')).toMatchFileSnapshot('replay.comparison.txt')
})

test('--json has the documented fields, and the same output each time', async () => {
  const [one, other] = [await outcome(['--json']), await outcome(['--json'])]
  expect(other.out).toBe(one.out)
  const report = JSON.parse(one.out) as Record<string, unknown>
  expect(Object.keys(report)).toEqual(
    expect.arrayContaining([
      'calls',
      'elapsed_ms',
      'spent_usd',
      'utilization',
      'wasted_usd',
      'overshoot_usd',
      'dry_share',
      'local_share',
      'refused',
      'value',
      'alerts',
      'windows',
    ]),
  )
  expect(report).toMatchObject({ calls: 120, elapsed_ms: 119 * 1_500_000 + 60_000, overshoot_usd: 0 })
})

describe('--calls', () => {
  test('writes what became of each call', async () => {
    const { out } = await outcome(['--calls', path('calls.jsonl'), '--json'])
    const lines = readFileSync(path('calls.jsonl'), 'utf8').trimEnd().split('\n')
    const calls = lines.map((line) => JSON.parse(line) as { id: string; cost_usd: number })
    expect(Object.keys(calls[0] ?? {})).toEqual(['id', 't', 'verdict', 'backend', 'cost_usd', 'rules'])
    expect(new Set(calls.map(({ id }) => id)).size).toBe(120)
    const spentNano = calls.reduce((nano, { cost_usd: cost }) => nano + Math.round(cost * 1e9), 0)
    expect((JSON.parse(out) as { spent_usd: number }).spent_usd).toBe(spentNano / 1e9)
  })

  test('leaves nothing behind when the trace has a mistake', async () => {
    writeFileSync(path('bad.jsonl'), `${readFileSync(path('trace.jsonl'), 'utf8')}{"t":"2026-05-01T00:00:00Z","prompt_tokens":-1,"completion_tokens":0}\n`)
    let err = ''
    const io = { stdout: { write: () => {} }, stderr: { write: (text: string) => (err += text) }, env: {}, isTTY: false, columns: undefined }
    const code = await run(['replay', path('bad.jsonl'), '--config', path('budgets.yaml'), '--calls', path('never.jsonl')], io)
    expect(code).toBe(2)
    expect(err).toContain(`error TRACE_INVALID: ${path('bad.jsonl')}:121: prompt_tokens: expected a whole number from 0 to 1000000000, found -1\n`)
    expect(existsSync(path('never.jsonl'))).toBe(false)
  })
})

describe('where calls are to go', () => {
  test('- is standard output, in place of the report', async () => {
    const { code, out } = await outcome(['--calls', '-'])
    expect(code).toBe(0)
    await outcome(['--calls', path('same.jsonl')])
    expect(out).toBe(readFileSync(path('same.jsonl'), 'utf8'))
    expect(existsSync('-')).toBe(false)
  })

  test.each([
    [['--calls', '-', '--json'], '--calls - prints calls in place of the report: it cannot be used with --json, --compare or --explain'],
    [['--calls', '-', '--explain', 'r17'], '--calls - prints calls in place of the report'],
    [['--calls', '-', '--compare', 'tight.yaml'], '--calls - prints calls in place of the report'],
    [['--calls', 'one.jsonl', '--calls', 'two.jsonl'], 'It may be given once.'],
    [['--calls', '/no/such/out.jsonl'], 'error: --calls /no/such/out.jsonl: there is no folder /no/such\n'],
    [['--calls', '/'], 'error: --calls /: expected a file, found a folder\n'],
  ])('%j is refused', async (argv, message) => {
    const { code, out, err } = await outcome(argv)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(message)
    expect(err).not.toMatch(/ENOENT|\.tmp/)
  })
})

describe('--outage', () => {
  test('keeps a backend out for its time', async () => {
    const { out } = await outcome(['--json', '--outage', 'claude@2026-04-01/2026-04-09'])
    expect((JSON.parse(out) as { served_by_backend: unknown }).served_by_backend).toMatchObject({ claude: 0 })
  })

  test.each([
    ['claude', 'It is to be BACKEND@FROM/TO'],
    ['claude@2026-04-09/2026-04-01', 'expected two times, the earlier first'],
    ['claude@soon/later', 'expected two times, the earlier first'],
    ['grok@2026-04-01/2026-04-02', 'outage of "grok": the policy has claude, gpt, local'],
  ])('%s is refused', async (text, message) => {
    const { code, err } = await outcome(['--outage', text])
    expect(code).toBe(2)
    expect(err).toContain(message)
  })
})

test('a mistake in a trace cannot steer the terminal that shows it', async () => {
  writeFileSync(path('steering.jsonl'), '{"t":"\u009b31m\u007f","prompt_tokens":1,"completion_tokens":1}\n')
  const { code, err } = await runCaptured(['replay', path('steering.jsonl'), '--config', path('budgets.yaml')])
  expect(code).toBe(2)
  expect(err).toContain('found " 31m "\n')
})

test('a terminal sees how far it has come, and no more of it afterwards', async () => {
  const { out } = await outcome([], { isTTY: true, columns: 100 })
  expect(out).toContain('120 calls')
  expect(out).not.toContain('\r')
})

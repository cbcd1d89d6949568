import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adjustSpend, exportLedger, importSpend, recordReading, replayTrace, type ReplayedCall, type ReplayReport, type TraceCall } from '@manciple/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCalls, START_MS } from './calls.ts'
import { runLive, type LiveReading, type LiveRun } from './live.ts'

const HOUR_MS = 3_600_000

/** Quotas that bind, and somewhere to go for what finds no room: a ledger does not keep the sizes of refused calls. */
const POLICY = `
timezone: UTC
max_output_tokens: 2000
backends:
  claude: { provider: anthropic, models: [c-large, c-small], quota: 2.00/week@Mon 09:00 }
  gpt: { provider: openai, models: [g], quota: 3.00/month }
  local: { kind: local, models: [l] }
prices:
  c-large: { input_mtok: 3, output_mtok: 15 }
  c-small: { input_mtok: 1, output_mtok: 5 }
  g: { input_mtok: 1.25, output_mtok: 10 }
preferences:
  code: { claude: 1.0, gpt: 0.9, local: 0.5 }
  chat: { claude: 0.7, gpt: 0.9, local: 0.6 }
`

/** The request's own bound is the policy's, which an export does not have, and none names a model, of which a ledger keeps the one that served. */
const CALLS: readonly TraceCall[] = makeCalls(300, 5, 3).map((call, index) => ({
  ...call,
  // The first one keeps all others back until it has ended.
  durationMs: index === 0 ? 100 * HOUR_MS : call.durationMs,
  maxOutputTokens: 2000,
  model: undefined,
  backend: call.backend === 'gemini' ? undefined : call.backend,
}))

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'manciple-replay-ledger-'))
})
afterAll(() => rmSync(root, { recursive: true }))

function live(name: string, readings: readonly LiveReading[] = []): Promise<LiveRun> {
  return runLive(POLICY, CALLS, { ledger: join(root, name), readings })
}

interface Replayed {
  readonly report: ReplayReport
  readonly calls: readonly ReplayedCall[]
}

async function replayed(trace: string, text = POLICY): Promise<Replayed> {
  const calls: ReplayedCall[] = []
  const report = await replayTrace({ trace, config: { text }, onCall: (call) => calls.push(call) })
  return { report, calls }
}

/** What became of each, whatever it is called. */
function outcomes(calls: readonly ReplayedCall[]): readonly (readonly [string, string | null, number])[] {
  return calls.map(({ t, backend, cost_usd: cost }) => [t, backend, cost] as const)
}

function liveOutcomes(run: LiveRun): readonly (readonly [string, string | null, number])[] {
  const ended = [...run.calls].map(([id, outcome]) => ({ call: CALLS.find((one) => one.id === id), outcome }))
  return ended.map(({ call, outcome }) => [new Date(call?.atMs ?? 0).toISOString(), ...outcome] as const)
}

describe('a ledger under its own policy', () => {
  const READINGS: readonly LiveReading[] = [
    // Before the first call; and one that is noted two hours after it was taken.
    { notedMs: START_MS, backend: 'gpt', reading: { used: 0.2, source: 'the dashboard' } },
    { notedMs: START_MS + 20 * HOUR_MS, backend: 'claude', reading: { used: 0.5, source: 'the dashboard', at: new Date(START_MS + 18 * HOUR_MS) } },
    { notedMs: START_MS + 26 * HOUR_MS, backend: 'claude', reading: { used: 0.6, source: 'the dashboard' } },
    { notedMs: START_MS + 60 * HOUR_MS, backend: 'gpt', reading: { used: 0.4, source: 'the dashboard' } },
    { notedMs: START_MS + 61 * HOUR_MS, backend: 'claude', reading: { used: 0.9, source: 'the dashboard', quota: 'claude.quota' } },
  ]

  test('gives what was live, with what providers said of their quotas', { timeout: 60_000 }, async () => {
    const [plain, read] = [await live('plain'), await live('read', READINGS)]
    expect(read.spentNano).toBeLessThan(0.95 * plain.spentNano)
    for (const [name, run] of [
      ['plain', plain],
      ['read', read],
    ] as const) {
      const { report, calls } = await replayed(join(root, name))
      expect(outcomes(calls)).toEqual(liveOutcomes(run))
      expect(Math.round(report.spent_usd * 1e9)).toBe(run.spentNano)
      expect(report.alerts.map(({ time, kind, scope }) => ({ time, kind, scope }))).toEqual(run.notices)
      expect(report.left_out).toEqual({})
    }
  })

  test('counts readings of limits that another policy does not have, and those that come after the last call', async () => {
    await live('other', READINGS)
    await recordReading(join(root, 'other'), 'gpt', { used: 0.5, source: 'by hand' }, { nowMs: START_MS + 400 * HOUR_MS })
    const renamed = POLICY.replace('quota: 2.00/week@Mon 09:00', 'limits: [2.00/week@Mon 10:00]').replaceAll('gpt', 'mine')
    const { report } = await replayed(join(root, 'other'), renamed)
    expect(report.left_out).toEqual({ 'readings of quotas that the policy does not have': 5, 'readings of quotas after the last call': 1 })
  })
})

test('a ledger and an export of it give one answer', { timeout: 30_000 }, async () => {
  const folder = join(root, 'exported')
  await live('exported')
  const nowMs = START_MS + 400 * HOUR_MS
  const spend = join(root, 'spend.csv')
  writeFileSync(spend, 'timestamp,backend,model,cost_usd\n2026-04-02T10:00Z,gpt,g,0.25\n')
  await importSpend(folder, [spend], { nowMs })
  await adjustSpend(folder, { backend: 'gpt', costNano: -1_000_000, spentAt: new Date('2026-04-02T10:00Z'), reason: 'refund' }, { nowMs })
  const ledger = await replayed(folder)
  for (const format of ['csv', 'jsonl'] as const) {
    let text = ''
    for await (const piece of exportLedger(folder, { format })) text += piece
    const path = join(root, `export.${format}`)
    writeFileSync(path, text)
    const exported = await replayed(path)
    expect(exported).toEqual(ledger)
  }
  expect(ledger.report.left_out).toEqual({ 'calls that were imported': 1, 'corrections of spend': 1 })
  expect(ledger.report.rerouted).toBeGreaterThan(5)
})

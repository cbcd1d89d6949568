import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { comparePolicies, replayTrace, type ReplayedCall, type TraceCall } from '@manciple/core'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCalls, POLICY, START_MS } from './calls.ts'
import { runLive } from './live.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const config = { text: POLICY }

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'manciple-replay-'))
})
afterAll(() => rmSync(root, { recursive: true }))

function traceFile(name: string, calls: readonly TraceCall[]): string {
  const path = join(root, name)
  const lines = calls.map(({ id, atMs, durationMs, backend, model, taskType, inputTokens, outputTokens, maxOutputTokens }) =>
    JSON.stringify({
      t: new Date(atMs).toISOString(),
      id,
      task_type: taskType,
      prompt_tokens: inputTokens,
      completion_tokens: outputTokens,
      max_output_tokens: maxOutputTokens,
      duration_ms: durationMs,
      backend,
      model,
    }),
  )
  writeFileSync(path, `${lines.join('\n')}\n`)
  return path
}

test.for([1, 3, 4])('a replay decides each call, and tells each notice, as a live router does (%i)', { timeout: 60_000 }, async (seed) => {
  const calls = makeCalls(900, 8, seed)
  const replayed = new Map<string, readonly [string | null, number]>()
  const report = await replayTrace({ trace: calls, config, onCall: ({ id, backend, cost_usd: cost }) => replayed.set(id, [backend, cost]) })
  const live = await runLive(POLICY, calls)
  expect(replayed).toEqual(live.calls)
  expect(Math.round(report.spent_usd * 1e9)).toBe(live.spentNano)
  expect(report.alerts.map(({ time, kind, scope }) => ({ time, kind, scope }))).toEqual(live.notices)
  // All that can keep a call from its first choice was met.
  const met = report.rules.map(({ rule }) => rule)
  expect(met).toEqual(expect.arrayContaining(['claude.quota', 'gemini.quota', 'bulk', 'pacing']))
  expect(report.local_share).toBeGreaterThan(0.05)
  expect(report.dry_share).toBeGreaterThan(0.05)
})

test('the same trace gives the same report and the same calls, byte for byte, from a file or from memory', async () => {
  const calls = makeCalls(600, 8, 2)
  const trace = traceFile('month.jsonl', calls)
  const runs = []
  for (const source of [trace, trace, calls]) {
    const lines: ReplayedCall[] = []
    const report = await replayTrace({ trace: source, config, onCall: (call) => lines.push(call) })
    runs.push(JSON.stringify({ report, lines }))
  }
  expect(runs[1]).toBe(runs[0])
  expect(runs[2]).toBe(runs[0])
})

test('no limit is ever overshot, however calls overlap, and every call is accounted for', { timeout: 30_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 12 }), fc.nat(), async (count, days, seed) => {
      const calls = makeCalls(count, days, seed)
      let spentNano = 0
      const report = await replayTrace({ trace: calls, config, onCall: ({ cost_usd: cost }) => void (spentNano += Math.round(cost * 1e9)) })
      expect(report.overshoot_usd).toBe(0)
      for (const window of report.windows) {
        expect(window.overshoot).toBe(0)
        expect(window.settled).toBeLessThanOrEqual(window.quantity)
      }
      const served = Object.values(report.served_by_backend).reduce((sum, one) => sum + one, 0)
      expect(served + report.refused).toBe(count)
      expect(report.calls).toBe(count)
      expect(Math.round(report.spent_usd * 1e9)).toBe(spentNano)
    }),
    { numRuns: 15 },
  )
})

test('a window is read from the ledger: what its calls cost, those too that ended after it', async () => {
  const text = 'backends: { gpt: { provider: openai, models: [g], quota: 1.00/day } }\nprices: { g: { input_mtok: 1, output_mtok: 1 } }'
  const call = (hour: number, durationMs: number): TraceCall => ({
    ...(makeCalls(1, 1, 1)[0] as TraceCall),
    id: `h${hour}`,
    atMs: START_MS + hour * HOUR_MS,
    durationMs,
    backend: undefined,
    taskType: undefined,
    inputTokens: 100_000,
    outputTokens: 0,
    maxOutputTokens: 1000,
  })
  const report = await replayTrace({ trace: [call(1, 0), call(23, 2 * HOUR_MS), call(72, 0)], config: { text } })
  expect(report.windows.map(({ from, settled, wasted_usd: wasted, partial }) => [from.slice(0, 10), settled, wasted, partial])).toEqual([
    ['2026-04-01', 0.2, 0.8, false],
    ['2026-04-02', 0, 1, false],
    ['2026-04-03', 0, 1, false],
    ['2026-04-04', 0.1, 0.9, false],
  ])
  expect(report.utilization).toEqual({ total: 0.3 / 4, gpt: 0.3 / 4 })
  expect(report.wasted_usd).toEqual({ total: 3.7, gpt: 3.7 })
  expect(report.elapsed_ms).toBe(71 * HOUR_MS)
})

test('a window that begins while the last calls end is none of the trace', async () => {
  const prices = 'prices: { g: { input_mtok: 1, output_mtok: 1 } }'
  const call = (atMs: number): TraceCall => ({
    ...(makeCalls(1, 1, 1)[0] as TraceCall),
    atMs,
    durationMs: 72 * HOUR_MS,
    backend: undefined,
    taskType: undefined,
    inputTokens: 100_000,
    outputTokens: 0,
  })
  const midnightMs = Date.parse('2026-05-01T00:00:00Z')
  const over = async (window: string, ...times: readonly number[]) => {
    const config = { text: `backends: { gpt: { provider: openai, models: [g], quota: 1.00/${window} } }\n${prices}` }
    const { windows, utilization, wasted_usd: wasted } = await replayTrace({ trace: times.map(call), config })
    return { starts: windows.map(({ from }) => from.slice(0, 10)), utilization: utilization.total, wasted: wasted.total }
  }
  expect(await over('month', START_MS, midnightMs - 1)).toEqual({ starts: ['2026-04-01'], utilization: 0.2, wasted: 0.8 })
  expect(await over('month', START_MS, midnightMs)).toMatchObject({ starts: ['2026-04-01', '2026-05-01'] })
  expect(await over('day', START_MS)).toEqual({ starts: ['2026-04-01'], utilization: 0.1, wasted: 0.9 })
})

test('shares and value count what became of each call', async () => {
  const text = `
backends:
  gpt: { provider: openai, models: [g], limits: [0.25/day] }
  kimi: { provider: moonshotai, models: [k], limits: [0.12/day] }
  local: { kind: local, models: [l] }
prices: { g: { input_mtok: 1, output_mtok: 1 }, k: { input_mtok: 1, output_mtok: 1 } }
preferences: { chat: { gpt: 0.9, kimi: 0.8, local: 0.5 } }
floors: { backend: 0, total: 0 }`
  const call = (id: number, backend?: string): TraceCall => ({
    ...(makeCalls(1, 1, 1)[0] as TraceCall),
    id: `c${id}`,
    atMs: START_MS + id * 1000,
    durationMs: 0,
    backend,
    model: undefined,
    taskType: 'chat',
    inputTokens: 100_000,
    outputTokens: 0,
    maxOutputTokens: 1000,
  })
  // Room for two calls at gpt and one at kimi.
  const trace = [call(1), call(2), call(3, 'kimi'), call(4), call(5, 'local')]
  const report = await replayTrace({ trace, config: { text } })
  expect(report.served_by_backend).toEqual({ gpt: 2, kimi: 1, local: 2 })
  expect(report).toMatchObject({ dry_share: 0.2, local_share: 0.4, refused: 0, rerouted: 0 })
  expect(report.value).toBeCloseTo((0.9 + 0.9 + 1 + 0.5 + 1) / 5, 12)
})

test('a quota of tokens or requests is worth what is paid for it', async () => {
  // Fewer than the quota has room for.
  const report = await replayTrace({ trace: makeCalls(40, 3, 5), config })
  const [window] = report.windows.filter(({ limit }) => limit === 'gemini.quota')
  expect(window).toMatchObject({ unit: 'requests', quantity: 60 })
  const left = (60 - (window?.settled ?? 0)) / 60
  expect(left).toBeGreaterThan(0)
  expect(window?.wasted_usd).toBeCloseTo(left * 0.1, 9)
})

describe('an outage', () => {
  const outages = [{ backend: 'gpt', fromMs: START_MS + DAY_MS, toMs: START_MS + 3 * DAY_MS }]

  test('sends calls elsewhere while it lasts, and is told', async () => {
    const lines: ReplayedCall[] = []
    const report = await replayTrace({ trace: makeCalls(800, 5, 3), config, outages, onCall: (call) => lines.push(call) })
    const during = lines.filter(({ t }) => Date.parse(t) >= START_MS + DAY_MS && Date.parse(t) < START_MS + 3 * DAY_MS)
    expect(during.length).toBeGreaterThan(100)
    expect(during.some(({ backend }) => backend === 'gpt')).toBe(false)
    expect(lines.some(({ backend, t }) => backend === 'gpt' && Date.parse(t) >= START_MS + 3 * DAY_MS)).toBe(true)
    expect(report.rules.map(({ rule }) => rule)).toContain('outage')
    expect(report.alerts.filter(({ kind, scope }) => kind === 'outage' && scope === 'gpt').length).toBeGreaterThan(0)
  })

  test('holds nothing of what failed', async () => {
    const report = await replayTrace({ trace: makeCalls(800, 5, 3), config, outages })
    expect(report.overshoot_usd).toBe(0)
    expect(Object.values(report.served_by_backend).reduce((sum, one) => sum + one, 0) + report.refused).toBe(800)
  })

  test('of a backend that the policy does not have is refused', async () => {
    await expect(replayTrace({ trace: makeCalls(1, 1, 1), config, outages: [{ backend: 'grok', fromMs: 0, toMs: 1 }] })).rejects.toMatchObject({
      code: 'BACKEND_UNKNOWN',
    })
  })
})

test('a week that was under way when the trace began is judged by the part that the trace tells of, with history as well', async () => {
  const text = 'backends: { gpt: { provider: openai, models: [g], quota: 1.00/week } }\nprices: { g: { input_mtok: 1, output_mtok: 1 } }'
  const every = (startMs: number, days: number, tokensOf: (index: number) => number): readonly TraceCall[] =>
    Array.from({ length: days * 48 }, (_, index) => ({
      ...(makeCalls(1, 1, 1)[0] as TraceCall),
      id: `c${index}`,
      atMs: startMs + (index * HOUR_MS) / 2,
      durationMs: 0,
      backend: undefined,
      taskType: undefined,
      inputTokens: tokensOf(index),
      outputTokens: 0,
      maxOutputTokens: 1,
    }))
  const history = every(START_MS - 720 * HOUR_MS, 30, () => 1000)
  // From Wednesday to Sunday, most of it on the first two days.
  const under = async (usd: number): Promise<readonly string[]> => {
    const trace = every(START_MS, 5, (index) => (index < 96 ? Math.round((usd * 1e6) / 96) : 100))
    const { alerts } = await replayTrace({ trace, config: { text }, history })
    return alerts.filter(({ severity }) => severity !== 'info').map(({ kind }) => kind)
  }
  // Less than half of a week's quota, more than half of five days'.
  expect(await under(0.4)).not.toContain('under-used')
  expect(await under(0.2)).toContain('under-used')
})

test('history tells the forecast of demand and spends nothing', async () => {
  const past = makeCalls(600, 30, 7).map((call) => ({ ...call, atMs: call.atMs - 30 * DAY_MS }))
  const trace = makeCalls(300, 5, 8)
  const [without, with_] = [await replayTrace({ trace, config }), await replayTrace({ trace, config, history: past })]
  expect(with_.calls).toBe(without.calls)
  expect(with_.from).toBe(without.from)
  // Claude's first week began on Monday: calls of the history that fall into it are not counted against it.
  expect(with_.windows[0]?.settled).toBeLessThanOrEqual(with_.windows[0]?.quantity ?? 0)
  expect(JSON.stringify(with_.served_by_backend)).not.toBe(JSON.stringify(without.served_by_backend))
  const late = await replayTrace({ trace, config, history: makeCalls(50, 30, 9) })
  expect(late.left_out).toEqual({ 'calls of the history that come after the trace begins': expect.any(Number) })
})

test('names that the policy does not have are told, and count for nothing', async () => {
  const [first, second] = makeCalls(2, 1, 1) as [TraceCall, TraceCall]
  const trace = [
    { ...first, backend: 'grok', model: 'grok-9' },
    { ...second, backend: undefined, model: 'grok-9' },
  ]
  const report = await replayTrace({ trace, config })
  expect(report.not_in_policy).toEqual({ 'backend grok': 1, 'model grok-9': 2 })
  expect(report.rerouted).toBe(0)
})

test('a call that says nothing of its bound is never cut, and one that a limit cuts is billed for what it got', async () => {
  const text =
    'max_output_tokens: 1000\nbackends: { gpt: { provider: openai, models: [g], limits: [0.01/day] } }\nprices: { g: { input_mtok: 1, output_mtok: 1 } }'
  const [call] = makeCalls(1, 1, 1) as [TraceCall]
  const plain = { ...call, backend: undefined, model: undefined, taskType: undefined, inputTokens: 0, durationMs: 0 }
  const long = await replayTrace({ trace: [{ ...plain, outputTokens: 9000, maxOutputTokens: undefined }], config: { text } })
  expect(long).toMatchObject({ spent_usd: 0.009, shortened: 0 })
  const cut = await replayTrace({ trace: [{ ...plain, outputTokens: 15_000, maxOutputTokens: 20_000 }], config: { text } })
  expect(cut).toMatchObject({ spent_usd: 0.01, shortened: 1, overshoot_usd: 0, dry_share: 1 })
})

test('two policies are set side by side over one reading', async () => {
  const trace = traceFile('compare.jsonl', makeCalls(400, 5, 4))
  // Without floors nothing is paced, and what stands in the way is the quota itself.
  const config = { text: `${POLICY}\nfloors: { backend: 0, total: 0 }\n` }
  const tight = { text: config.text.replace('2.00/week', '1.00/week') }
  const comparison = await comparePolicies({ trace, configs: [config, tight] })
  expect(comparison.before).toEqual(await replayTrace({ trace, config }))
  expect(comparison.after).toEqual(await replayTrace({ trace, config: tight }))
  const { before, after, difference, rules } = comparison
  expect(difference.spent_usd).toBe((Math.round(after.spent_usd * 1e9) - Math.round(before.spent_usd * 1e9)) / 1e9)
  expect(difference.spent_by_backend['claude']).toBeLessThan(0)
  const quota = rules.find(({ rule }) => rule === 'claude.quota')
  expect(quota?.after?.rerouted ?? 0).toBeGreaterThan(quota?.before?.rerouted ?? 0)
})

test('a trace with a mistake gives no report', async () => {
  const path = traceFile('bad.jsonl', makeCalls(20, 1, 6))
  writeFileSync(path, '{"t":"2026-04-02T00:00:00Z","prompt_tokens":"many","completion_tokens":1}\n', { flag: 'a' })
  await expect(replayTrace({ trace: path, config })).rejects.toThrow(`${path}:21: prompt_tokens: expected a whole number from 0 to 1000000000, found "many"`)
})

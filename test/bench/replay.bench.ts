import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeSync, openSync, closeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { comparePolicies, replayTrace } from '@manciple/core'
import { randomFrom } from './rule-generator.ts'

const CALLS = 90_000
const DAYS = 30
const START_MS = Date.parse('2026-04-01T00:00:00Z')

/** Four quotas, a local backend, and twenty rules of the operator's own beside those that the quotas stand for. */
const POLICY = `
timezone: UTC
backends:
  claude: { provider: anthropic, models: [a], quota: 200.00/month }
  gpt: { provider: openai, models: [b], quota: 150.00/month }
  gemini: { provider: google, models: [c], quota: 100.00/month }
  kimi: { provider: moonshotai, models: [d], quota: 50.00/month }
  local: { kind: local, models: [e] }
prices:
  a: { input_mtok: 3, output_mtok: 15 }
  b: { input_mtok: 1.25, output_mtok: 10 }
  c: { input_mtok: 1.25, output_mtok: 10 }
  d: { input_mtok: 0.6, output_mtok: 2.5 }
preferences:
  agentic: { claude: 1.0, gpt: 0.85, gemini: 0.75, kimi: 0.75, local: 0.35 }
  code: { claude: 0.95, gpt: 1.0, gemini: 0.8, kimi: 0.85, local: 0.55 }
  chat: { claude: 0.9, gpt: 1.0, gemini: 0.9, kimi: 0.8, local: 0.6 }
rules:
${Array.from({ length: 20 }, (_, index) => ruleText(index)).join('\n')}
`

function ruleText(index: number): string {
  const backend = ['claude', 'gpt', 'gemini', 'kimi'][index % 4]
  const conditions = `all: [{ fact: backend, operator: equal, value: ${backend} }, { fact: input_tokens, operator: greaterThan, value: ${1000 + index * 500} }, { fact: backend.used, operator: greaterThan, value: ${(0.3 + index * 0.03).toFixed(2)} }]`
  return `  - { name: rule ${index}, conditions: { ${conditions} }, event: { type: avoid, params: { by: 0.01 } } }`
}

export interface ReplayFigures {
  readonly calls: number
  /** Best of ten, reading the trace included. */
  readonly calls_per_s: number
  /** The first one of a process, before its code has been compiled. */
  readonly first_calls_per_s: number
  /** How often the lines could have been parsed as JSON, and nothing more, in the time of the best one: what the speed of the machine does not change. */
  readonly times_parsing: number
  /** CPU time of the one thread, where the machine is shared: µs a call. */
  readonly cpu_us_per_call: number
  /** Seconds; two policies over the calls, the preparation of both included. */
  readonly compare_s: number
  /** Peak resident memory of a process of its own, over the trace and over one ten times as long. */
  readonly peak_mb: number
  readonly peak_mb_ten_times: number
}

export async function measureReplay(): Promise<ReplayFigures> {
  const root = mkdtempSync(join(tmpdir(), 'manciple-bench-'))
  try {
    const trace = writeTrace(join(root, 'month.jsonl'), CALLS, DAYS)
    const long = writeTrace(join(root, 'ten-months.jsonl'), 10 * CALLS, 10 * DAYS)
    const config = { text: POLICY }
    const runs: number[] = []
    let [cpu, parsing] = [Infinity, Infinity]
    for (let run = 0; run < 10; run += 1) {
      const [before, cpuBefore] = [performance.now(), process.cpuUsage()]
      await replayTrace({ trace, config })
      const { user, system } = process.cpuUsage(cpuBefore)
      runs.push((performance.now() - before) / 1000)
      cpu = Math.min(cpu, user + system)
      parsing = Math.min(parsing, parse(trace))
    }
    const seconds = Math.min(...runs)
    const before = performance.now()
    await comparePolicies({ trace, configs: [config, { text: POLICY.replace('200.00', '100.00') }] })
    const compare = (performance.now() - before) / 1000
    return {
      calls: CALLS,
      calls_per_s: Math.round(CALLS / seconds),
      first_calls_per_s: Math.round(CALLS / (runs[0] ?? Infinity)),
      times_parsing: seconds / parsing,
      cpu_us_per_call: cpu / CALLS,
      compare_s: compare,
      peak_mb: peakMb(trace),
      peak_mb_ten_times: peakMb(long),
    }
  } finally {
    rmSync(root, { recursive: true })
  }
}

/** @returns seconds that it takes. */
function parse(trace: string): number {
  const before = performance.now()
  let calls = 0
  for (const line of readFileSync(trace, 'utf8').split('\n')) if (line !== '' && typeof JSON.parse(line) === 'object') calls += 1
  if (calls !== CALLS) throw new Error(`${calls} lines`)
  return (performance.now() - before) / 1000
}

/** In a process of its own: a peak never comes down. */
function peakMb(trace: string): number {
  const program = `
    const { replayTrace } = await import('@manciple/core')
    await replayTrace({ trace: ${JSON.stringify(trace)}, config: { text: ${JSON.stringify(POLICY)} } })
    process.stdout.write(String(process.resourceUsage().maxRSS))`
  // A small heap, so that the peak is what is needed and not what has not been collected.
  const args = ['--max-old-space-size=64', '--conditions=manciple-source', '--no-warnings', '--input-type=module', '--eval', program]
  return Math.round(Number(execFileSync(process.execPath, args, { encoding: 'utf8', cwd: import.meta.dirname })) / 1024)
}

/** Busier by day than by night, with long and short calls. */
function writeTrace(path: string, count: number, days: number): string {
  const random = randomFrom(11)
  const file = openSync(path, 'w')
  const types = ['agentic', 'code', 'chat', 'bulk']
  const stepMs = (days * 86_400_000) / count
  let text = ''
  for (let index = 0; index < count; index += 1) {
    const hour = Math.floor((index * stepMs) / 3_600_000) % 24
    const atMs = START_MS + Math.floor(index * stepMs + random() * stepMs * (hour < 7 ? 0.2 : 1))
    const output = Math.floor(random() ** 2 * 2048)
    text += `${JSON.stringify({ t: new Date(atMs).toISOString(), id: `r${index}`, task_type: types[index % 4], prompt_tokens: Math.floor(random() ** 3 * 20_000), completion_tokens: output, max_output_tokens: 2048, duration_ms: 2000 + output * 20 })}\n`
    if (text.length < 1 << 20 && index < count - 1) continue
    writeSync(file, text)
    text = ''
  }
  closeSync(file)
  return path
}

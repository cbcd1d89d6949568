import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runGateway } from '../../demo/src/gateway.ts'
import { setStage } from '../../demo/src/stage.ts'
import { startUpstream } from '../../demo/src/upstreams.ts'

export interface GatewayFigures {
  readonly calls: number
  readonly without: Latency
  readonly with: Latency
  readonly added_p50_ms: number
  readonly added_p99_ms: number
}

interface Latency {
  readonly p50_ms: number
  readonly p99_ms: number
}

const POLICY = `budgets: { daily_limit_usd: 1000.00 }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  local: { kind: local, models: ["llama3.1:8b"] }
`
const WARM_UP = 200

/** The same calls through two gateways in turn, one with the plugin and its durable ledger and one bare, in front of the same kind of stub. */
export async function measureGateway(calls = 2000): Promise<GatewayFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'manciple-bench-'))
  const policy = join(folder, 'budgets.yaml')
  writeFileSync(policy, POLICY)
  const stage = await setStage({ folder: join(folder, 'with'), policy, ledger: join(folder, 'ledger'), latencyMs: 0 })
  const stub = await startUpstream({ name: 'claude', latencyMs: 0 })
  const bare = await runGateway(join(folder, 'without'), (port) => bareConfig(stub.url, port))
  try {
    const samples = { with: [] as number[], without: [] as number[] }
    for (let call = -WARM_UP; call < calls; call++) {
      const [plugged, plain] = [await timeCall(stage.gateway.url), await timeCall(bare.url)]
      if (call < 0) continue
      samples.with.push(plugged)
      samples.without.push(plain)
    }
    const [plugged, plain] = [latencyOf(samples.with), latencyOf(samples.without)]
    return { calls, without: plain, with: plugged, added_p50_ms: plugged.p50_ms - plain.p50_ms, added_p99_ms: plugged.p99_ms - plain.p99_ms }
  } finally {
    await Promise.all([stage.close(), bare.stop(), stub.close()])
    rmSync(folder, { recursive: true, force: true })
  }
}

function bareConfig(url: string, port: number): string {
  const provider = JSON.stringify({ type: 'openai', config: { baseUrl: url, apiKey: 'stub', model: 'claude-sonnet-4-20250514', retryAttempts: 1 } })
  return `server: { port: ${port} }
maxRetries: 3
defaultProject: true
availableExtensions: []
models:
  - { name: claude, isDefault: true, provider: ${provider} }
adapters:
  - { name: openai, type: openai, config: {} }
plugins: []
logging: { level: warn, format: simple }
`
}

async function timeCall(url: string): Promise<number> {
  const content = JSON.stringify({ prompt_tokens: 100, completion_tokens: 20 })
  const body = JSON.stringify({ model: 'claude', max_tokens: 100, messages: [{ role: 'user', content }] })
  const before = performance.now()
  const response = await fetch(`${url}/openai/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`the gateway answered ${response.status}`)
  return performance.now() - before
}

function latencyOf(samples: readonly number[]): Latency {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
  return { p50_ms: at(0.5), p99_ms: at(0.99) }
}

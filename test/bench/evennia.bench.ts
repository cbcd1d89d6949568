import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { openManciple, type Manciple } from '../../packages/core/src/manciple.ts'
import { bridgeSettings, openBridge } from '../../packages/evennia-adapter/src/index.ts'
import { startFakeGame } from '../e2e/fake-game.ts'

/** `none`: no bridge. The others: a bridge in the router's process, and a game that answers, is mute, floods, or is not there. */
const MANNERS = ['none', 'well', 'mute', 'flood', 'down'] as const
type Manner = (typeof MANNERS)[number]

export interface EvenniaFigures {
  readonly calls: number
  /** Of `decide`, its hold on disk: medians of the rounds. */
  readonly decide: Readonly<Record<Manner, { readonly p50_us: number; readonly p99_us: number }>>
  /** Growth of the whole process's memory over the rounds with a bridge. */
  readonly rss_growth_mb: number
}

const PASSWORD = 'bench'
const PAUSE_MS = 2
const POLICY = `budgets: { daily_limit_usd: 100000.00, per_backend: { claude: 50000.00/month } }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  local: { kind: local, models: ["llama3.1:8b"] }
`

/** `decide` on a ledger on disk, with and without a bridge, in turn. The game is a thread of its own, as it is another machine's load in life. */
export async function measureEvennia(calls = 1_000, rounds = 5): Promise<EvenniaFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'manciple-bench-'))
  const ledger = join(folder, 'ledger')
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, PASSWORD, { mode: 0o600 })
  const manciple = await openManciple({ config: { text: POLICY }, ledger })
  const game = new Worker(new URL(import.meta.url), { execArgv: ['--conditions=manciple-source', '--no-warnings'] })
  const [url] = (await once(game, 'message')) as [string]
  const samples: Record<Manner, { p50: number[]; p99: number[] }> = Object.fromEntries(MANNERS.map((manner) => [manner, { p50: [], p99: [] }])) as never
  try {
    await timesOf(manciple, calls)
    let before = 0
    for (let round = 0; round < rounds; round++) {
      for (const manner of MANNERS) {
        game.postMessage(manner)
        const settings = bridgeSettings({ url: manner === 'down' ? 'ws://127.0.0.1:9/' : url, ledger, password_file: passwordFile })
        const bridge = manner === 'none' ? undefined : openBridge(settings, () => undefined)
        await sleep(manner === 'none' ? 0 : 1_500)
        const times = await timesOf(manciple, calls)
        samples[manner].p50.push(times[times.length >> 1] ?? 0)
        samples[manner].p99.push(times[Math.floor(times.length * 0.99)] ?? 0)
        await bridge?.close()
      }
      if (round === 0) before = process.memoryUsage().rss
    }
    const decide = Object.fromEntries(MANNERS.map((manner) => [manner, { p50_us: medianOf(samples[manner].p50), p99_us: medianOf(samples[manner].p99) }]))
    return { calls, decide: decide as EvenniaFigures['decide'], rss_growth_mb: Math.round((process.memoryUsage().rss - before) / 2 ** 20) }
  } finally {
    await game.terminate()
    await manciple.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** µs, ascending. */
async function timesOf(manciple: Manciple, calls: number): Promise<readonly number[]> {
  const times: number[] = []
  for (let call = 0; call < calls; call++) {
    const before = performance.now()
    const dispatch = await manciple.decide({ backend: 'claude', taskType: 'chat', inputTokens: 500, maxOutputTokens: 300, pinned: true })
    times.push((performance.now() - before) * 1_000)
    await dispatch.settle({ inputTokens: 500, outputTokens: 200 })
    // Some hundred calls a second: a router that does nothing else would only show how the threads share two cores.
    await sleep(PAUSE_MS)
  }
  return times.toSorted((a, b) => a - b)
}

function medianOf(values: readonly number[]): number {
  return Math.round(values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0)
}

if (!isMainThread) {
  const game = await startFakeGame(PASSWORD)
  parentPort?.on('message', (manner: Manner) => game.behave(manner === 'mute' || manner === 'flood' ? manner : 'well'))
  parentPort?.postMessage(game.url)
}

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openOutsideView } from '@manciple/core'
import { auditJournal } from './audit.ts'
import { HELP, parseOptions } from './options.ts'
import type { Options } from './options.ts'
import type { Provider, Stage } from './stage.ts'
import { setStage } from './stage.ts'
import { auditable, renderSummary } from './summary.ts'
import { drive, newTally, readTrace, synthesize } from './traffic.ts'
import type { Mix, Span } from './traffic.ts'
import { startLive } from './view.ts'
import type { Snapshot } from './view.ts'

const DAY_MS = 86_400_000
/** The first of a month of thirty days. Ledger time is the demo's own: it has nothing to do with today. */
const START = '2026-11-01T00:00:00.000Z'
/** The gateway's clock has run a little when the traffic begins, and the last call needs its time: so much less traffic than days. Real seconds. */
const MARGIN_SECONDS = 1
const CONCURRENCY = 48
const STUB_LATENCY_MS = 4

const TASKS = [
  ['chat', 5],
  ['reasoning', 3],
  ['bulk', 2],
] as const
/** Within the budgets: clients favour two of the four backends, and leave many calls to the policy. */
const FLOORS_MIX: Mix = {
  models: [
    ['claude', 4],
    ['gpt', 3],
    ['gemini', 1],
    ['auto', 4],
  ],
  taskTypes: TASKS,
}
/** Too dear for the budgets: the two dearest. */
const EXHAUSTION_MIX: Mix = {
  models: [
    ['claude', 1],
    ['gpt', 1],
  ],
  taskTypes: TASKS,
}

/** Real providers, by the policy's usual backend names. */
const PROVIDERS: ReadonlyMap<string, Provider> = new Map([
  ['claude', { url: 'https://api.anthropic.com/v1', keyVariable: 'ANTHROPIC_API_KEY' }],
  ['gpt', { url: 'https://api.openai.com/v1', keyVariable: 'OPENAI_API_KEY' }],
  ['gemini', { url: 'https://generativelanguage.googleapis.com/v1beta/openai', keyVariable: 'GEMINI_API_KEY' }],
  ['kimi', { url: 'https://api.moonshot.ai/v1', keyVariable: 'MOONSHOT_API_KEY' }],
])

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2))
  if (options.help) process.stdout.write(HELP)
  else if (options.serve) await serve(options)
  else process.exitCode = await rehearse(options)
}

/** Runs the traffic to its end. @returns 0 when every call was answered and every limit held. */
async function rehearse(options: Options): Promise<number> {
  const { ledger, folder } = folders(options)
  const mix = options.trace === undefined ? FLOORS_MIX : EXHAUSTION_MIX
  const policy = resolve(options.policy ?? demoPolicy(options.trace === undefined ? 'floors' : 'exhaustion'))
  const daysMs = options.days * DAY_MS
  const rate = daysMs / (options.seconds * 1000)
  const span: Span = { seed: options.seed, mix, spanMs: daysMs - MARGIN_SECONDS * 1000 * rate }
  const calls = options.trace === undefined ? synthesize(options.limit, span) : await readTrace(options.trace, options.limit, span)
  console.log(`${calls.length.toLocaleString('en-US')} calls over ${options.days} days in ${options.seconds} seconds, under ${policy}\n`)

  const stage = await setStage({ folder, policy, ledger, latencyMs: STUB_LATENCY_MS, clock: { start: START, rate } })
  const stop = new AbortController()
  process.once('SIGINT', () => {
    stop.abort()
  })
  const tally = newTally(calls.length)
  const stopLive = startLive({ read: () => snapshot(ledger), tally, out: process.stdout })
  try {
    await drive(calls, tally, { url: stage.gateway.url, rate, concurrency: CONCURRENCY, signal: stop.signal })
  } finally {
    // First stopped, then shown: what is shown last is what the ledger holds.
    await stage.close()
    await stopLive()
  }
  return report(stage, ledger, tally)
}

async function report(stage: Stage, ledger: string, tally: ReturnType<typeof newTally>): Promise<number> {
  const view = await openOutsideView(ledger, { at: 'latest' })
  const budget = view.budget()
  const checked = auditable(budget, [...stage.upstreams.keys()])
  const audit = await auditJournal(ledger, checked, view.policy.timezone)
  console.log(renderSummary({ tally, budget, audit, upstreams: stage.upstreams, ledger, checked }).join('\n'))
  return tally.answered === tally.sent && audit.overshootNano === 0n ? 0 : 1
}

/** Keeps the gateway up in real time until it is told to stop. */
async function serve(options: Options): Promise<void> {
  const { ledger, folder } = folders(options)
  const policy = resolve(options.policy ?? demoPolicy('floors'))
  const clientKey = randomBytes(18).toString('base64url')
  const providers = new Map([...PROVIDERS].filter(([, { keyVariable }]) => (process.env[keyVariable] ?? '') !== ''))
  const stage = await setStage({ folder, policy, ledger, latencyMs: 200, clientKey, providers })
  const url = `${stage.gateway.url}/openai/v1/chat/completions`
  console.log(`The gateway is up, under ${policy}`)
  for (const { name, backend, model } of stage.models) {
    const stub = stage.upstreams.get(backend)
    console.log(`  ${name.padEnd(28)} ${model.padEnd(28)} ${stub === undefined ? 'real' : `stub at ${stub.url}`}`)
  }
  console.log(`
Try it:
  curl ${url} -H 'authorization: Bearer ${clientKey}' -H 'content-type: application/json' \\
    -H 'x-manciple-task-id: first' -d '{"model":"auto","messages":[{"role":"user","content":"Good day"}]}'

The ledger lies in ${ledger}. Stop with Ctrl-C.`)
  const ended = stage.gateway.exited
  const told = new Promise<void>((done) => {
    process.once('SIGINT', done)
    process.once('SIGTERM', done)
  })
  await Promise.race([ended, told])
  const code = await stage.close()
  if (code !== 0) throw new Error(`The gateway ended with code ${code}. It said:\n${stage.gateway.output()}`)
}

async function snapshot(ledger: string): Promise<Snapshot | undefined> {
  if (!existsSync(ledger)) return undefined
  const view = await openOutsideView(ledger, { at: 'latest' }).catch(() => undefined)
  return view === undefined ? undefined : { budget: view.budget(), costs: view.costs(), notices: view.notices }
}

/** @throws Error for a ledger that is in use already: its time would have to go back. Only `--serve`, in real time, goes on with one. */
function folders({ ledger, serve: serving }: Options): { ledger: string; folder: string } {
  const folder = resolve('data', 'demo', new Date().toISOString().slice(0, 19).replaceAll(':', '-'))
  const chosen = resolve(ledger ?? join(folder, 'ledger'))
  if (!serving && existsSync(chosen) && readdirSync(chosen).length > 0) throw new Error(`--ledger: ${chosen} is not empty; give a new folder`)
  mkdirSync(folder, { recursive: true })
  return { ledger: chosen, folder }
}

function demoPolicy(name: string): string {
  return fileURLToPath(new URL(`../policies/${name}.yaml`, import.meta.url))
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})

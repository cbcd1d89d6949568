import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** One model of the gateway's config, and what it stands for in the policy. */
export interface GatewayModel {
  /** What clients ask for. */
  readonly name: string
  readonly backend: string
  readonly model: string
  /** Base URL of an OpenAI-compatible provider. */
  readonly url: string
  /** The key, or `${NAME}` for an environment variable that the gateway reads itself. */
  readonly apiKey: string
}

export interface GatewayOptions {
  /** For the config, the log, and as the gateway's working directory. Made where it is missing. */
  readonly folder: string
  /** The last is the gateway's default. */
  readonly models: readonly GatewayModel[]
  readonly policy: string
  readonly ledger: string
  /** Ledger time; the machine's own, unless given. */
  readonly clock?: { readonly start: string; readonly rate: number }
  readonly callTimeoutMs?: number
  /** Asked of clients, where given: the gateway listens on every interface. */
  readonly clientKey?: string
}

/** A running gateway: the unmodified package, in a process of its own. */
export interface Gateway {
  readonly url: string
  /** What it has written to stdout and stderr. */
  output(): string
  /** Its exit code, when it has ended; null when a signal ended it. */
  readonly exited: Promise<number | null>
  /** Sends a signal and waits for the end. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<number | null>
}

const HEALTH_PERIOD_MS = 40
const START_LIMIT_MS = 30_000
const OUTPUT_KEPT = 200_000

/** Starts the gateway's own command line with our plugin in its config. @throws Error with its output when it does not come up. */
export function startGateway(options: GatewayOptions): Promise<Gateway> {
  return runGateway(options.folder, (port) => gatewayConfig(options, port))
}

/** Starts it with any config. @throws Error with its output when it does not come up. */
export async function runGateway(folder: string, configFor: (port: number) => string): Promise<Gateway> {
  const port = await freePort()
  mkdirSync(folder, { recursive: true })
  const config = join(folder, 'gateway.yaml')
  writeFileSync(config, configFor(port), { mode: 0o600 })
  const cli = join(dirname(createRequire(import.meta.url).resolve('@nullplatform/llm-gateway/package.json')), 'dist', 'cli.js')
  const child = spawn(process.execPath, [cli, 'start', '-c', resolve(config)], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = exitOf(child)
  const gateway: Gateway = {
    url: `http://127.0.0.1:${port}`,
    output: collect(child, join(folder, 'gateway.log')),
    exited,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal)
      return exited
    },
  }
  await healthy(gateway, child)
  return gateway
}

/** The gateway's config, as an operator would write it. JSON strings are YAML strings. */
export function gatewayConfig(options: GatewayOptions, port: number): string {
  const text = (value: string): string => JSON.stringify(value)
  // As a user has it: the built file, also where tests run from source.
  const plugin = join(dirname(createRequire(import.meta.url).resolve('@manciple/router-plugin')), '..', 'dist', 'llm-gateway.js')
  const backends = new Set(options.models.map(({ backend }) => backend))
  // Every backend may fail a request before the last one answers it.
  const maxRetries = backends.size + 1
  const models = options.models.map(
    ({ name, url, apiKey, model }, index) =>
      `  - name: ${text(name)}\n    isDefault: ${index === options.models.length - 1}\n    provider: { type: openai, config: { baseUrl: ${text(url)}, apiKey: ${text(apiKey)}, model: ${text(model)}, retryAttempts: 1 } }`,
  )
  const names = options.models.map(({ name, backend, model }) => `        ${text(name)}: { backend: ${text(backend)}, model: ${text(model)} }`)
  const lock = `  - { name: basic-apikey-auth, type: basic-apikey-auth, enabled: true, priority: 1, config: { apikeys: [${text(options.clientKey ?? '')}] } }\n`
  const clock = options.clock === undefined ? '' : `\n      clock: { start: ${text(options.clock.start)}, rate: ${options.clock.rate} }`
  const timeout = options.callTimeoutMs === undefined ? '' : `\n      callTimeoutMs: ${options.callTimeoutMs}`
  return `server: { port: ${port} }
maxRetries: ${maxRetries}
defaultProject: true
availableExtensions:
  - path: ${text(plugin)}
models:
${models.join('\n')}
adapters:
  - { name: openai, type: openai, config: {} }
plugins:
${options.clientKey === undefined ? '' : lock}  - name: manciple
    type: manciple
    enabled: true
    priority: 1000
    config:
      policy: ${text(resolve(options.policy))}
      ledger: ${text(resolve(options.ledger))}
      maxRetries: ${maxRetries}${timeout}${clock}
      models:
${names.join('\n')}
logging: { level: warn, format: simple }
`
}

async function healthy(gateway: Gateway, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + START_LIMIT_MS
  while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
    const up = await fetch(`${gateway.url}/health`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (up) return
    await sleep(HEALTH_PERIOD_MS)
  }
  child.kill('SIGKILL')
  const code = await gateway.exited
  throw new Error(`The gateway did not come up (exit code ${code}). It said:\n${gateway.output()}`, { cause: { code } })
}

function collect(child: ChildProcess, logFile: string): () => string {
  const log = createWriteStream(logFile, { flags: 'a', mode: 0o600 })
  let output = ''
  const take = (part: Buffer): void => {
    log.write(part)
    output = (output + part.toString()).slice(-OUTPUT_KEPT)
  }
  child.stdout?.on('data', take)
  child.stderr?.on('data', take)
  child.on('close', () => log.end())
  return () => output
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  // `close` comes when its output has been read to the end, too.
  await once(child, 'close')
  return child.exitCode
}

/** A port that was free a moment ago, on the interface that the gateway listens on: all of them. */
async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0)
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}

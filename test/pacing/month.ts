import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parsePolicy } from '../../packages/core/src/config/parse.ts'
import type { Policy } from '../../packages/core/src/policy/policy.ts'
import { Calendar } from '../../packages/core/src/windows.ts'
import type { Bounds } from '../../packages/core/src/windows.ts'

/** A month of requests as columns, in order of time. */
export interface Month {
  readonly size: number
  readonly startMs: number
  readonly endMs: number
  readonly atMs: Float64Array
  readonly type: Uint8Array
  readonly input: Float64Array
  readonly output: Float64Array
  readonly maxOutput: Float64Array
  readonly durationMs: Float64Array
}

/** A quota of a cloud backend with its windows over the month. Nano-USD. */
export interface Quota {
  readonly quantity: number
  readonly windows: readonly Bounds[]
}

/** What stays the same over months: prices (nano-USD a token), quotas and preferences. Index 0 … n − 1: cloud backends; n: local. */
export interface World {
  /** The policy's file. */
  readonly text: string
  readonly policy: Policy
  readonly backends: readonly string[]
  readonly types: readonly string[]
  readonly inputPrice: readonly number[]
  readonly outputPrice: readonly number[]
  readonly quotas: readonly Quota[]
  /** By type, by backend, local last. */
  readonly values: readonly (readonly number[])[]
  /** By type: the cloud backend that suits it best. */
  readonly favourites: readonly number[]
}

export interface MonthFlags {
  readonly rho: number
  readonly seed: number
  readonly scenario?: string
  readonly history?: boolean
}

export const DAY_MS = 86_400_000
export const START_MS = Date.parse('2026-04-01T00:00:00Z')
export const END_MS = START_MS + 30 * DAY_MS

/** Where `make-month.mjs` is: the flag or variable's word, else beside the repository. Undefined where there is none. */
export function findTraces(given: string | undefined): string | undefined {
  const folder = given ?? process.env['MANCIPLE_TRACES'] ?? join(import.meta.dirname, '../../../shared/traces')
  const script = join(folder, 'make-month.mjs')
  return existsSync(script) ? script : undefined
}

function run(script: string, args: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', maxBuffer: 1 << 30 })
  if (status !== 0) throw new Error(`make-month.mjs ${args.join(' ')}: ${stderr}`)
  return stdout
}

export function readWorld(script: string, weekly: boolean): World {
  const text = run(script, weekly ? ['--config', '--weekly'] : ['--config'])
  const parsed = parsePolicy(text, 'traces')
  if (!parsed.ok) throw new Error(`the traces' policy is refused: ${JSON.stringify(parsed.issues)}`)
  return worldOf(parsed.policy, text)
}

export function worldOf(policy: Policy, text = ''): World {
  const cloud = policy.backends.filter(({ kind }) => kind === 'cloud')
  const types = [...policy.preferences.keys()]
  const prices = cloud.map(({ models }) => {
    const price = policy.prices.get(models[0] ?? '')
    if (price === undefined || price === 'free') throw new Error(`no price of ${models[0]}`)
    // USD per million tokens × 1000 = nano-USD per token.
    return { input: Math.round(price.inputMtok * 1000), output: Math.round(price.outputMtok * 1000) }
  })
  const calendar = new Calendar(policy.timezone)
  const quotas = cloud.map(({ quota }): Quota => {
    const limit = policy.limits.find(({ name }) => name === quota)
    if (limit === undefined || limit.window.kind === 'rolling' || limit.window.kind === 'first-use') throw new Error(`no calendar quota ${quota}`)
    const windows: Bounds[] = []
    for (let atMs = START_MS; atMs < END_MS; atMs = windows.at(-1)!.endMs) windows.push(calendar.bounds(limit.window, atMs))
    return { quantity: limit.quantity, windows }
  })
  const values = types.map((type) => [
    ...cloud.map(({ name }) => policy.preferences.get(type)?.get(name) ?? 0.5),
    policy.preferences.get(type)?.get('local') ?? 0.5,
  ])
  const favourites = values.map((row) => row.slice(0, -1).indexOf(Math.max(...row.slice(0, -1))))
  return {
    text,
    policy,
    backends: cloud.map(({ name }) => name),
    types,
    inputPrice: prices.map(({ input }) => input),
    outputPrice: prices.map(({ output }) => output),
    quotas,
    values,
    favourites,
  }
}

export function readMonth(script: string, world: World, { rho, seed, scenario = 'base', history = false }: MonthFlags): Month {
  const args = ['--rho', String(rho), '--seed', String(seed), '--scenario', scenario, ...(history ? ['--history'] : [])]
  const lines = run(script, args).trimEnd().split('\n')
  const month = emptyMonth(lines.length, history ? START_MS - 30 * DAY_MS : START_MS)
  lines.forEach((line, i) => {
    const row: { t: string; task_type: string; prompt_tokens: number; completion_tokens: number; max_output_tokens: number; duration_ms: number } =
      JSON.parse(line)
    month.atMs[i] = Date.parse(row.t)
    month.type[i] = world.types.indexOf(row.task_type)
    month.input[i] = row.prompt_tokens
    month.output[i] = row.completion_tokens
    month.maxOutput[i] = row.max_output_tokens
    month.durationMs[i] = row.duration_ms
  })
  return month
}

export function emptyMonth(size: number, startMs: number): Month {
  const column = (): Float64Array => new Float64Array(size)
  return {
    size,
    startMs,
    endMs: startMs + 30 * DAY_MS,
    atMs: column(),
    type: new Uint8Array(size),
    input: column(),
    output: column(),
    maxOutput: column(),
    durationMs: column(),
  }
}

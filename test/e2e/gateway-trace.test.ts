import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openOutsideView } from '@manciple/core'
import { expect, test } from 'vitest'
import { setStage } from '../../demo/src/stage.ts'
import { drive, newTally, readTrace, synthesize } from '../../demo/src/traffic.ts'
import type { Call, Mix } from '../../demo/src/traffic.ts'
import { freshFolder, removeFolder } from './support.ts'

/*
 * The gateway's books against sums that no code of ours makes: decimal text and BigInt.
 * MANCIPLE_TRACE names a trace to replay (5,000 requests), else the public one is taken; where there is none, a shorter seeded run is made.
 */

const PUBLIC_TRACE = fileURLToPath(new URL('../../../shared/traces/azure2023_conv.csv', import.meta.url))
const TRACE = process.env['MANCIPLE_TRACE'] ?? (existsSync(PUBLIC_TRACE) ? PUBLIC_TRACE : undefined)
const DAY_MS = 86_400_000
/** Five times what a day's limit pays for, and slower than the gateway can answer: a machine that falls far behind sees exhaustion as well. */
const CALLS_A_DAY = 750
const CALLS_A_SECOND = 120
const MIX: Mix = {
  models: [
    ['claude', 9],
    ['gpt', 8],
    ['gemini', 2],
    ['kimi', 1],
  ],
  taskTypes: [['chat', 1]],
}
const POLICY = fileURLToPath(new URL('../../demo/policies/exhaustion.yaml', import.meta.url))
const BRIEF_NANO: Readonly<Record<string, bigint>> = {
  'all.day': 5_000_000_000n,
  'all.month': 50_000_000_000n,
  'claude.month': 20_000_000_000n,
  'kimi.month': 15_000_000_000n,
  'gpt.month': 10_000_000_000n,
  'gemini.month': 5_000_000_000n,
}

/** `0.0069` → 6900000n. JSON may write a small one as `5e-7`. */
function nanoOf(text: string): bigint {
  const [digits = '', exponent = '0'] = text.split('e')
  const [whole = '', decimals = ''] = digits.split('.')
  const scale = 9 + Number(exponent) - decimals.length
  if (scale < 0) throw new Error(`${text} is finer than a nano`)
  return BigInt(whole + decimals) * 10n ** BigInt(scale)
}

function settleLines(ledger: string): { line: Record<string, unknown>; nano: bigint }[] {
  return readdirSync(ledger)
    .filter((name) => name.startsWith('journal-'))
    .sort()
    .flatMap((name) => readFileSync(join(ledger, name), 'utf8').split('\n'))
    .filter((text) => text.includes('"type":"settle"'))
    .map((text) => ({ line: JSON.parse(text), nano: nanoOf(/"cost_usd":([^,}]+)/.exec(text)?.[1] ?? '') }))
}

async function trafficFor(count: number, spanMs: number): Promise<readonly Call[]> {
  const span = { seed: 7, mix: MIX, spanMs }
  if (TRACE === undefined) {
    console.warn(`No trace at ${PUBLIC_TRACE}: ${count} seeded calls instead.`)
    return synthesize(count, span)
  }
  if (!existsSync(TRACE)) throw new Error(`MANCIPLE_TRACE: ${TRACE} does not exist`)
  return readTrace(TRACE, count, span)
}

test('every call is answered; the books equal the sum of the entries to the nano, and no limit is passed at any entry', async () => {
  const folder = freshFolder()
  const ledger = join(folder, 'ledger')
  const count = TRACE === undefined ? 1500 : 5000
  const spanMs = (count / CALLS_A_DAY) * DAY_MS
  const traffic = await trafficFor(count, spanMs)
  const rate = (spanMs * CALLS_A_SECOND) / (count * 1000)
  const stage = await setStage({ folder, policy: POLICY, ledger, latencyMs: 2, clock: { start: '2026-11-01T00:00:00Z', rate } })
  const tally = newTally(traffic.length)
  await drive(traffic, tally, { url: stage.gateway.url, rate, concurrency: 48 })
  expect(await stage.close()).toBe(0)
  expect(tally).toMatchObject({ sent: traffic.length, answered: traffic.length, refused: 0, failed: 0 })

  const entries = settleLines(ledger)
  expect(entries).toHaveLength(traffic.length)
  expect(new Set(entries.map(({ line }) => line['id'])).size).toBe(traffic.length)
  expect(new Set(entries.map(({ line }) => line['task_id'])).size).toBe(traffic.length)

  const windows = new Map<string, bigint>()
  const add = (key: string, limit: string, nano: bigint): void => {
    const sum = (windows.get(key) ?? 0n) + nano
    windows.set(key, sum)
    expect(sum <= (BRIEF_NANO[limit] ?? 0n), `${key} at ${sum}`).toBe(true)
  }
  for (const { line, nano } of entries) {
    const [backend, timestamp] = [String(line['backend']), String(line['timestamp'])]
    if (backend === 'local') {
      expect(nano).toBe(0n)
      continue
    }
    add(`all.day@${timestamp.slice(0, 10)}`, 'all.day', nano)
    add(`all.month@${timestamp.slice(0, 7)}`, 'all.month', nano)
    add(`${backend}.month@${timestamp.slice(0, 7)}`, `${backend}.month`, nano)
  }

  const view = await openOutsideView(ledger, { at: 'latest' })
  const now = view.lastRecord
  for (const { limit, settled, window, held, presumed } of view.budget().limits) {
    const key = `${limit}@${now.slice(0, window === 'day' ? 10 : 7)}`
    expect([limit, BigInt(settled), held, presumed]).toEqual([limit, windows.get(key) ?? 0n, 0, 0])
  }

  // What the stubs served is what the books say they served.
  for (const [backend, { served }] of stage.upstreams) {
    const own = entries.filter(({ line }) => line['backend'] === backend)
    const sum = (field: string): number => own.reduce((total, { line }) => total + Number(line[field]), 0)
    expect([backend, own.length, sum('prompt_tokens'), sum('completion_tokens')]).toEqual([backend, served.calls, served.promptTokens, served.completionTokens])
  }

  const told = view.notices.filter(({ kind }) => kind === 'local-only')
  expect(told.length).toBeGreaterThan(0)
  expect(new Set(told.map(({ episode }) => episode)).size).toBe(told.length)
  removeFolder(folder)
}, 300_000)

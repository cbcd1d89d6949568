import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { formatUsd, type CostsReport } from '@manciple/core'
import { bridgeSettings, runBridge } from '@manciple/evennia-adapter'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../packages/cli/src/index.ts'
import { evenniaPython, startGame, telnetPlayer, waitFor, type Game, type Player } from './evennia-support.ts'
import { ask, ofType, removeFolder, stageFor, until, type TestStage } from './support.ts'
import { chromiumPath, openWebclient, type Webclient } from './webclient.ts'

const python = evenniaPython()
const chromium = python === undefined ? undefined : chromiumPath()
const root = join(import.meta.dirname, '..', '..')
const PATIENCE_MS = 90_000
/** Ledger time, and how much faster than real time it runs: the day ends 36 s after the gateway's start. */
const CLOCK = { start: '2026-11-20T23:48:00Z', rate: 20 }
const POLICY = `timezone: UTC
budgets: { daily_limit_usd: 0.02, monthly_limit_usd: 50.00, per_backend: { claude: 20.00/month, kimi: 15.00/month } }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  kimi: { provider: moonshotai, models: [kimi-k2] }
  local: { kind: local, models: ["llama3.1:8b"] }
`

let game: Game
let player: Player
let webclient: Webclient | undefined
let stage: TestStage
const ending = new AbortController()
let bridge: Promise<void> | undefined

beforeAll(async () => {
  if (python === undefined) return
  game = await startGame(python, { teller: 'Player', weaver: 'Player' })
  player = await telnetPlayer(game, 'teller')
  if (chromium !== undefined) webclient = await openWebclient(game, chromium, 'weaver')
}, 400_000)

afterAll(async () => {
  ending.abort()
  await bridge
  await webclient?.close()
  await stage?.close()
  if (stage !== undefined) removeFolder(stage.folder)
  await game?.destroy()
}, 60_000)

async function costs(): Promise<CostsReport> {
  let out = ''
  const io = { stdout: { write: (text: string) => (out += text) }, stderr: process.stderr, env: {}, isTTY: false, columns: undefined }
  await run(['costs', '--ledger', stage.ledger, '--latest', '--json'], io)
  return JSON.parse(out) as CostsReport
}

describe.skipIf(python === undefined)('from the gateway to a player', { timeout: 2 * PATIENCE_MS }, () => {
  test('spent to its limit, the router says so in the game; figures there are those of `manciple costs`; the next day it is restored', async () => {
    await webclient?.say('observatory')
    await webclient?.sees('Brass instruments')
    const before = player.shown().length
    stage = await stageFor(POLICY, { clock: CLOCK })
    const settings = bridgeSettings({ url: game.websocketUrl, ledger: stage.ledger, password_file: game.passwordFile, latest: true })
    bridge = runBridge(settings, ending.signal, () => undefined)
    for (const model of ['kimi', 'claude', 'claude', 'claude', 'claude', 'kimi', 'claude', 'claude']) {
      const headers = { 'x-manciple-pinned': 'true' }
      const response = await ask(stage, { model, headers, usage: { prompt_tokens: 500, completion_tokens: 200 }, maxTokens: 256 })
      expect(response.status).toBe(200)
      await response.text()
    }

    await until(stage.ledger, (lines) => ofType(lines, 'notice').some(({ kind }) => kind === 'local-only'))
    const from = performance.now()
    const told = 'Cloud budget exhausted, operating local-only until 2026-11-21 00:00'
    await waitFor('the notice', () => player.shown().slice(before).includes(told))
    process.stderr.write(`The player read the notice ${Math.round(performance.now() - from)} ms after it was in the journal.\n`)

    const { today, month, backends } = await costs()
    expect(today.costNano).toBeGreaterThan(0)
    const lines = [...backends.map(({ backend, ...spend }) => ({ name: backend, ...spend })), { name: 'total', today, month }]
    const wanted = lines.map((line) => new RegExp(`${line.name} .*\\${formatUsd(line.today.costNano)} .*\\${formatUsd(line.month.costNano)}\\s`))
    let page = ''
    await waitFor(
      'the same figures in the game',
      async () => wanted.every((line) => line.test(page)) || ((page = await player.ask('costs', /As of/)), false),
      PATIENCE_MS,
    ).catch(() => undefined)
    for (const line of wanted) expect(page).toMatch(line)

    const room = await player.ask('observatory', /As of/)
    expect(room).toContain('The Observatory')
    expect(room).toContain(`ALERT: ${told}`)
    expect(room).toContain(`${formatUsd(today.costNano)} today`)
    expect(room).toMatch(/claude\.month.*\$20\.00/)

    if (webclient !== undefined) {
      await webclient.sees(told)
      await webclient.say('look')
      await webclient.sees(`${formatUsd(today.costNano)} today`)
      mkdirSync(join(root, 'test-results'), { recursive: true })
      await webclient.screenshot(join(root, 'test-results', 'evennia-webclient.png'))
      if (process.env['MANCIPLE_UPDATE_SCREENSHOT'] !== undefined) await webclient.screenshot(join(root, 'docs', 'evennia-webclient.png'))
      const text = await webclient.text()
      expect(text).toContain('The Observatory')
      expect(text).toContain(told)
      expect(text).not.toContain('cloud_budget')
    }

    await player.sees('Cloud budget restored', PATIENCE_MS)
    await waitFor('an Observatory without an alert', async () => !(await player.ask('look', /As of/)).includes('ALERT'), PATIENCE_MS)
  })
})

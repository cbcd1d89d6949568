import { chmodSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { manualClock, openManciple, openOutsideView, repairLedger, systemClock, type Manciple } from '@manciple/core'
import { bridgeSettings, openBridge, runBridge, type BridgeSettings, type BridgeSettingsInput } from '@manciple/evennia-adapter'
import { test, type TestContext } from 'vitest'
import { openJsonLedger } from '../../packages/core/src/ledger/json-ledger.ts'
import type { Ledger } from '../../packages/core/src/ledger/ledger.ts'
import { runCaptured } from '../captured-run.ts'
import { startFakeGame, type FakeGame } from './fake-game.ts'
import { freshFolder, removeFolder } from './support.ts'

const PASSWORD = 'a-long-random-password'
const START = Date.UTC(2026, 10, 20, 15)
const POLICY = { version: 'v1', text: 'budgets: { daily_limit_usd: 5.00 }', timezone: 'UTC', limits: [] }

type Finish = TestContext['onTestFinished']

/** A folder of its own, and what is begun in it; all of it ends with the test. The tests run together: most of their time they wait. */
class Scene {
  readonly base = freshFolder()
  readonly ledgerFolder = join(this.base, 'ledger')
  readonly passwordFile = join(this.base, 'password')
  readonly #finish: Finish

  constructor(finish: Finish) {
    this.#finish = finish
    finish(() => removeFolder(this.base))
    writeFileSync(this.passwordFile, `${PASSWORD}\n`, { mode: 0o600 })
  }

  async game(): Promise<FakeGame> {
    const made = await startFakeGame(PASSWORD)
    this.#finish(() => made.close())
    return made
  }

  async ledger(): Promise<Ledger> {
    const ledger = await openJsonLedger({ folder: this.ledgerFolder, nowMs: START, fsync: 'never' })
    this.#finish(() => ledger.close())
    await ledger.usePolicy(POLICY, START)
    return ledger
  }

  async router(text: string, clock = systemClock()): Promise<Manciple> {
    const router = await openManciple({ config: { text }, ledger: this.ledgerFolder, clock })
    this.#finish(() => router.close())
    return router
  }

  settings(url: string, given: BridgeSettingsInput = {}): BridgeSettings {
    return bridgeSettings({ url, ledger: this.ledgerFolder, password_file: this.passwordFile, ...given })
  }

  /** A bridge in this thread. @returns what it has said, and a way to end it. */
  bridge(url: string): { readonly said: string[]; end(): Promise<void> } {
    const said: string[] = []
    const ending = new AbortController()
    const running = runBridge(this.settings(url, { latest: true }), ending.signal, (text) => said.push(text))
    const end = (): Promise<void> => {
      ending.abort()
      return running
    }
    this.#finish(end)
    return { said, end }
  }
}

/** Raises notices `from` to `to`, both included. */
async function raise(ledger: Ledger, from: number, to: number): Promise<void> {
  const body = (number: number) => ({ severity: 'info', kind: 'rule', scope: 's', episode: `e${number}`, text: `notice ${number}`, data: {} }) as const
  await Promise.all(Array.from({ length: to - from + 1 }, (_, index) => ledger.notice(body(from + index), START)))
}

async function until(what: string, isSo: () => boolean, limitMs = 15_000): Promise<void> {
  for (const deadline = Date.now() + limitMs; !isSo(); await sleep(20)) if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`)
}

const texts = ({ model }: FakeGame): readonly string[] => model.kept.shown.map(({ text }) => text)
const upTo = (last: number): readonly string[] => Array.from({ length: last }, (_, index) => `notice ${index + 1}`)

test.concurrent('the notices there are and those that come reach the game once and in order, over lost connections and a bridge that is started again', async ({
  expect,
  onTestFinished,
}) => {
  const scene = new Scene(onTestFinished)
  const fake = await scene.game()
  const ledger = await scene.ledger()
  await raise(ledger, 1, 120)
  const first = scene.bridge(fake.url)
  await until('120 notices', () => fake.model.cursor === 120)
  await raise(ledger, 121, 130)
  await until('130 notices', () => fake.model.cursor === 130)
  fake.drop()
  await raise(ledger, 131, 160)
  await until('160 notices', () => fake.model.cursor === 160)
  await first.end()
  await raise(ledger, 161, 200)
  scene.bridge(fake.url)
  await until('200 notices', () => fake.model.cursor === 200)
  expect(texts(fake)).toEqual(upTo(200))
})

test.concurrent('a game that has forgotten gets what it lacks again, also what only the journal still has', async ({ expect, onTestFinished }) => {
  const scene = new Scene(onTestFinished)
  const fake = await scene.game()
  const ledger = await scene.ledger()
  await raise(ledger, 1, 30)
  scene.bridge(fake.url)
  await until('30 notices', () => fake.model.cursor === 30)
  const older = fake.model.kept
  await raise(ledger, 31, 700)
  await until('700 notices', () => fake.model.cursor === 700)
  fake.model.kept = older
  fake.shout(JSON.stringify([fake.model.resync().name, [], fake.model.resync().body]))
  await until('700 notices again', () => fake.model.cursor === 700)
  expect(texts(fake)).toEqual(upTo(700))
})

test.concurrent('a ledger that is put back from an older copy goes on in another stream, and nothing is shown twice', async ({ expect, onTestFinished }) => {
  const scene = new Scene(onTestFinished)
  const fake = await scene.game()
  const ledger = await scene.ledger()
  await raise(ledger, 1, 10)
  await ledger.flush()
  const running = scene.bridge(fake.url)
  await until('10 notices', () => fake.model.cursor === 10)
  await ledger.close()
  cpSync(scene.ledgerFolder, join(scene.base, 'copy'), { recursive: true })
  const again = await scene.ledger()
  await raise(again, 11, 20)
  await until('20 notices', () => fake.model.cursor === 20)
  await again.close()
  rmSync(scene.ledgerFolder, { recursive: true })
  cpSync(join(scene.base, 'copy'), scene.ledgerFolder, { recursive: true })
  const restored = await scene.ledger()
  await raise(restored, 31, 33)
  await until('the new ones', () => texts(fake).length === 23, 30_000)
  expect(texts(fake)).toEqual([...upTo(20), 'notice 31', 'notice 32', 'notice 33'])
  expect(fake.model.kept.stream).toBe(`${restored.stream}~1`)
  expect(running.said.join('\n')).toMatch(/cannot be read/)
})

test.concurrent('a ledger that is repaired goes on in another stream, and says which notices it lost', async ({ expect, onTestFinished }) => {
  const scene = new Scene(onTestFinished)
  const fake = await scene.game()
  const ledger = await scene.ledger()
  await raise(ledger, 1, 10)
  await ledger.close()
  const journal = join(scene.ledgerFolder, 'journal-000001.jsonl')
  const lines = readFileSync(journal, 'utf8').split('\n')
  writeFileSync(journal, lines.filter((line) => !line.includes('notice 5')).join('\n'))
  rmSync(join(scene.ledgerFolder, 'checkpoint.json'))
  expect(await repairLedger(scene.ledgerFolder)).toMatchObject({ repaired: true })
  await raise(await scene.ledger(), 11, 12)
  scene.bridge(fake.url)
  await until('12 notices', () => fake.model.cursor === 12)
  // What stands right after a missing line cannot be verified either.
  const lost = [5, 6].map((number) => `Notice ${number} was lost when the ledger was damaged.`)
  expect(texts(fake)).toEqual([...upTo(4), ...lost, ...upTo(12).slice(6)])
  expect(fake.model.kept.stream).toMatch(/\.1$/)
})

test.concurrent('the figures are those of `manciple costs`, anew within a second of a call', async ({ expect, onTestFinished }) => {
  const scene = new Scene(onTestFinished)
  const fake = await scene.game()
  const router = await scene.router(
    'timezone: UTC\nbudgets: { daily_limit_usd: 5.00, monthly_limit_usd: 50.00, per_backend: { claude: 20.00/month } }',
    manualClock(START),
  )
  scene.bridge(fake.url)
  await until('figures', () => fake.model.figures !== undefined)
  await call(router)
  await until('the call', () => fake.model.figures?.spent.today_calls === 1, 4_000)
  const view = await openOutsideView(scene.ledgerFolder, { at: 'latest' })
  const { today, month } = view.costs()
  expect(fake.model.figures).toMatchObject({
    timezone: 'UTC',
    policy: view.policy.version,
    source: { alive: true, last_record: view.lastRecord },
    local_only: null,
    spent: { today_nano: today.costNano, week_nano: today.costNano, month_nano: month.costNano, today_calls: 1, month_calls: 1 },
    days: expect.arrayContaining([{ day: '2026-11-20', backends: { claude: { cost_nano: today.costNano, calls: 1 } } }]),
  })
  expect(today.costNano).toBeGreaterThan(0)
  expect(fake.model.figures?.days).toHaveLength(30)
  expect(fake.model.figures?.limits.map(({ name }) => name)).toEqual(view.budget().limits.map(({ limit }) => limit))
})

test.concurrent('a bridge that runs before there is a ledger waits for one, and says so once', async ({ expect, onTestFinished }) => {
  const scene = new Scene(onTestFinished)
  const fake = await scene.game()
  const { said } = scene.bridge(fake.url)
  await until('a login', () => fake.logins === 1)
  await sleep(1_200)
  await raise(await scene.ledger(), 1, 3)
  await until('3 notices', () => fake.model.cursor === 3)
  expect(said.filter((text) => text.startsWith('The ledger cannot be read yet'))).toHaveLength(1)
})

test.concurrent('a game that is slow, mute, down or flooding is borne, and gets everything when it is well again', async ({ expect, onTestFinished }) => {
  const scene = new Scene(onTestFinished)
  const fake = await scene.game()
  const ledger = await scene.ledger()
  scene.bridge(fake.url)
  fake.delayMs = 400
  await raise(ledger, 1, 60)
  await until('60 slowly', () => fake.model.cursor === 60)
  fake.delayMs = 0
  fake.behave('flood')
  await raise(ledger, 61, 120)
  await until('120 in a flood', () => fake.model.cursor === 120)
  fake.behave('mute')
  await raise(ledger, 121, 125)
  await sleep(1_000)
  expect(fake.model.cursor).toBe(120)
  fake.behave('well')
  await until('125 after a silence', () => fake.model.cursor === 125)
  expect(texts(fake)).toEqual(upTo(125))
})

test.concurrent('a flood beyond all measure ends the connection, malformed answers do not, and both are said', async ({ expect, onTestFinished }) => {
  const scene = new Scene(onTestFinished)
  const fake = await scene.game()
  const ledger = await scene.ledger()
  await raise(ledger, 1, 1)
  const { said } = scene.bridge(fake.url)
  await until('1 notice', () => fake.model.cursor === 1)
  for (const frame of ['["costs_ack", [], {"id": -1}]', '["costs_welcome", []', '["costs_resync", [], null]', '{"costs_ack": 1}', '\u0000']) fake.shout(frame)
  await raise(ledger, 2, 2)
  await until('2 notices', () => fake.model.cursor === 2)
  expect(fake.connections).toBe(1)
  for (let frame = 0; frame < 5_000; frame++) fake.shout('["text", ["x"], {}]')
  await until('another connection', () => fake.connections === 2)
  await raise(ledger, 3, 3)
  await until('3 notices', () => fake.model.cursor === 3)
  expect(said.join('\n')).toMatch(/malformed answers/)
  expect(said.join('\n')).toMatch(/more than 1000 messages in a second/)
})

test.concurrent('inside a router it runs in a thread of its own, and ends when it is told to', async ({ expect, onTestFinished }) => {
  const scene = new Scene(onTestFinished)
  const fake = await scene.game()
  const router = await scene.router('budgets: { daily_limit_usd: 0.02 }')
  const said: string[] = []
  const inside = openBridge(scene.settings(fake.url), (text) => said.push(text))
  onTestFinished(() => inside.close())
  for (let time = 0; time < 10; time++) await call(router)
  await until('local-only', () => fake.model.kept.shown.some(({ kind, sticky }) => kind === 'local-only' && sticky))
  await inside.close()
  const before = fake.heard.length
  await call(router)
  await sleep(1_500)
  expect(fake.heard).toHaveLength(before)
  expect(said.join('\n')).toMatch(/^Connected to model/m)
})

test.concurrent('`manciple evennia` runs until Ctrl-C, and says what is wrong with its settings', async ({ expect, onTestFinished }) => {
  const scene = new Scene(onTestFinished)
  const fake = await scene.game()
  await raise(await scene.ledger(), 1, 2)
  const ended = new AbortController()
  const config = join(scene.base, 'evennia.yaml')
  writeFileSync(config, `url: ${fake.url}\nledger: ${scene.ledgerFolder}\n`)
  const { signal } = ended
  const running = runCaptured(['evennia', '--config', config, '--password-file', scene.passwordFile, '--latest'], { signal })
  await until('2 notices', () => fake.model.cursor === 2)
  ended.abort()
  const { code, out, err } = await running
  expect(code).toBe(0)
  expect(out).toMatch(/Carrying .* as manciple; Ctrl-C ends it\.\n.*Connected to model, which has notices up to 0\./)
  expect(out + err).not.toContain(PASSWORD)
  const refused = async (...argv: readonly string[]): Promise<string> => {
    const wrong = await runCaptured(['evennia', ...argv], { signal })
    expect(wrong.code).toBe(2)
    return wrong.err
  }
  expect(await refused('--password-env', 'NO_SUCH_VARIABLE')).toMatch(
    /error BRIDGE_PASSWORD_MISSING: There is no password in the environment variable NO_SUCH_VARIABLE/,
  )
  expect(await refused('--url', 'ws://example.com/')).toMatch(/error BRIDGE_CONFIG_INVALID: url: ws:\/\/ to another machine/)
  chmodSync(scene.passwordFile, 0o644)
  expect(await refused('--password-file', scene.passwordFile)).toMatch(/error BRIDGE_PASSWORD_EXPOSED/)
})

async function call(router: Manciple): Promise<void> {
  const dispatch = await router.decide({ backend: 'claude', taskType: 'chat', inputTokens: 500, maxOutputTokens: 300 })
  await dispatch.settle({ inputTokens: 500, outputTokens: 200 })
}

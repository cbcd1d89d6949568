import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { startGateway } from '../../demo/src/gateway.ts'
import { ask, entryOf, freshFolder, journal, ofType, openHolds, removeFolder, ROOMY, stageFor, until } from './support.ts'
import type { TestStage } from './support.ts'

let stages: TestStage[] = []

async function staged(...given: Parameters<typeof stageFor>): Promise<TestStage> {
  const stage = await stageFor(...given)
  stages.push(stage)
  return stage
}

afterEach(async () => {
  for (const stage of stages) {
    await stage.close()
    removeFolder(stage.folder)
  }
  stages = []
})

test('told to stop in the middle of calls, it leaves no hold open and a ledger that opens again', async () => {
  const stage = await staged(ROOMY, { latencyMs: 400 })
  const calls = [false, true, true].map((stream, index) =>
    ask(stage, { stream, headers: { 'x-manciple-task-id': `slow-${index}` } }).then((response) => response.text()),
  )
  const ended = Promise.allSettled(calls)
  await until(stage.ledger, (lines) => ofType(lines, 'reserve').length === 3)
  expect(await stage.gateway.stop('SIGTERM')).toBe(0)
  await ended
  const lines = journal(stage.ledger)
  expect(openHolds(lines)).toEqual([])
  expect(ofType(lines, 'settle')).toHaveLength(3)

  const again = await staged(ROOMY, { ledger: stage.ledger })
  const response = await ask(again, { headers: { 'x-manciple-task-id': 'later' } })
  expect(response.status).toBe(200)
  await response.text()
  expect(await entryOf(stage.ledger, 'later')).toMatchObject({ status: 'ok' })
  expect(ofType(journal(stage.ledger), 'notice').filter(({ kind }) => kind === 'presumed-spent')).toEqual([])
})

test('a stream that its provider cuts is billed once, for what is known of it, though the gateway itself does not survive it', async () => {
  const stage = await staged(ROOMY, { latencyMs: 30 })
  stage.upstreams.get('claude')?.behave('cut')
  await ask(stage, { stream: true, headers: { 'x-manciple-task-id': 'cut' }, usage: { prompt_tokens: 900, completion_tokens: 400 } })
    .then((response) => response.text())
    .catch(() => '')
  const entry = await entryOf(stage.ledger, 'cut')
  expect(entry).toMatchObject({ prompt_tokens: 900, status: 'cut', usage_source: 'partial' })
  expect(openHolds(journal(stage.ledger))).toEqual([])
})

test('when the money is gone everything goes local, and one notice says so', async () => {
  const stage = await staged(`timezone: UTC
budgets: { daily_limit_usd: 0.02 }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  local: { kind: local, models: ["llama3.1:8b"] }
`)
  // Each costs 0.0045 with a hold of at most 0.00759: some fit, the others go local.
  for (let call = 0; call < 8; call++) {
    const response = await ask(stage, { usage: { prompt_tokens: 500, completion_tokens: 200 }, maxTokens: 256 })
    expect(response.status).toBe(200)
    await response.text()
  }
  const lines = await until(stage.ledger, (all) => ofType(all, 'settle').length === 8)
  const cloud = ofType(lines, 'settle').filter(({ backend }) => backend === 'claude')
  const nano = cloud.reduce((sum, line) => sum + Math.round(Number(line['cost_usd']) * 1e9), 0)
  expect(nano).toBeLessThanOrEqual(20_000_000)
  expect(cloud.length).toBeGreaterThanOrEqual(2)
  expect(ofType(lines, 'settle').at(-1)).toMatchObject({ backend: 'local', requested_backend: 'claude', cost_usd: 0 })
  expect(stage.upstreams.get('claude')?.served.calls).toBe(cloud.length)
  const told = ofType(lines, 'notice').filter(({ kind }) => kind === 'local-only')
  expect(told).toHaveLength(1)
  expect(told[0]?.['text']).toMatch(/^Cloud budget exhausted, operating local-only until /)
})

test('without a local backend a call beyond the budget is answered 429 with the reset', async () => {
  const stage = await staged(`timezone: UTC
budgets: { daily_limit_usd: 0.01 }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
`)
  const dear = { usage: { prompt_tokens: 1000, completion_tokens: 256 }, maxTokens: 256 }
  const first = await ask(stage, dear)
  expect(first.status).toBe(200)
  await first.text()
  const response = await ask(stage, dear)
  expect(response.status).toBe(429)
  expect(await response.json()).toMatchObject({
    error: { code: 'BUDGET_REFUSED', type: 'insufficient_quota', message: expect.stringMatching(/\d{4}-\d\d-\d\dT/) },
  })
  expect(stage.upstreams.get('claude')?.served.calls).toBe(1)
})

test('a second router on the same ledger does not start, says why, and does the first no harm', async () => {
  const first = await staged(ROOMY)
  await expect(stageFor(ROOMY, { ledger: first.ledger })).rejects.toThrow(/exit code 1[^]*LEDGER_LOCKED/)
  const response = await ask(first, { headers: { 'x-manciple-task-id': 'unharmed' } })
  expect(response.status).toBe(200)
  await response.text()
  expect(await entryOf(first.ledger, 'unharmed')).toMatchObject({ status: 'ok' })
})

test.each([
  ['missing', undefined, 'CONFIG_MISSING'],
  ['malformed', 'budgets: { daily_limit_usd: lots }\n', 'CONFIG_INVALID'],
])('a policy that is %s stops the start with its code', async (name, policy, code) => {
  const folder = freshFolder()
  const file = join(folder, 'budgets.yaml')
  if (policy !== undefined) writeFileSync(file, policy)
  const models = [{ name: 'local', backend: 'local', model: 'llama3.1:8b', url: 'http://127.0.0.1:9/v1', apiKey: 'none' }]
  await expect(startGateway({ folder, models, policy: file, ledger: join(folder, 'ledger') }), name).rejects.toThrow(new RegExp(`exit code 1[^]*${code}`))
  removeFolder(folder)
})

test('a ledger folder that cannot be written stops the start with its code', async () => {
  const folder = freshFolder()
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'budgets.yaml')
  writeFileSync(file, ROOMY)
  // A file stands where the folder should be: true for root, too.
  const ledger = join(folder, 'ledger')
  writeFileSync(ledger, '')
  const models = [{ name: 'local', backend: 'local', model: 'llama3.1:8b', url: 'http://127.0.0.1:9/v1', apiKey: 'none' }]
  await expect(startGateway({ folder, models, policy: file, ledger })).rejects.toThrow(/exit code 1[^]*LEDGER_UNWRITABLE/)
  removeFolder(folder)
})

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { startUpstream, type Mode } from '../../demo/src/upstreams.ts'
import { ask, freshFolder, journal, ofType, openHolds, removeFolder, stageFor, until } from '../e2e/support.ts'

const CANARY = 'canary-7f3a91d2c4'
const KEY_VARIABLE = 'TEST_CANARY_KEY'
const POLICY = `timezone: UTC
budgets: { daily_limit_usd: 0.05, warning_threshold: 0.2 }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  gpt: { models: [gpt-5] }
  local: { kind: local, models: ["llama3.1:8b"] }
`
/** The gateway itself does not survive a stream that is cut: that comes last. */
const MODES: readonly Mode[] = ['up', 'down', 'refuse', 'mute', 'endless', 'cut']

/** Each of these is a place where hosts and people put secrets. */
const HEADERS = {
  authorization: `Bearer ${CANARY}`,
  cookie: `session=${CANARY}`,
  'x-api-key': CANARY,
  'x-request-id': CANARY,
  'user-agent': CANARY,
  'x-manciple-task-id': 'task-1',
}

function filesWith(secret: string, folder: string): readonly string[] {
  const found: string[] = []
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile() && readFileSync(path).includes(secret)) found.push(path)
  }
  return found
}

it('keeps secrets of prompts, headers, keys and URLs out of every file, notice and log of its own, whatever becomes of the calls', async () => {
  const upstream = await startUpstream({ name: 'claude', latencyMs: 2 })
  onTestFinished(() => upstream.close())
  process.env[KEY_VARIABLE] = CANARY
  onTestFinished(() => void delete process.env[KEY_VARIABLE])
  // The stub serves any path that ends right.
  const url = upstream.url.replace('/v1', `/${CANARY}/v1`)
  const folder = freshFolder()
  onTestFinished(() => removeFolder(folder))
  const stage = await stageFor(POLICY, { folder, providers: new Map([['claude', { url, keyVariable: KEY_VARIABLE }]]), callTimeoutMs: 1_500 })
  const content = [{ type: 'text', text: `my password is ${CANARY}` }]
  // A wrong body, and a path with a secret in it.
  await fetch(`${stage.gateway.url}/openai/v1/chat/completions?key=${CANARY}`, {
    method: 'POST',
    headers: HEADERS,
    body: `{"model":"claude",${CANARY}`,
    signal: AbortSignal.timeout(2_000),
  }).catch(() => undefined)
  for (const mode of MODES) {
    upstream.behave(mode)
    for (const stream of [false, true]) {
      await ask(stage, { stream, headers: HEADERS, content, signal: AbortSignal.timeout(2_000) })
        .then((response) => response.text())
        .catch(() => 'the connection broke')
    }
  }
  const lines = await until(stage.ledger, (all) => ofType(all, 'settle').length > 4 && openHolds(all).length === 0)
  expect(ofType(lines, 'release').length).toBeGreaterThan(0)
  await stage.close()

  const kinds = new Set(journal(stage.ledger).map(({ type }) => type))
  for (const type of ['reserve', 'settle', 'release', 'notice']) expect(kinds).toContain(type)
  expect(filesWith(CANARY, stage.ledger)).toEqual([])
  const ours = stage.gateway
    .output()
    .split('\n')
    .filter((line) => /manciple/i.test(line) && line.includes(CANARY))
  expect(ours).toEqual([])
  // The search itself can find it.
  writeFileSync(join(stage.ledger, 'probe'), `x${CANARY}`)
  expect(filesWith(CANARY, stage.ledger)).toHaveLength(1)
})

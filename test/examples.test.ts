import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const folder = join(import.meta.dirname, '..', 'examples')
const run = promisify(execFile)

/** A line that only a run that did its work prints. */
const SHOWS: Readonly<Record<string, RegExp>> = {
  '01-decide-and-settle.ts': /cost_usd: 0\.0165/,
  '02-when-the-money-is-gone.ts': /\[alert\] Cloud budget exhausted, operating local-only until /,
  '03-own-rules.ts': /chat: reroute → claude-sonnet-4-20250514: .*opus is kept for reasoning/,
  '04-a-ledger-that-stays.ts': /after a restart: \$0\.003375 this month\n.*"cost_usd":0\.003375/,
  '05-ai-sdk-chat.ts': /\[claude\/claude-sonnet-4-20250514, degraded: false\] \$0\.0012 today\n[^]*\[local\/llama3\.1:8b, degraded: true\] \$0\.0012 today/,
  '06-openai-sdk.ts': /dispatch;backend="gpt"[^]*\$0\.00072 today in 2 calls\nrefused: 429 .*bulk has/,
  '07-anthropic-sdk.ts': /Anthropic counted 100 \+ 20 tokens\nclaude: \$0\.0006 today/,
  '08-hono-router.ts': /bulk: 200, \d+ characters, reroute;backend="kimi"[^]*gpt: \$0\.00072 in 2 calls\nkimi: \$0\.000103 in 1 calls/,
  '09-opentelemetry.ts': /gen_ai\.client\.token\.usage input: 1500 \{token\}[^]*manciple\.cost claude: 0\.0138 \{USD\}/,
}

/** With a key in the environment they would call the provider. */
const KEYS = ['OPENAI_API_KEY', 'ANTHROPIC_API_KEY', 'MOONSHOT_API_KEY', 'OLLAMA_MODEL', 'PORT']
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !KEYS.includes(name)))

test('every example has a line to show', () => {
  expect(readdirSync(folder).filter((name) => name.endsWith('.ts'))).toEqual(Object.keys(SHOWS))
})

test.each(Object.entries(SHOWS))('examples/%s runs and shows what it promises', async (name, shows) => {
  const { stdout, stderr } = await run(process.execPath, ['--conditions=manciple-source', join(folder, name)], { env })
  expect(stderr).toBe('')
  expect(stdout).toMatch(shows)
})

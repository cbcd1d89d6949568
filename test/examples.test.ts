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
}

test('every example has a line to show', () => {
  expect(readdirSync(folder).filter((name) => name.endsWith('.ts'))).toEqual(Object.keys(SHOWS))
})

test.each(Object.entries(SHOWS))('examples/%s runs and shows what it promises', async (name, shows) => {
  const { stdout, stderr } = await run(process.execPath, ['--conditions=manciple-source', join(folder, name)])
  expect(stderr).toBe('')
  expect(stdout).toMatch(shows)
})

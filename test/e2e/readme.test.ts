import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { manualClock, openManciple } from '@manciple/core'
import { afterAll, beforeAll, expect, test } from 'vitest'

const repository = join(import.meta.dirname, '..', '..')
/** The block of the README that is to be run from its first line to its last. */
const [start = '', ...lines] = (/^## At the desk\n.*?^```sh\n(.*?)^```/ms.exec(readFileSync(join(repository, 'README.md'), 'utf8'))?.[1] ?? '')
  .trim()
  .split('\n')
/** In place of npm, which would install and build: the command itself. */
const NPM = `npm() { shift 4; exec '${process.execPath}' --conditions=manciple-source --no-warnings '${join(repository, 'packages', 'cli', 'src', 'main.ts')}' "$@"; }`

let clone = ''

beforeAll(async () => {
  clone = mkdtempSync(join(tmpdir(), 'manciple-'))
  for (const folder of ['configs', 'data']) mkdirSync(join(clone, folder))
  copyFileSync(join(repository, 'configs', 'budgets.yaml'), join(clone, 'configs', 'budgets.yaml'))
  // What `npm start` leaves behind, but for its size.
  const clock = manualClock(Date.parse('2026-11-01T12:00:00Z'))
  const config = join(repository, 'demo', 'policies', 'floors.yaml')
  const router = await openManciple({ config, ledger: join(clone, 'data', 'ledger'), clock })
  for (let call = 0; call < 20; call += 1) {
    const dispatch = await router.decide({ taskType: 'chat', inputTokens: 1000, maxOutputTokens: 500 })
    await dispatch.settle({ inputTokens: 1000, outputTokens: 300 })
    clock.advance(3_600_000)
  }
  await router.close()
})
afterAll(() => rmSync(clone, { recursive: true, force: true }))

/** Runs a line of the shell in the clone. What is live is ended, as by Ctrl-C, when it has said something. */
async function run(line: string, live: boolean): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const child = spawn('sh', ['-c', `${NPM}\n${line}`], { cwd: clone, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
    if (live) child.kill('SIGINT')
  })
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const code = await new Promise<number | null>((done) => child.once('close', done))
  return { code, out, err }
}

test('The desk of the README works from a fresh clone, each line after the one before', async () => {
  expect(start).toMatch(/^npm start -- --ledger data\/ledger +# /)
  const commands = lines.map((line) => /^npm run -s manciple -- (\w+)/.exec(line)?.[1])
  expect(commands).toEqual(expect.arrayContaining(['init', 'check', 'replay', 'explain', 'budget', 'history', 'watch']))
  for (const [index, line] of lines.entries()) {
    const { code, out, err } = await run(line, commands[index] === 'watch')
    // 3: `--fail-on` found what it asks for.
    expect({ line, code, err }).toEqual({ line, code: line.includes('--fail-on') ? expect.toBeOneOf([0, 3]) : 0, err: expect.not.stringContaining('error') })
    expect(`${line}\n${out}`).not.toBe(`${line}\n`)
    if (line.includes('replay') && line.includes('--explain')) expect(out).toMatch(/^(?:dispatch|reroute): /)
  }
}, 60_000)

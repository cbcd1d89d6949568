import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { budgetsJsonSchema, parsePolicy, type Policy } from '@manciple/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runCaptured, type Captured } from '../../../../test/captured-run.ts'
import type { Dialogue } from '../terminal.ts'

let root = ''
let file = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'manciple-'))
  file = join(root, 'new', 'budgets.yaml')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function init(argv: readonly string[], dialogue?: Dialogue): Promise<Captured> {
  return runCaptured(['init', file, ...argv], { columns: 80, ...(dialogue === undefined ? {} : { isTTY: true, dialogue }) })
}

/** What was written, which `check` says nothing against but what was asked for. */
function written(): Policy {
  const parsed = parsePolicy(readFileSync(file, 'utf8'), '')
  if (!parsed.ok) throw new Error(parsed.issues[0]?.message)
  expect(parsed.advice.filter(({ path }) => path !== 'budgets.hard_stop')).toEqual([])
  return parsed.policy
}

/** A terminal that types these answers, one for each question. */
function typist(keys: readonly string[]): Dialogue & { readonly shown: () => string } {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined })
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80, rows: 24 })
  let shown = ''
  output.on('data', (chunk: Buffer) => (shown += chunk.toString()))
  void (async () => {
    let seen = 0
    for (const key of keys) {
      // Until the question stands there and nothing more is drawn; not every key draws.
      for (let still = 0, turns = 0; still < 3 && turns < 50; turns += 1) {
        const before = shown.length
        await sleep(10)
        still = shown.length > seen && shown.length === before ? still + 1 : 0
      }
      seen = shown.length
      for (const one of key) input.write(one)
    }
  })()
  return { input, output, shown: () => shown }
}

describe('manciple init', () => {
  test('writes a policy that check says nothing against, with a schema for editors beside it', async () => {
    const { code, out } = await init([])
    expect(code).toBe(0)
    expect(out).toContain(file.slice(0, 20))
    const { limits, backends } = written()
    expect(limits.map(({ name }) => name)).toEqual(['all.day', 'all.month', 'claude.month', 'kimi.month', 'gpt.month', 'gemini.month'])
    expect(backends.map(({ name }) => name)).toEqual(['claude', 'kimi', 'gpt', 'gemini', 'local'])
    expect(readFileSync(file, 'utf8')).toContain('\n# yaml-language-server: $schema=budgets.schema.json\n')
    expect(JSON.parse(readFileSync(join(root, 'new', 'budgets.schema.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(budgetsJsonSchema())))
  })

  test('takes every answer from the command line', async () => {
    const argv = [
      '--monthly',
      '90',
      '--daily',
      '30.50',
      '--backend',
      'claude=60',
      '--backend',
      'gpt',
      '--timezone',
      'Europe/Paris',
      '--no-local',
      '--no-hard-stop',
      '--no-schema',
    ]
    expect((await init(argv)).code).toBe(0)
    const policy = written()
    expect(policy).toMatchObject({ timezone: 'Europe/Paris', hardStop: false })
    expect(policy.backends.map(({ name }) => name)).toEqual(['claude', 'gpt'])
    expect(policy.limits.map(({ name, quantity }) => [name, quantity / 1e9])).toEqual([
      ['all.day', 30.5],
      ['all.month', 90],
      ['claude.month', 60],
    ])
    expect(existsSync(join(root, 'new', 'budgets.schema.json'))).toBe(false)
    expect(readFileSync(file, 'utf8')).not.toContain('$schema')
  })

  test('never overwrites without --force, neither the file nor the schema', async () => {
    await init(['--yes'])
    writeFileSync(file, 'mine')
    writeFileSync(join(root, 'new', 'budgets.schema.json'), 'mine too')
    expect(await init(['--yes'])).toMatchObject({ code: 2, err: expect.stringContaining('Give --force to overwrite it') })
    expect(readFileSync(file, 'utf8')).toBe('mine')
    rmSync(file)
    await init(['--yes'])
    expect(readFileSync(join(root, 'new', 'budgets.schema.json'), 'utf8')).toBe('mine too')
    expect((await init(['--yes', '--force', '--json'])).out).toContain('"replaced": true')
    expect(written().limits).toHaveLength(6)
  })

  test('writes nothing that check would advise against, and says what', async () => {
    const { code, out } = await init(['--monthly', '50', '--backend', 'claude=60'])
    expect(code).toBe(1)
    expect(out).toContain('The limit `claude.month` can never bind')
    expect(existsSync(file)).toBe(false)
    expect((await init(['--timezone', 'Europe/Pariss'])).out).toContain('did you mean Europe/Paris?')
    expect(JSON.parse((await init(['--monthly', '50', '--daily', '1', '--json'])).out)).toMatchObject({
      ok: false,
      issues: [{ path: 'budgets.daily_limit_usd' }],
    })
  })

  test('asks on a terminal, takes an empty answer for the usual one, and shows a wrong one at once', async () => {
    const terminal = typist(['much\r', '\u0003'])
    expect(await init([], terminal)).toMatchObject({ code: 2, err: 'Nothing was written.\n' })
    expect(terminal.shown()).toContain('An amount in USD')
    expect(existsSync(file)).toBe(false)
    // Month, day, accounts (gemini, the last, taken out), claude, kimi, gpt, zone, local, its name, hard stop.
    const answers = ['80\r', '\r', '\u001B[A', ' ', '\r', '40\r', '\r', '10.5\r', 'Europe/Paris\r', '\r', 'qwen3:8b\r', '\r']
    expect((await init([], typist(answers))).code).toBe(0)
    const { limits, backends, timezone } = written()
    expect(timezone).toBe('Europe/Paris')
    expect(limits.map(({ name, quantity }) => [name, quantity / 1e9])).toEqual([
      ['all.day', 13.34],
      ['all.month', 80],
      ['claude.month', 40],
      ['gpt.month', 10.5],
    ])
    expect(backends.map(({ name, models: [model] }) => [name, model])).toContainEqual(['local', 'qwen3:8b'])
    expect(backends.map(({ name }) => name)).toEqual(['claude', 'kimi', 'gpt', 'local'])
  })

  test('writes the same with Enter to every question as without any', async () => {
    const enter = Array.from({ length: 11 }, () => '\r')
    expect((await init([], typist(enter))).code).toBe(0)
    const asked = readFileSync(file, 'utf8')
    expect((await init(['--yes', '--force'])).code).toBe(0)
    expect(asked).toBe(readFileSync(file, 'utf8'))
    expect(written().limits).toHaveLength(6)
  })

  test('leaves an account without a limit of its own where that is the answer', async () => {
    // Month, day, accounts, claude, kimi, gpt, gemini, zone, local, its name, hard stop.
    expect((await init([], typist(['\r', '\r', '\r', 'none\r', '\r', '\r', '\r', '\r', '\r', '\r', '\r']))).code).toBe(0)
    expect(written().limits.map(({ name }) => name)).toEqual(['all.day', 'all.month', 'kimi.month', 'gpt.month', 'gemini.month'])
  })

  test('is commented as the model of a commented file is', async () => {
    await init([])
    const model = readFileSync(join(import.meta.dirname, '..', '..', '..', '..', 'configs', 'budgets.yaml'), 'utf8')
    const paragraphs = (text: string) => text.split('\n\n').filter((part) => part.startsWith('#'))
    const shared = paragraphs(readFileSync(file, 'utf8')).filter((part) => model.includes(part))
    // Amounts, limits, floors, preferences, prices, the bound on output, rules, and what has a default.
    expect(shared.length).toBeGreaterThanOrEqual(8)
    const keys = (text: string) => [...text.matchAll(/^#? ?([a-z_]+):/gm)].map(([, key]) => key)
    expect(new Set(keys(readFileSync(file, 'utf8')))).toEqual(new Set(keys(model)))
  })

  test('names the folder that cannot be made', async () => {
    writeFileSync(join(root, 'new'), 'no folder')
    file = join(root, 'new', 'deep', 'budgets.yaml')
    const { code, out, err } = await init([])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(`The folder ${join(root, 'new', 'deep')} does not exist and cannot be made (ENOTDIR).`)
  })

  // In a process of its own: where it goes wrong it goes on for ever.
  test.runIf(process.platform === 'linux')(
    'ends where the system will not have a folder',
    () => {
      const main = join(import.meta.dirname, '..', 'main.ts')
      const argv = ['--conditions=manciple-source', '--no-warnings', main, 'init', '/proc/manciple/deep/budgets.yaml']
      const { status, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8', timeout: 10_000, killSignal: 'SIGKILL' })
      expect({ status, stderr }).toEqual({
        status: 2,
        stderr: expect.stringContaining('The folder /proc/manciple does not exist and cannot be made (ENOENT).'),
      })
    },
    15_000,
  )

  test.each([[['--monthly', 'lots']], [['--backend', 'mistral']], [['--backend', 'gpt=much']], [['--daily', '-1']]])('%j is a wrong use', async (argv) => {
    expect(await init(argv)).toMatchObject({ code: 2, out: '' })
    expect(existsSync(file)).toBe(false)
  })
})

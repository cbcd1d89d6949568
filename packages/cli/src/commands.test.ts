import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { manualClock, openManciple } from '@manciple/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Io } from './index.ts'
import { runCaptured, type Captured } from '../../../test/captured-run.ts'

const NOON = Date.parse('2090-11-20T17:00:00Z')
const POLICY = `timezone: America/New_York
budgets: { daily_limit_usd: 0.12, per_backend: { claude: 20.00/month } }
limits: [{ name: a-limit-with-a-name-that-is-much-too-long-for-any-table-of-eighty-columns, amount: 900k tokens/5h@first-use, backend: claude }]
`
let root = ''
let entry = ''

/** Every command, as a line that works; `json: 'lines'` for one object a line, `none` for a command that talks to no program. */
const COMMANDS: readonly {
  readonly name: string
  readonly argv: readonly string[]
  readonly json?: 'lines' | 'none'
  readonly endless?: true
  readonly wide?: true
}[] = [
  { name: 'init', argv: ['new.yaml', '--yes', '--force'] },
  { name: 'check', argv: ['budgets.yaml', '--rules'], wide: true },
  { name: 'costs', argv: ['--ledger', 'ledger'] },
  { name: 'budget', argv: ['--ledger', 'ledger'] },
  { name: 'watch', argv: ['--ledger', 'ledger'], json: 'lines', endless: true },
  { name: 'history', argv: ['--ledger', 'ledger', '--latest'] },
  { name: 'explain', argv: ['--ledger', 'ledger', 'ENTRY'] },
  { name: 'replay', argv: ['trace.jsonl', '--config', 'budgets.yaml'] },
  { name: 'notices', argv: ['--ledger', 'ledger'], json: 'lines', wide: true },
  { name: 'observe', argv: ['claude', '--used', '1%', '--ledger', 'ledger', '--latest'] },
  { name: 'ledger verify', argv: ['--ledger', 'ledger'] },
  { name: 'ledger repair', argv: ['--ledger', 'ledger'] },
  { name: 'ledger rebuild', argv: ['--ledger', 'ledger'] },
  { name: 'ledger stats', argv: ['--ledger', 'ledger'] },
  { name: 'ledger export', argv: ['--ledger', 'ledger'], json: 'lines', wide: true },
  { name: 'ledger import', argv: ['spend.csv', '--ledger', 'ledger', '--latest'] },
  { name: 'ledger adjust', argv: ['--backend', 'claude', '--cost', '0.01', '--reason', 'x', '--ledger', 'ledger', '--latest'] },
  { name: 'evennia', argv: [], json: 'none', endless: true },
]
const RUNNABLE = COMMANDS.filter(({ json }) => json !== 'none')

function outcome(argv: readonly string[], over: Partial<Io> = {}): Promise<Captured> {
  return runCaptured(argv, over)
}

/** Runs a command in the folder of the test; one that would not end is ended after a while. */
function command({ name, argv, endless }: (typeof COMMANDS)[number], more: readonly string[], over: Partial<Io> = {}): ReturnType<typeof outcome> {
  const files = argv.map((part) => (/^(ledger|\w+\.(yaml|csv|jsonl))$/.test(part) ? join(root, part) : part === 'ENTRY' ? entry : part))
  return outcome([...name.split(' '), ...files, ...more], { ...over, ...(endless ? { signal: AbortSignal.timeout(700) } : {}) })
}

function widest(text: string): number {
  return Math.max(
    ...stripVTControlCharacters(text)
      .split('\n')
      .map((line) => line.length),
  )
}

/** The commands that help lists, those of `ledger` as `ledger verify`. */
async function listed(): Promise<readonly string[]> {
  const names = async (argv: readonly string[]): Promise<readonly string[]> => {
    const { out } = await outcome([...argv, '--help'])
    const [, rows = ''] = /^Commands:\n((?: {2}.*\n)+)/m.exec(out) ?? []
    return [...rows.matchAll(/^ {2}([a-z]+)/gm)].map(([, name = '']) => [...argv, name].join(' '))
  }
  return [...(await names([])).filter((name) => name !== 'ledger'), ...(await names(['ledger']))]
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'manciple-'))
  const ledger = join(root, 'ledger')
  const router = await openManciple({ config: { text: POLICY }, ledger, clock: manualClock(NOON) })
  for (let calls = 0; calls < 3; calls += 1) {
    const dispatch = await router.decide({ backend: 'claude', taskType: 'chat', inputTokens: 1000, maxOutputTokens: 2000, pinned: true })
    await dispatch.settle({ inputTokens: 1000, outputTokens: 2000 })
    entry = dispatch.decision.hold ?? ''
  }
  await router.close()
  writeFileSync(join(root, 'budgets.yaml'), POLICY)
  writeFileSync(join(root, 'spend.csv'), 'time,backend,cost\n2090-11-20T10:00:00Z,claude,0.5\n')
  const call = {
    t: '2090-11-20T10:00:00Z',
    id: 'c1',
    task_type: 'chat',
    prompt_tokens: 1000,
    completion_tokens: 500,
    max_output_tokens: 1000,
    duration_ms: 900,
  }
  writeFileSync(join(root, 'trace.jsonl'), `${JSON.stringify(call)}\n`)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe('every command', () => {
  test('is in this table', async () => {
    expect((await listed()).toSorted()).toEqual(COMMANDS.map(({ name }) => name).toSorted())
  })

  test('is in docs/commands.md', () => {
    const page = readFileSync(join(import.meta.dirname, '..', '..', '..', 'docs', 'commands.md'), 'utf8')
    for (const { name } of COMMANDS) expect(page).toContain(name.split(' ')[0] === 'ledger' ? 'manciple ledger' : `\`${name}\``)
  })

  test.each(COMMANDS)('$name is helped: with examples and exit codes, within 80 columns, without colour', async ({ name }) => {
    const { code, out } = await outcome([...name.split(' '), '--help'], { isTTY: true, columns: 80 })
    expect(code).toBe(0)
    expect(out).toContain(`Examples:\n  $ manciple ${name}`)
    expect(out).toMatch(/^Exit codes: 0/m)
    expect(out).toBe(stripVTControlCharacters(out))
    expect(widest(out)).toBeLessThanOrEqual(80)
  })

  test.each(RUNNABLE)('$name works, in a pipe without colour and in ASCII, within 80 columns', async (one) => {
    const { code, out, err } = await command(one, [])
    expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' })
    expect(out).not.toBe('')
    expect(out).toBe(stripVTControlCharacters(out))
    if (!one.wide) expect(widest(out.replaceAll(root, ''))).toBeLessThanOrEqual(80)
  })

  test.each(RUNNABLE)('$name keeps to 80 columns on a terminal, and to NO_COLOR', async (one) => {
    const shown = await command(one, [], { isTTY: true, columns: 80 })
    expect(shown.code).toBe(0)
    if (one.name !== 'check' && one.name !== 'ledger export') expect(widest(shown.out.replaceAll(root, ''))).toBeLessThanOrEqual(80)
    const plain = await command(one, [], { isTTY: true, columns: 80, env: { NO_COLOR: '1' } })
    expect(plain.out + plain.err).toBe(stripVTControlCharacters(plain.out + plain.err))
  })

  test.each(RUNNABLE)('$name gives programs JSON, and nothing else', async (one) => {
    const { code, out } = await command(one, ['--json'])
    expect(code).toBe(0)
    const objects =
      one.json === 'lines'
        ? out
            .trim()
            .split('\n')
            .filter((line) => line !== '')
        : [out]
    for (const text of objects) expect(typeof JSON.parse(text)).toBe('object')
  })

  test.each(COMMANDS)('$name exits with 2 for an option that it does not have, and says which', async ({ name }) => {
    const { code, out, err } = await outcome([...name.split(' '), '--no-such-option'])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/--no-such-option|missing required argument|required option/)
  })
})

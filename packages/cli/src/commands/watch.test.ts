import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { manualClock, openManciple, type Manciple } from '@manciple/core'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { run, type Io } from '../index.ts'

const NOON = Date.parse('2090-11-20T17:00:00Z')
let root = ''
let ledger = ''
let router: Manciple

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'manciple-'))
  ledger = join(root, 'ledger')
  router = await openManciple({ config: { text: 'budgets: { daily_limit_usd: 5.00 }' }, ledger, clock: manualClock(NOON) })
})
afterEach(async () => {
  await router.close()
  rmSync(root, { recursive: true, force: true })
})

async function spend(): Promise<void> {
  const dispatch = await router.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 2000, pinned: true })
  await dispatch.settle({ inputTokens: 1000, outputTokens: 2000 })
}

interface Watching {
  readonly out: () => string
  readonly err: () => string
  readonly ended: Promise<number>
  readonly end: () => void
}

function watch(argv: readonly string[], over: Partial<Io> = {}): Watching {
  let out = ''
  let err = ''
  const stopped = new AbortController()
  onTestFinished(() => stopped.abort())
  const ended = run(['watch', '--ledger', ledger, ...argv], {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    env: {},
    isTTY: false,
    columns: undefined,
    signal: stopped.signal,
    ...over,
  })
  return { out: () => out, err: () => err, ended, end: () => stopped.abort() }
}

function terminal(rows: number) {
  const modes: boolean[] = []
  const input = Object.assign(new PassThrough(), { setRawMode: (raw: boolean) => modes.push(raw) })
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80, rows })
  let drawn = ''
  output.on('data', (chunk: Buffer) => (drawn += chunk.toString()))
  return { input, output, modes, text: () => stripVTControlCharacters(drawn) }
}

describe('manciple watch', () => {
  test('draws costs and budget, draws them anew when the ledger changes, and gives the terminal back at q', async () => {
    const { input, output, modes, text } = terminal(60)
    const watching = watch([], { isTTY: true, columns: 80, dialogue: { input, output } })
    await vi.waitFor(() => expect(text()).toMatch(/total +\$0\.00 +0 .*all\.day.*q ends/s))
    expect(modes).toEqual([true])
    await spend()
    await vi.waitFor(() => expect(text()).toMatch(/total +\$0\.0330 +1 +3,000/), 5_000)
    input.write('x')
    input.write('q')
    expect(await watching.ended).toBe(0)
    expect(modes).toEqual([true, false])
    expect(input.isPaused()).toBe(true)
    expect(watching.out()).toBe('')
  })

  test.each(['\u0003', '\u0004', 'Q'])('ends at %j as well', async (key) => {
    const { input, output, text } = terminal(60)
    const watching = watch([], { isTTY: true, columns: 80, dialogue: { input, output } })
    await vi.waitFor(() => expect(text()).toContain('q ends'))
    input.write(key)
    expect(await watching.ended).toBe(0)
  })

  test('shows the head of what is taller than the terminal, and says how much is left out', async () => {
    const { input, output, text } = terminal(10)
    const watching = watch([], { isTTY: true, columns: 80, dialogue: { input, output } })
    await vi.waitFor(() => expect(text()).toMatch(/… \d+ more lines; q ends/))
    expect(text()).toContain('backend')
    expect(text()).not.toContain('all.day')
    input.end()
    expect(await watching.ended).toBe(0)
  })

  test('without a terminal prints a plain snapshot at each change, and says so', async () => {
    const watching = watch([])
    await vi.waitFor(() => expect(watching.out()).toMatch(/total +\$0\.00 +0 .*all\.day/s))
    expect(watching.err()).toBe('There is no terminal here: a plain snapshot is printed at each change, until Ctrl-C.\n')
    const once = watching.out()
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(watching.out()).toBe(once)
    await spend()
    await vi.waitFor(() => expect(watching.out()).toMatch(/total +\$0\.0330 +1 /), 5_000)
    expect(watching.out()).toMatch(/^[\n -~]*$/)
    watching.end()
    expect(await watching.ended).toBe(0)
  })

  test('gives programs one object a line, terminal or not', async () => {
    const { input, output } = terminal(60)
    const watching = watch(['--json'], { isTTY: true, columns: 80, dialogue: { input, output } })
    await vi.waitFor(() => expect(watching.out()).toContain('\n'))
    await spend()
    await vi.waitFor(() => expect(watching.out()).toContain('"costUsd":0.033'), 5_000)
    watching.end()
    await watching.ended
    for (const line of watching.out().trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ costs: { fault: null }, budget: { timezone: 'UTC' } })
  })

  test('of a ledger that is not there is a wrong use, and leaves the terminal alone', async () => {
    const { input, output, modes } = terminal(60)
    const watching = watch(['--ledger', join(root, 'none')], { isTTY: true, columns: 80, dialogue: { input, output } })
    expect(await watching.ended).toBe(2)
    expect(watching.err()).toContain('LEDGER_MISSING')
    expect(modes.at(-1)).toBe(false)
  })
})

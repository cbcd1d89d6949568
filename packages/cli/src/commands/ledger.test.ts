import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { manualClock, openManciple, type Manciple } from '@manciple/core'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Io } from '../index.ts'
import { runCaptured, type Captured } from '../../../../test/captured-run.ts'

const POLICY = 'timezone: America/New_York\nbudgets: { daily_limit_usd: 50.00, per_backend: { claude: 20.00/month } }'
/** Monday, 9:00 in New York, in the future of any clock that runs these tests. */
const START = Date.parse('2090-11-20T14:00:00Z')

let root = ''
let ledger = ''

function opened(): Promise<Manciple> {
  return openManciple({ config: { text: POLICY }, ledger, clock: manualClock(START) })
}

function outcome(argv: readonly string[], io: Partial<Io> = {}): Promise<Captured> {
  return runCaptured(['ledger', ...argv], io)
}

async function json(argv: readonly string[]): Promise<Record<string, unknown>> {
  const { code, out, err } = await outcome([...argv, '--json'])
  expect(err).toBe('')
  expect([0, 1]).toContain(code)
  return JSON.parse(out) as Record<string, unknown>
}

/** A ledger of two calls, $0.033 each, whose router has stopped. */
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'manciple-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  ledger = join(root, 'ledger')
  const router = await opened()
  for (const taskId of ['issue-1', 'issue-2']) {
    const dispatch = await router.decide({ backend: 'claude', taskId, taskType: 'chat', inputTokens: 1000, maxOutputTokens: 2000, pinned: true })
    await dispatch.settle({ usage: { inputTokens: 1000, outputTokens: 2000 } })
  }
  await router.close()
})

function at(...argv: readonly string[]): readonly string[] {
  return [argv[0] ?? '', '--ledger', ledger, ...argv.slice(1)]
}

/** As a stray edit does. */
function damage(): void {
  const path = join(ledger, 'journal-000001.jsonl')
  writeFileSync(path, readFileSync(path, 'utf8').replace('"cost_usd":0.033', '"cost_usd":0.001'))
}

function spentOf(report: unknown): Record<string, number> {
  const { limits } = report as { limits: readonly { limit: string; settled: number; held: number; presumed: number; free: number; quantity: number }[] }
  for (const { settled, held, presumed, free, quantity } of limits) expect(settled + held + presumed + free).toBe(quantity)
  return Object.fromEntries(limits.map(({ limit, settled }) => [limit, settled]))
}

async function budget(): Promise<Record<string, number>> {
  const { out } = await runCaptured(['budget', '--ledger', ledger, '--latest', '--json'])
  return spentOf(JSON.parse(out))
}

describe('manciple ledger', () => {
  test('verify, damage, fault, repair, service: as an operator lives it', async () => {
    expect((await outcome(at('verify'))).out).toMatch(/^ok: the ledger is whole\.\n/)
    expect(await json(at('verify'))).toMatchObject({ ok: true, findings: [], checked: { checkpoint: true, books: true } })
    damage()
    const found = await outcome(at('verify'))
    expect(found).toMatchObject({ code: 1, out: expect.stringMatching(/journal-000001\.jsonl:4, byte \d+: the line of seq 4 does not match its\n? *checksum/) })
    const closed = await opened()
    const refused = await closed.decide({ backend: 'claude', inputTokens: 1, maxOutputTokens: 1, pinned: true })
    expect(refused.decision.backend).not.toBe('claude')
    await closed.close()
    const report = await json(at('repair'))
    expect(report).toMatchObject({ repaired: true, fault: expect.stringContaining('was altered'), lost: [{ from: 4, to: 4 }], restored: 2 })
    expect((await outcome(at('repair'))).out).toBe('ok: nothing to repair.\n')
    expect(await json(at('verify'))).toMatchObject({ ok: true })
    const router = await opened()
    const dispatch = await router.decide({ backend: 'claude', inputTokens: 1, maxOutputTokens: 1, pinned: true })
    expect(dispatch.decision.backend).toBe('claude')
    await dispatch.release('enough')
    await router.close()
    // The checkpoint knew what the damaged line had said.
    expect(await budget()).toEqual({ 'all.day': 66_000_000, 'claude.month': 66_000_000 })
  })

  test('repair says in words what it did', async () => {
    damage()
    const { out } = await outcome(at('repair'), { isTTY: true, columns: 100 })
    expect(stripVTControlCharacters(out)).toMatch(/^repaired: cloud calls go again when the router starts\.\n- journal-000001\.jsonl:4, byte/)
    expect(out).toContain('1 line lost: seq 4')
    expect(out).toMatch(/kept aside: cut-/)
  })

  test('rebuild makes checkpoint and history anew', async () => {
    rmSync(join(ledger, 'checkpoint.json'))
    expect(await json(at('rebuild'))).toMatchObject({ checkpoint: true })
    expect(await json(at('verify'))).toMatchObject({ ok: true, checked: { checkpoint: true, history: true, books: true } })
    const router = await opened()
    expect(await json(at('rebuild'))).toMatchObject({ checkpoint: false })
    await router.close()
  })

  test('stats tells what is in the ledger', async () => {
    expect(await json(at('stats'))).toMatchObject({
      types: { open: 1, policy: 1, reserve: 2, settle: 2 },
      openHolds: 0,
      presumedHolds: [],
      repairs: 0,
      damages: 0,
      first: '2090-11-20T14:00:00.000Z',
    })
    expect((await outcome(at('stats'))).out).toMatch(/^open holds +0\n/m)
  })

  test('export gives every entry, and import knows it again', async () => {
    const { out } = await outcome(at('export'))
    const lines = out.split('\n')
    expect(lines[0]).toBe(
      'timestamp,backend,model,prompt_tokens,completion_tokens,cost_usd,task_id,task_type,duration_ms,id,requested_backend,status,usage_source,cache_read_tokens,cache_write_tokens,reasoning_tokens,price_source,policy,overrun,requests',
    )
    expect(lines[1]).toMatch(/^2090-11-20T14:00:00\.000Z,claude,claude-sonnet-4-20250514,1000,2000,0\.033000000,issue-1,chat,0,/)
    expect(lines).toHaveLength(4)
    expect((await outcome(at('export', '--since', '2090-11-21'))).out.split('\n')).toHaveLength(2)
    expect(
      (await outcome(at('export', '--until', '2090-11-20', '--json'))).out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).task_id),
    ).toEqual(['issue-1', 'issue-2'])
    const file = join(root, 'export.csv')
    writeFileSync(file, out)
    expect(await json(at('import', file, '--latest'))).toMatchObject({ calls: 2, imported: 0, known: 2 })
  })

  test('import counts what was spent beside Manciple, once', async () => {
    const folder = join(root, 'logs', 'project')
    mkdirSync(folder, { recursive: true })
    const message = { id: 'msg_1', role: 'assistant', model: 'claude-sonnet-4-20250514', usage: { input_tokens: 1000, output_tokens: 2000 } }
    writeFileSync(
      join(folder, 'session.jsonl'),
      `${JSON.stringify({ type: 'assistant', sessionId: 's', requestId: 'req_1', timestamp: '2090-11-20T13:00:00Z', message })}\n`,
    )
    const { out, code } = await outcome(at('import', join(root, 'logs'), '--latest'))
    expect(code).toBe(0)
    expect(out).toMatch(/^ok: 1 call in 1 file\.\nImported 1 call: \$0\.0330, 3,000 tokens,\nfrom /)
    expect((await outcome(at('import', join(root, 'logs'), '--latest'))).out).toBe('ok: 1 call in 1 file, 1 known before: nothing new.\n')
    expect(await budget()).toEqual({ 'all.day': 99_000_000, 'claude.month': 99_000_000 })
    expect(await json(at('verify'))).toMatchObject({ ok: true })
  })

  test('adjust corrects, with a reason that stays', async () => {
    const { out } = await outcome(at('adjust', '--backend', 'claude', '--cost', '-0.033', '--requests', '-1', '--reason', 'refund 4711', '--latest'))
    expect(out).toBe('ok: -$0.0330, -1 requests for claude at 2090-11-20T14:00:00.000Z.\n')
    expect(await budget()).toEqual({ 'all.day': 33_000_000, 'claude.month': 33_000_000 })
    expect(readFileSync(join(ledger, 'journal-000001.jsonl'), 'utf8')).toContain('"reason":"refund 4711"')
    expect(await outcome(at('adjust', '--backend', 'claude', '--cost', '-5', '--reason', 'x', '--latest'))).toMatchObject({
      code: 2,
      err: expect.stringContaining('ADJUST_INVALID'),
    })
    expect(await json(at('adjust', '--backend', 'claude', '--cost', '1', '--time', '2090-11-19T10:00', '--reason', 'forgotten', '--latest'))).toMatchObject({
      entry: { timestamp: '2090-11-19T15:00:00.000Z' },
    })
    expect(await budget()).toEqual({ 'all.day': 33_000_000, 'claude.month': 1_033_000_000 })
  })

  test('a presumed hold shows in stats, and adjust ends it', async () => {
    const script = `
      import { openManciple, manualClock } from '@manciple/core'
      const router = await openManciple({ config: { text: ${JSON.stringify(POLICY)} }, ledger: ${JSON.stringify(ledger)}, clock: manualClock(${START}) })
      await router.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 2000, pinned: true })
      process.kill(process.pid, 'SIGKILL')`
    const { spawnSync } = await import('node:child_process')
    spawnSync(process.execPath, ['--conditions=manciple-source', '--input-type=module', '-e', script], { cwd: import.meta.dirname })
    await (await opened()).close()
    const { presumedHolds } = (await json(at('stats'))) as { presumedHolds: readonly { id: string }[] }
    expect(presumedHolds).toHaveLength(1)
    const id = presumedHolds[0]?.id ?? ''
    expect((await outcome(at('stats'))).out).toContain(id)
    expect((await outcome(at('adjust', '--drop-presumed', id, '--reason', 'it never went out', '--latest'))).out).toBe(`ok: hold ${id} counts no longer.\n`)
    expect(await json(at('stats'))).toMatchObject({ presumedHolds: [] })
    expect(await json(at('verify'))).toMatchObject({ ok: true })
  })

  test('what needs the lock says who has it, and the rest works beside the router', async () => {
    const router = await opened()
    const file = join(root, 'spend.csv')
    writeFileSync(file, 'time,backend,cost\n2090-11-20,claude,1\n')
    for (const argv of [at('repair'), at('import', file), at('adjust', '--backend', 'claude', '--cost', '1', '--reason', 'x')]) {
      const { code, err } = await outcome(argv)
      expect(code).toBe(2)
      expect(err).toContain('error LEDGER_LOCKED')
      if (process.platform === 'linux') expect(err).toContain(`process ${process.pid}`)
    }
    for (const argv of [at('verify'), at('stats'), at('export')]) expect((await outcome(argv)).code).toBe(0)
    await router.close()
  })

  test.each([
    [[]],
    [['nonsense']],
    [['import']],
    [['adjust']],
    [['adjust', '--reason', 'x']],
    [['adjust', '--reason', 'x', '--backend', 'claude']],
    [['adjust', '--reason', 'x', '--backend', 'claude', '--cost', 'much']],
    [['adjust', '--reason', 'x', '--backend', 'claude', '--requests', '1.5']],
    [['adjust', '--reason', 'x', '--drop-presumed', 'a-1', '--cost', '1']],
    [['verify', '--ledger', '/nowhere/at/all']],
    [['export', '--ledger', '/nowhere/at/all']],
  ])('%j is a wrong use', async (argv) => {
    const { code, err } = await outcome(argv)
    expect(code).toBe(2)
    expect(err).not.toBe('')
  })

  test('long work tells how far it has come, in lines without a terminal and as a bar with one, and ends at Ctrl-C', async () => {
    const { withProgress } = await import('../progress.ts')
    let err = ''
    const io: Io = { stdout: { write: () => 0 }, stderr: { write: (text: string) => (err += text) }, env: {}, isTTY: true, columns: 80 }
    const wait = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 650))
    await withProgress(io, 'Verifying', async (onProgress) => {
      onProgress({ doneBytes: 1, totalBytes: 100 })
      expect(err).toBe('')
      await wait()
      onProgress({ doneBytes: 50, totalBytes: 100 })
    })
    expect(stripVTControlCharacters(err)).toMatch(/\rVerifying █{15}░{15} +50%, about 1 s left\r$/)
    const ended = new AbortController()
    ended.abort()
    await expect(withProgress({ ...io, signal: ended.signal }, 'x', async (onProgress) => onProgress({ doneBytes: 1, totalBytes: 2 }))).rejects.toThrow('abort')
  })

  test.each(['', 'verify', 'repair', 'rebuild', 'stats', 'export', 'import', 'adjust'])('%s is helped, within 80 columns, with examples', async (name) => {
    const { code, out } = await outcome([...(name === '' ? [] : [name]), '--help'])
    expect(code).toBe(0)
    expect(out).toContain(`Examples:\n  $ manciple ledger ${name}`)
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
  })
})

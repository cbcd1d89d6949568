import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { manualClock, openManciple, type Manciple } from '@manciple/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runCaptured, type Captured } from '../../../../test/captured-run.ts'

const NOON = Date.parse('2090-11-20T17:00:00Z')
const POLICY = `timezone: America/New_York
backends:
  claude: { quota: 20.00/month, limits: [5.00/day] }
  gpt: {}
  local: {}
`
let root = ''
let ledger = ''

function observe(...argv: readonly string[]): Promise<Captured> {
  return runCaptured(['observe', ...argv, '--ledger', ledger, '--latest'])
}

function opened(): Promise<Manciple> {
  return openManciple({ config: { text: POLICY }, ledger, clock: manualClock(NOON) })
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'manciple-'))
  ledger = join(root, 'ledger')
  await (await opened()).close()
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('manciple observe', () => {
  test('notes a reading that the router then keeps to', async () => {
    const { code, out } = await observe('claude', '--used', '61%', '--source', 'console')
    expect(code).toBe(0)
    expect(out.replaceAll(/\n */g, ' ')).toMatch(
      /^ok: 61% used of claude\.quota, at 2090-11-20 12:00, says console\. It counts until 2090-12-01 00:00 America\/New_York\. $/,
    )
    expect(readFileSync(join(ledger, 'journal-000001.jsonl'), 'utf8')).toMatch(/"type":"observe".*"used":0\.61/)
    const router = await opened()
    const limit = router.budget().limits.find((one) => one.limit === 'claude.quota')
    expect(limit?.free).toBe(7.8e9)
    await router.close()
  })

  test('reads another limit of the backend, at another time, and as a share', async () => {
    const { out } = await observe('claude', '--used', '0.9', '--quota', 'claude.day', '--at', '2090-11-20T11:00', '--json')
    expect(JSON.parse(out)).toMatchObject({ backend: 'claude', limit: 'claude.day', used: 0.9, at: '2090-11-20T16:00:00.000Z', source: 'by hand' })
  })

  test('says of a backend without a quota that the reading limits nothing', async () => {
    expect((await observe('gpt', '--used', '5%')).out.replaceAll(/\n */g, ' ')).toContain('5% used of gpt, which has no quota: it is kept, and limits nothing')
  })

  test('beside a running router says which process has the ledger, and what to do', async () => {
    const router = await opened()
    const { code, err } = await observe('claude', '--used', '61%')
    expect(code).toBe(2)
    expect(err).toMatch(/^error LEDGER_LOCKED: .* is being written by /)
    expect(err).toContain("manciple.observe('claude', { used: 0.61, source: 'by hand' })")
    await router.close()
  })

  test.each([
    [['claude'], '--used'],
    [['claude', '--used', '61'], 'did you mean 61%?'],
    [['claude', '--used', 'much'], 'as 61% or 0.61'],
    [['claude', '--used', '-1%'], 'as 61% or 0.61'],
    [['claud', '--used', '61%'], 'BACKEND_UNKNOWN'],
    [['claude', '--used', '61%', '--quota', 'claude.week'], 'REQUEST_INVALID'],
    [['claude', '--used', '61%', '--at', 'yesterday'], 'is to be a date or time'],
  ])('%j is a wrong use', async (argv, message) => {
    expect(await observe(...argv)).toMatchObject({ code: 2, out: '', err: expect.stringContaining(message) })
  })
})

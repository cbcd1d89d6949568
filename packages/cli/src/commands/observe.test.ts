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

  test('says of a window that is over that its reading counts for nothing', async () => {
    const { code, out } = await observe('claude', '--used', '61%', '--at', '2090-10-20')
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining('counts for nothing') })
  })

  test('refuses a reading of a backend without a quota, says what to do, and writes nothing', async () => {
    const before = readFileSync(join(ledger, 'journal-000001.jsonl'), 'utf8')
    const { code, out, err } = await observe('gpt', '--used', '5%')
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/gpt has no quota, so a reading would limit nothing\. Give it one in the policy first, as `backends: gpt: { quota: 20\.00\/month }`\./)
    expect(readFileSync(join(ledger, 'journal-000001.jsonl'), 'utf8')).toBe(before)
  })

  test('takes all of it, and nothing above: where the provider reports more, all of it says enough', async () => {
    expect((await observe('claude', '--used', '100%')).code).toBe(0)
    expect((await observe('claude', '--used', '100.1%')).err).toContain('give 100%')
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
    [['claude', '--used', '610%'], 'give 100%'],
    [['claude', '--used', '1.1'], 'give 100%'],
    [['claude', '--used', 'much'], 'as 61% or 0.61'],
    [['claude', '--used', '-1%'], 'as 61% or 0.61'],
    [['claud', '--used', '61%'], 'BACKEND_UNKNOWN'],
    [['claude', '--used', '61%', '--quota', 'claude.week'], 'REQUEST_INVALID'],
    [['claude', '--used', '61%', '--at', 'yesterday'], 'is to be a date or time'],
    [['claude', '--used', '61%', '--at', '2095-01-01'], 'at: nothing can have been read at 2095-01-01T05:00:00.000Z, it is 2090-11-20T17:00:00.000Z'],
  ])('%j is a wrong use', async (argv, message) => {
    expect(await observe(...argv)).toMatchObject({ code: 2, out: '', err: expect.stringContaining(message) })
  })
})

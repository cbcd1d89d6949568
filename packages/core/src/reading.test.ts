import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { manualClock, type ManualClock } from './clock.ts'
import { openManciple, type Manciple } from './manciple.ts'
import { openOutsideView } from './outside-view.ts'

const NOON = Date.parse('2026-11-10T12:00:00Z')
const MINUTE = 60_000
const HOUR = 3_600_000
const SONNET = { backend: 'claude', pinned: true, inputTokens: 1500, maxOutputTokens: 800, minOutputTokens: 800 }
/** $0.0165. */
const USAGE = { inputTokens: 1500, outputTokens: 800 }
const TEXT =
  '{ backends: { claude: { models: [claude-sonnet-4-20250514], quota: 1.00/month, limits: [0.50/5h@first-use, 2.00/day, 0.90/24h] }, gpt: {}, local: {} } }'

let root = ''
let clock: ManualClock
let manciple: Manciple

const open = (): Promise<Manciple> => openManciple({ config: { text: TEXT }, ledger: join(root, 'ledger'), clock })
const call = async (): Promise<string | undefined> => {
  const dispatch = await manciple.decide(SONNET)
  if (dispatch.decision.backend === 'claude') await dispatch.settle(USAGE)
  return dispatch.decision.backend
}
const limitNamed = (name: string) => manciple.budget().limits.find(({ limit }) => limit === name)

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'manciple-'))
  clock = manualClock(NOON)
  manciple = await open()
})
afterEach(async () => {
  await manciple.close()
  rmSync(root, { recursive: true })
})

describe("a provider's reading of a quota", () => {
  test('shows what went round the router: it takes room, and what is spent here comes on top', async () => {
    await call()
    await manciple.observe('claude', { used: 0.9, source: 'usage page' })
    expect(limitNamed('claude.quota')).toMatchObject({
      settled: 16_500_000,
      beside: 883_500_000,
      free: 100_000_000,
      spent: 0.9,
      standing: 'near',
      reading: { used: 0.9, at: new Date(NOON).toISOString(), source: 'usage page' },
    })
    expect(manciple.budget().quotas[0]?.utilization).toBe(0.9)
    let served = 0
    while ((await call()) === 'claude') served += 1
    expect(served).toBe(5)
    expect(limitNamed('claude.quota')?.free).toBeLessThan(17_625_000)
    expect(limitNamed('claude.quota')?.free).toBeGreaterThanOrEqual(0)
  })

  test('stands in the reason, with its age and its source', async () => {
    await manciple.observe('claude', { used: 0.99, source: 'usage page' })
    clock.advance(12 * MINUTE)
    const { decision } = await manciple.decide(SONNET)
    expect(decision.reasons[0]).toBe(
      'claude/claude-sonnet-4-20250514 was left: claude.quota has $0.01 left and this call may cost $0.02 (usage page read 99% 12 min ago, $0.99 of it used beside the router)',
    )
  })

  test('below what the ledger has settled changes nothing: the higher one counts', async () => {
    for (let i = 0; i < 3; i += 1) await call()
    await manciple.observe('claude', { used: 0.01, source: 'usage page' })
    expect(limitNamed('claude.quota')).toMatchObject({ beside: 0, free: 950_500_000, reading: { used: 0.01 } })
  })

  test('survives a restart, with and without the checkpoint, and an outside view has it', async () => {
    await call()
    await manciple.observe('claude', { used: 0.5, source: 'usage page' })
    await call()
    const before = manciple.budget().limits
    expect((await openOutsideView(join(root, 'ledger'), { at: 'latest' })).budget().limits).toEqual(before)
    await manciple.close()
    manciple = await open()
    expect(manciple.budget().limits).toEqual(before)
    await manciple.close()
    rmSync(join(root, 'ledger', 'checkpoint.json'))
    manciple = await open()
    expect(manciple.budget().limits).toEqual(before)
  })

  test('is of one window: with its end it is gone, and one of an earlier window counts for nothing', async () => {
    await manciple.observe('claude', { used: 0.9, at: new Date('2026-10-20T00:00:00Z'), source: 'old page' })
    expect(limitNamed('claude.quota')?.beside).toBe(0)
    await manciple.observe('claude', { used: 0.9, source: 'usage page' })
    expect(limitNamed('claude.quota')?.beside).toBe(900_000_000)
    clock.advance(21 * 24 * HOUR)
    expect(limitNamed('claude.quota')).toMatchObject({ beside: 0, reading: null, free: 1_000_000_000 })
  })

  test('of two the later one counts, in whatever order they come', async () => {
    await manciple.observe('claude', { used: 0.4, source: 'usage page' })
    await manciple.observe('claude', { used: 0.9, at: new Date(NOON - HOUR), source: 'slow page' })
    expect(limitNamed('claude.quota')?.reading).toMatchObject({ used: 0.4 })
    clock.advance(HOUR)
    await manciple.observe('claude', { used: 0.3, source: 'usage page' })
    expect(limitNamed('claude.quota')?.reading).toMatchObject({ used: 0.3 })
  })

  test('that is old is compared with what was settled before its quarter-hour: it errs on the side of less room', async () => {
    await call()
    clock.advance(HOUR)
    await call()
    await manciple.observe('claude', { used: 0.5, at: new Date(NOON + 50 * MINUTE), source: 'slow page' })
    expect(limitNamed('claude.quota')?.beside).toBe(500_000_000 - 16_500_000)
  })

  test('may be of any limit of the backend in a window with a start: five hours as well', async () => {
    await manciple.observe('claude', { used: 0.8, quota: 'claude.5h@first-use', source: 'usage page' })
    expect(limitNamed('claude.5h@first-use')).toMatchObject({ beside: 400_000_000, free: 100_000_000 })
    clock.advance(5 * HOUR + MINUTE)
    expect(limitNamed('claude.5h@first-use')).toMatchObject({ beside: 0, free: 500_000_000 })
    await call()
    await manciple.observe('claude', { used: 0.8, quota: 'claude.5h@first-use', source: 'usage page' })
    expect(limitNamed('claude.5h@first-use')?.beside).toBe(400_000_000 - 16_500_000)
  })

  test.each([
    ['claud', { used: 0.5, source: 'x' }, 'BACKEND_UNKNOWN'],
    ['claude', { used: -0.1, source: 'x' }, 'REQUEST_INVALID'],
    ['claude', { used: Number.NaN, source: 'x' }, 'REQUEST_INVALID'],
    ['claude', { used: 1.01, source: 'x' }, 'REQUEST_INVALID'],
    ['claude', { used: 0.5, source: 'x', at: new Date(NOON + 2 * MINUTE) }, 'REQUEST_INVALID'],
    ['claude', { used: 0.5, source: '' }, 'REQUEST_INVALID'],
    ['claude', { used: 0.5, source: 'x', at: new Date(Number.NaN) }, 'REQUEST_INVALID'],
    ['claude', { used: 0.5, source: 'x', quota: 'claude.24h' }, 'REQUEST_INVALID'],
    ['claude', { used: 0.5, source: 'x', quota: 'gpt.month' }, 'REQUEST_INVALID'],
  ])('%s %j is refused: %s', async (backend, reading, code) => {
    await expect(manciple.observe(backend, reading)).rejects.toMatchObject({ code })
    expect(manciple.budget().limits.every(({ reading: kept }) => kept === null)).toBe(true)
  })

  test('of a backend without a quota is kept, and limits nothing', async () => {
    await manciple.observe('gpt', { used: 0.99, source: 'usage page' })
    expect((await manciple.decide({ backend: 'gpt', inputTokens: 10 })).decision.backend).toBe('gpt')
  })
})

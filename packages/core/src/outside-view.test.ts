import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { manualClock } from './clock.ts'
import { openManciple, type Manciple } from './manciple.ts'
import { openOutsideView } from './outside-view.ts'
import type { BudgetReport } from './report.ts'

const TEXT = `
timezone: America/New_York
budgets:
  daily_limit_usd: 5.00
  monthly_limit_usd: 50.00
  per_backend: { claude: 20.00/month, kimi: 15.00/month }
`
/** In the future of any clock that runs these tests, so that the default view is as of the last record. */
const NOON = Date.parse('2090-11-20T17:00:00Z')
const DAY_MS = 86_400_000

let root = ''
let folder = ''
let router: Manciple

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'manciple-'))
  folder = join(root, 'ledger')
  router = await openManciple({ config: { text: TEXT }, ledger: folder, clock: manualClock(NOON) })
})

afterEach(async () => {
  await router.close()
  rmSync(root, { recursive: true, force: true })
})

async function call(backend: string): Promise<void> {
  const dispatch = await router.decide({ backend, taskType: 'chat', inputTokens: 1500, maxOutputTokens: 800, pinned: true })
  await dispatch.settle({ inputTokens: 1500, outputTokens: 640 })
}

/** Every file of the folder with its content. The lock is the router's own. */
function contents(): Record<string, string> {
  const names = readdirSync(folder).filter((name) => !name.startsWith('lock'))
  return Object.fromEntries(names.toSorted().map((name) => [name, readFileSync(join(folder, name), 'latin1')]))
}

function withoutForecast(report: BudgetReport): BudgetReport {
  return { ...report, quotas: report.quotas.map((quota) => ({ ...quota, forecast: null, lapseNano: null })) }
}

describe('an outside view', () => {
  test('says what the running router says', async () => {
    for (const backend of ['claude', 'kimi', 'local', 'claude']) await call(backend)
    await router.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 500 })
    const view = await openOutsideView(folder)
    expect(view.asOf).toBe(new Date(NOON).toISOString())
    expect(view.costs()).toEqual(router.costs())
    expect(view.costs().today.requests).toBe(4)
    expect(withoutForecast(view.budget())).toEqual(withoutForecast(router.budget()))
    expect(view.budget().limits[0]?.held).toBeGreaterThan(0)
    const query = { from: new Date(NOON - DAY_MS), to: new Date(NOON + DAY_MS), by: ['day', 'backend'] as const }
    const { rows } = await view.history(query)
    expect(rows).toEqual(await router.history(query))
    expect(rows).toHaveLength(3)
    expect(view.policy.text).toBe(TEXT)
    expect(view.fault).toBeUndefined()
  })

  test('foresees what the router foresaw when it last wrote its checkpoint, and nothing before', async () => {
    for (const backend of ['claude', 'kimi', 'claude']) await call(backend)
    expect((await openOutsideView(folder)).budget().quotas.map(({ forecast, lapseNano }) => [forecast, lapseNano])).toEqual([
      [null, null],
      [null, null],
    ])
    const foreseen = router.budget().quotas
    expect(foreseen.every(({ forecast, lapseNano }) => forecast !== null && lapseNano !== null)).toBe(true)
    await router.close()
    expect((await openOutsideView(folder)).budget().quotas).toEqual(foreseen)
  })

  test('writes nothing', async () => {
    await call('claude')
    const before = contents()
    const view = await openOutsideView(folder)
    view.budget()
    expect(contents()).toEqual(before)
    expect(Object.keys(before).length).toBeGreaterThan(0)
  })

  test('moves the windows on to the time asked for', async () => {
    await call('claude')
    const spent = router.costs().today.costNano
    const tomorrow = await openOutsideView(folder, { at: new Date(NOON + DAY_MS) })
    expect(tomorrow.costs().today.costNano).toBe(0)
    expect(tomorrow.costs().month.costNano).toBe(spent)
    expect(tomorrow.budget().limits.map(({ limit, settled }) => [limit, settled])).toEqual([
      ['all.day', 0],
      ['all.month', spent],
      ['claude.month', spent],
      ['kimi.month', 0],
    ])
    expect(tomorrow.lastRecord).toBe(new Date(NOON).toISOString())
  })

  test('takes the last record for now where that is asked for, or where it lies in the future', async () => {
    await call('claude')
    const now = new Date(NOON).toISOString()
    expect((await openOutsideView(folder, { at: 'latest' })).asOf).toBe(now)
    expect((await openOutsideView(folder, { at: new Date(NOON - DAY_MS) })).asOf).toBe(now)
  })

  test('has the notices of the router', async () => {
    const heard: string[] = []
    router.on('notice', ({ text }) => heard.push(text))
    while (heard.length === 0) {
      const dispatch = await router.decide({ backend: 'claude', inputTokens: 100_000, maxOutputTokens: 8000 })
      await dispatch.settle({ inputTokens: 100_000, outputTokens: 8000 })
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const view = await openOutsideView(folder)
    expect(view.notices.map(({ text }) => text)).toEqual(heard)
  })

  test('says why a damaged ledger is closed, with the books up to the damage', async () => {
    for (const backend of ['local', 'claude', 'kimi', 'claude']) await call(backend)
    await router.close()
    const copy = join(root, 'copy')
    cpSync(folder, copy, { recursive: true })
    rmSync(join(copy, 'checkpoint.json'), { force: true })
    const journal = join(copy, 'journal-000001.jsonl')
    const lines = readFileSync(journal, 'utf8').split('\n')
    const second = lines.findIndex((line) => line.includes('"type":"settle"') && line.includes('"backend":"claude"'))
    lines[second] = lines[second]?.replace('"completion_tokens":640', '"completion_tokens":641') ?? ''
    writeFileSync(journal, lines.join('\n'))
    const view = await openOutsideView(copy)
    expect(view.fault?.code).toBe('LEDGER_DAMAGED')
    expect(
      view
        .costs()
        .backends.filter(({ today }) => today.requests > 0)
        .map(({ backend }) => backend),
    ).toEqual(['local'])
  })

  test('refuses a folder without a ledger', async () => {
    const error = { name: 'MancipleError', code: 'LEDGER_MISSING' }
    await expect(openOutsideView(join(root, 'nowhere'))).rejects.toMatchObject(error)
    await expect(openOutsideView(root)).rejects.toMatchObject(error)
  })
})

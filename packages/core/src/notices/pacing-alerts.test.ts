import { describe, expect, test } from 'vitest'
import { pacingAlerts, type AlertMemory, type AlertView, type QuotaNow } from './pacing-alerts.ts'

const DAY = 86_400_000
const HOUR = 3_600_000
const START = Date.parse('2026-11-01T00:00:00Z')
const MONTH = { startMs: START, endMs: START + 30 * DAY }

/** What will have been used, by scenario, USD. */
function foreseen(...usd: readonly number[]): Pick<QuotaNow, 'ends' | 'low' | 'expected' | 'high'> {
  const ends = usd.map((one) => one * 1e9)
  return { ends, low: ends[0]!, expected: ends[2]!, high: ends[4]! }
}

/** 100 USD a month of which little is used, or will be. */
const POOR: QuotaNow = {
  backend: 'kimi',
  limit: 'kimi.month',
  unit: 'usd',
  quantity: 100e9,
  used: 5e9,
  bounds: MONTH,
  recent: [0, 0],
  ...foreseen(8, 10, 12, 15, 20),
  ahead: 500,
  meanDraw: 0.1e9,
  paid: 100e9,
}
/** The same, on plan: after `day` days. */
const good = (day: number): Partial<QuotaNow> => ({
  used: (day / 30) * 100e9,
  recent: [10e9, (0.25 / 30) * 100e9],
  ...foreseen(90, 95, 98, 100, 100),
})

function viewAt(day: number, quotas: readonly Partial<QuotaNow>[] = [{}], sinceMs = 0): AlertView {
  return {
    quotas: quotas.map((quota) => ({ ...POOR, ...quota })),
    floors: { backend: 0.5, total: 0.7, lowRemaining: 0.1 },
    timezone: 'UTC',
    nowMs: START + day * DAY,
    sinceMs,
  }
}

const kindsAt = (memory: AlertMemory, ...view: Parameters<typeof viewAt>): string[] =>
  pacingAlerts(viewAt(...view), memory).map(({ severity, kind, scope }) => `${severity} ${kind} ${scope}`)

describe('pacing alerts', () => {
  test('come as advice from a quarter of the window on, as alerts from half on, each once', () => {
    const memory: AlertMemory = {}
    expect(kindsAt(memory, 7.4)).toEqual([])
    expect(kindsAt(memory, 7.6)).toEqual(['advice under-used kimi', 'advice demand-shortfall total'])
    for (let day = 8; day < 15; day += 0.25) expect(kindsAt(memory, day)).toEqual([])
    expect(kindsAt(memory, 15)).toEqual(['alert under-used kimi', 'alert demand-shortfall total'])
    for (let day = 15.25; day < 30; day += 0.25) expect(kindsAt(memory, day)).toEqual([])
  })

  test('are not given of what has mended within the last hours or days', () => {
    const even = (days: number): number => (days / 30) * 100e9
    expect(kindsAt({}, 10, [{ recent: [even(3), 0] }])).toEqual([])
    expect(kindsAt({}, 10, [{ recent: [0, even(0.25)] }])).toEqual([])
    expect(kindsAt({}, 10, [{ recent: [even(1), even(0.1)] }])).toContain('advice under-used kimi')
  })

  test('are given where no scenario of demand holds the floor', () => {
    const told = (...usd: readonly number[]): string => kindsAt({}, 14, [foreseen(...usd)]).join()
    expect(told(10, 20, 30, 40, 49)).toContain('under-used kimi')
    expect(told(10, 20, 30, 40, 52)).not.toContain('under-used kimi')
    expect(told(40, 50, 55, 60, 69)).toContain('demand-shortfall total')
    expect(told(40, 50, 55, 60, 72)).not.toContain('total')
  })

  test('clear when ten points more than the floor have been foreseen for a day, and only then can be given again', () => {
    const memory: AlertMemory = {}
    const nearly = { ...good(16), ...foreseen(40, 52, 59, 60, 79) }
    kindsAt(memory, 15)
    for (let day = 16; day < 20; day += 0.5) expect(kindsAt(memory, day, [nearly])).toEqual([])
    expect(kindsAt(memory, 20)).toEqual([])
    for (let day = 20.25; day < 21; day += 0.25) expect(kindsAt(memory, day, [good(20)])).toEqual([])
    expect(kindsAt(memory, 21)).toEqual([])
    for (let day = 21.25; day < 22.5; day += 0.25) expect(kindsAt(memory, day, [good(20)])).toEqual([])
    expect(pacingAlerts(viewAt(22.5), memory)).toMatchObject([
      { severity: 'alert', kind: 'under-used', episode: 'kimi.month@2026-11-01T00:00:00.000Z alert 2' },
      { kind: 'demand-shortfall', episode: 'total@2026-11-01T00:00:00.000Z alert 2' },
    ])
  })

  test('judge a window that began before the ledger by the part since, and not at once', () => {
    const sinceMs = START + 20 * DAY
    const half = { used: 0, ...foreseen(10, 12, 14, 16, 18) }
    for (let day = 20; day < 30; day += 0.5) expect(kindsAt({}, day, [half], sinceMs).join(), `day ${day}`).not.toContain('under-used')
    const memory: AlertMemory = {}
    const poor = foreseen(6, 8, 10, 12, 16)
    expect(kindsAt(memory, 22.4, [poor], sinceMs)).toEqual([])
    expect(kindsAt(memory, 22.6, [poor], sinceMs)).toContain('advice under-used kimi')
    expect(kindsAt(memory, 25.1, [poor], sinceMs)).toContain('alert under-used kimi')
  })

  test('say what is foreseen, the dollars that would lapse, and the share of traffic that would mend it', () => {
    const [underUsed] = pacingAlerts(viewAt(15), {})
    expect(underUsed).toMatchObject({
      text: 'kimi is under-used: 5% of its quota is used, 12% (8% to 20%) is foreseen by 2026-12-01 00:00, $88.00 would lapse; 90% of all calls to come would bring it to its floor of 50%',
      data: { lapseNano: 88e9, correctiveShare: 0.9 },
    })
    const [beyond] = pacingAlerts(viewAt(15, [{ ahead: 100 }]), {})
    expect(beyond?.text).toMatch(/not even all calls to come would bring it to its floor$/)
  })

  test('tell too little work from work that goes elsewhere', () => {
    const other = { backend: 'claude', limit: 'claude.month', ...good(15), ...foreseen(100, 100, 100, 100, 100) }
    const plenty = pacingAlerts(viewAt(15, [{ ahead: 5_000 }, { ...other, ahead: 5_000 }]), {}).find(({ scope }) => scope === 'total')
    expect(plenty?.kind).toBe('too-conservative')
    expect(plenty?.text).toBe(
      'Too conservative: 28% of all quotas is used, 56% is foreseen by their end, $88.00 would lapse; there is work for 100%: 19% of calls to kimi',
    )
    const idle = pacingAlerts(viewAt(15, [{ ahead: 500 }, { ...other, ahead: 500, ...foreseen(55, 58, 60, 62, 65) }]), {}).find(
      ({ scope }) => scope === 'total',
    )
    expect(idle).toMatchObject({ kind: 'demand-shortfall', data: { lapseNano: 128e9, correctiveShare: 2.9 } })
    expect(idle?.text).toBe(
      'Not enough work for what is paid for: 28% of all quotas is used, and with every call to come 53% would be; $128.00 would lapse as things go; to use them up would take 290% of the calls to come',
    )
  })

  test('judge the total by what all quotas come to in the same scenario, weighed by what is paid for them', () => {
    const total = (...quotas: readonly Partial<QuotaNow>[]): string =>
      kindsAt({}, 15, quotas)
        .filter((text) => text.endsWith('total'))
        .join()
    const other = { backend: 'gpt', limit: 'gpt.month' }
    // Of each alone nine tenths of outcomes end below 70; together they stand at 65, whatever comes.
    expect(total(foreseen(40, 50, 55, 60, 80), { ...other, ...foreseen(90, 80, 75, 70, 50) })).toBe('alert demand-shortfall total')
    expect(total(foreseen(40, 50, 55, 60, 80), { ...other, ...foreseen(90, 80, 75, 70, 70) })).toBe('')
    expect(total(foreseen(40, 50, 55, 60, 80), { ...other, ...foreseen(90, 80, 75, 70, 70), paid: 1e9 })).toBe('')
    expect(total(foreseen(40, 50, 55, 60, 65), { ...other, ...foreseen(90, 90, 90, 90, 90), paid: 1e9 })).toBe('alert demand-shortfall total')
    // Used beside the router, before it saw a call: nothing is foreseen.
    expect(total({ ends: [5e9] })).toBe('alert demand-shortfall total')
  })

  test('are told of each backend and window by itself', () => {
    const memory: AlertMemory = {}
    const two = [{}, { backend: 'gpt', limit: 'gpt.month' }]
    expect(kindsAt(memory, 15, two).filter((text) => text.includes('under-used'))).toEqual(['alert under-used kimi', 'alert under-used gpt'])
    const next = { bounds: { startMs: START + 30 * DAY, endMs: START + 60 * DAY } }
    expect(kindsAt(memory, 45, [{ ...two[1], ...next }])).toContain('alert under-used gpt')
    expect(Object.keys(memory).every((key) => key.endsWith(String(START + 30 * DAY)))).toBe(true)
  })

  test('a rate that uses the rest up at half of its time is told, over both spans, unless the window is nearly over', () => {
    const burns = { ...good(10), used: 40e9, recent: [20e9, 2e9] }
    expect(kindsAt({}, 10, [burns])).toEqual(['advice burning-fast kimi'])
    expect(pacingAlerts(viewAt(10, [burns]), {})[0]?.text).toMatch(/^kimi burns fast: .* is used up by 2026-11-20 00:00, its window ends 2026-12-01 00:00$/)
    expect(kindsAt({}, 10, [{ ...burns, recent: [20e9, 0.1e9] }])).toEqual([])
    expect(kindsAt({}, 10, [{ ...burns, recent: [9e9, 2e9] }])).toEqual([])
    expect(kindsAt({}, 28, [{ ...burns, used: 95e9, recent: [30e9, 3e9] }])).toEqual([])
  })

  test('the literal checkpoint in mid-cycle is given as information where no alert is open', () => {
    const late = { ...good(15), used: 45e9 }
    expect(kindsAt({}, 14.9, [late])).toEqual([])
    expect(kindsAt({}, 15.1, [late])).toEqual(['info under-used kimi'])
    expect(kindsAt({}, 15.1, [{ ...late, used: 55e9 }])).toEqual([])
    expect(kindsAt({}, 15.1)).not.toContain('info under-used kimi')
  })

  test('windows of less than a day, and quotas of nothing, raise none', () => {
    expect(kindsAt({}, 0.15, [{ bounds: { startMs: START, endMs: START + 5 * HOUR } }])).toEqual([])
    expect(kindsAt({}, 15, [{ quantity: 0 }])).toEqual([])
  })
})

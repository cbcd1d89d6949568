import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { QUARTER_MS } from '../windows.ts'
import { checkHistoryQuery, GRAINS_MS, piecesOf, Tally, Timeline, type HistoryQuery } from './history.ts'
import { parseTime, periodOf } from './history-period.ts'

const at = (text: string): number => Date.parse(text)
const query = (over: Partial<HistoryQuery> = {}): HistoryQuery => ({ from: new Date(0), to: new Date(1), by: [], ...over })

function hoursOf(from: string, to: string, zone: string): readonly string[] {
  return [...new Timeline(['hour'], zone).within(at(from), at(to))].map(({ hour }) => hour)
}

describe('a query', () => {
  test.each([
    ['a time that is none', { from: new Date(Number.NaN) }, 'from: expected a Date'],
    ['a text for a time', { to: '2026-04-01' }, 'to: expected a Date'],
    ['an end before its beginning', { from: new Date(2) }, 'comes after'],
    ['a key that is not known', { by: ['week'] }, 'found "week"'],
    ['a key that comes twice', { by: ['day', 'day'] }, 'names a key twice'],
    ['a filter that is not known', { where: { day: '2026-04-01' } }, 'found "day"'],
    ['a filter that is no text', { where: { backend: 7 } }, 'where.backend'],
  ])('is refused with %s', (_, over, found) => {
    const wrong: unknown = { ...query(), ...over }
    expect(() => checkHistoryQuery(wrong as HistoryQuery)).toThrow(expect.objectContaining({ code: 'QUERY_INVALID', message: expect.stringContaining(found) }))
  })

  test('may ask for every key and filter', () => {
    const by = ['status', 'hour', 'backend', 'day', 'task_id', 'model', 'task_type'] as const
    expect(() => checkHistoryQuery(query({ by, where: { backend: 'a', model: 'b', task_type: '', task_id: '', status: 'ok' } }))).not.toThrow()
  })
})

describe('time', () => {
  test('is cut into pieces without a gap, whole in their grain, and as few as there can be', () => {
    const ms = fc.integer({ min: 0, max: 40 * 86_400_000 })
    fc.assert(
      fc.property(ms, ms, (one, other) => {
        const [start, end] = [Math.min(one, other), Math.max(one, other)]
        const pieces = [...piecesOf(start, end)]
        expect(pieces.map((piece) => piece.startMs)).toEqual([start, ...pieces.map((piece) => piece.endMs)].slice(0, pieces.length))
        expect(pieces.at(-1)?.endMs ?? start).toBe(end)
        for (const { grainMs, startMs, endMs } of pieces) if (grainMs > 0) expect([startMs % grainMs, endMs % grainMs]).toEqual([0, 0])
        for (const { grainMs, startMs, endMs } of pieces) if (grainMs === 0) expect(endMs - startMs).toBeLessThan(2 * QUARTER_MS)
        expect(pieces.length).toBeLessThanOrEqual(2 * GRAINS_MS.length + 1)
      }),
    )
  })

  test('comes in days of the zone, 23 and 25 hours long where the clocks are changed', () => {
    const days = [...new Timeline(['day'], 'America/New_York').within(at('2026-03-07T05:00Z'), at('2026-03-10T04:00Z'))]
    expect(days.map(({ day, startMs, endMs }) => [day, (endMs - startMs) / 3_600_000])).toEqual([
      ['2026-03-07', 24],
      ['2026-03-08', 23],
      ['2026-03-09', 24],
    ])
  })

  test('has an hour less, and an hour twice, where the clocks are changed', () => {
    expect(hoursOf('2026-03-08T06:00Z', '2026-03-08T08:00Z', 'America/New_York')).toEqual(['2026-03-08T01:00-05:00', '2026-03-08T03:00-04:00'])
    expect(hoursOf('2026-11-01T05:00Z', '2026-11-01T07:00Z', 'America/New_York')).toEqual(['2026-11-01T01:00-04:00', '2026-11-01T01:00-05:00'])
  })

  test('has hours that begin with the local hour, and where clocks move by half of one, halves of hours', () => {
    expect(hoursOf('2026-11-20T10:20Z', '2026-11-20T12:00Z', 'Asia/Kolkata')).toEqual([
      '2026-11-20T15:00+05:30',
      '2026-11-20T16:00+05:30',
      '2026-11-20T17:00+05:30',
    ])
    const change = [...new Timeline(['hour'], 'Australia/Lord_Howe').within(at('2026-04-04T14:00Z'), at('2026-04-04T16:30Z'))]
    expect(change.map(({ hour, startMs, endMs }) => [hour, (endMs - startMs) / 60_000])).toEqual([
      ['2026-04-05T01:00+11:00', 60],
      ['2026-04-05T01:30+10:30', 30],
      ['2026-04-05T02:00+10:30', 60],
    ])
  })

  test('has one span for each moment, however it is come to', () => {
    const zones = fc.constantFrom('America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'America/St_Johns', 'Pacific/Apia', 'UTC')
    const moment = fc.integer({ min: at('2009-01-01T00:00Z'), max: at('2030-01-01T00:00Z') })
    fc.assert(
      fc.property(zones, moment, fc.constantFrom('day' as const, 'hour' as const), (zone, ms, key) => {
        const span = new Timeline([key], zone).at(ms)
        expect(span.startMs).toBeLessThanOrEqual(ms)
        expect(ms).toBeLessThan(span.endMs)
        expect([span.startMs % QUARTER_MS, span.endMs % QUARTER_MS]).toEqual([0, 0])
        for (const edge of [span.startMs, span.endMs - 1]) expect(new Timeline([key], zone).at(edge)).toEqual(span)
        expect(new Timeline([key], zone).at(span.endMs).startMs).toBe(span.endMs)
        expect(new Timeline([key], zone).at(span.startMs - 1).endMs).toBe(span.startMs)
      }),
      { numRuns: 300 },
    )
  })
})

describe('rows', () => {
  test('are oldest first where time is a key, then dearest first, and have their keys in the order asked for', () => {
    const tally = new Tally(query({ by: ['backend', 'day'] }))
    const timeline = new Timeline(['day'], 'UTC')
    const add = (time: string, backend: string, cost_nano: number): void => tally.add(timeline.at(at(time)), { backend }, { cost_nano, calls: 1, tokens: 2 })
    add('2026-11-21T00:00Z', 'gpt', 1)
    add('2026-11-20T00:00Z', 'gpt', 2)
    add('2026-11-20T05:00Z', 'claude', 3)
    add('2026-11-20T06:00Z', 'gpt', 4)
    expect(tally.rows().map((row) => Object.values(row))).toEqual([
      ['gpt', '2026-11-20', 6, 2, 4],
      ['claude', '2026-11-20', 3, 1, 2],
      ['gpt', '2026-11-21', 1, 1, 2],
    ])
    expect(Object.keys(tally.rows()[0] ?? {})).toEqual(['backend', 'day', 'cost_nano', 'calls', 'tokens'])
  })

  test('are never mixed up, whatever is in their texts', () => {
    const tally = new Tally(query({ by: ['task_id', 'task_type'] }))
    const span = new Timeline([], 'UTC').at(0)
    for (const [task_id, task_type] of [
      ['a', '","b'],
      ['a","', 'b'],
      ['a\n', 'b'],
      ['a', '\nb'],
    ])
      tally.add(span, { task_id: task_id ?? '', task_type: task_type ?? '' }, { cost_nano: 1, calls: 1, tokens: 0 })
    expect(tally.rows()).toHaveLength(4)
  })

  test('are never sums that are no longer exact', () => {
    const tally = new Tally(query())
    const span = new Timeline([], 'UTC').at(0)
    const add = (): void => tally.add(span, {}, { cost_nano: 2 ** 52, calls: 1, tokens: 0 })
    add()
    expect(add).toThrow(RangeError)
  })
})

describe('periods', () => {
  // Wednesday evening in New York, Thursday in UTC.
  const now = at('2026-11-19T03:00Z')
  test.each([
    ['today', '2026-11-18T05:00Z', '2026-11-19T05:00Z'],
    ['yesterday', '2026-11-17T05:00Z', '2026-11-18T05:00Z'],
    ['this-week', '2026-11-16T05:00Z', '2026-11-23T05:00Z'],
    ['last-week', '2026-11-09T05:00Z', '2026-11-16T05:00Z'],
    ['this-month', '2026-11-01T04:00Z', '2026-12-01T05:00Z'],
    ['last-month', '2026-10-01T04:00Z', '2026-11-01T04:00Z'],
  ] as const)('%s is of the zone', (period, from, to) => {
    expect(periodOf(period, now, 'America/New_York')).toEqual({ startMs: at(from), endMs: at(to) })
  })

  test('last week is whole on a Monday too, and an hour short when the clocks went forward in it', () => {
    const { startMs, endMs } = periodOf('last-week', at('2026-03-30T00:00+02:00'), 'Europe/Berlin')
    expect([startMs, endMs]).toEqual([at('2026-03-23T00:00+01:00'), at('2026-03-30T00:00+02:00')])
    expect((endMs - startMs) / 3_600_000).toBe(167)
  })
})

describe('a time as people write it', () => {
  test.each([
    ['2026-04-01', 'America/New_York', '2026-04-01T00:00-04:00', '2026-04-02T00:00-04:00'],
    ['2026-03-29', 'Europe/Berlin', '2026-03-29T00:00+01:00', '2026-03-30T00:00+02:00'],
    ['2026-04-01', 'Asia/Kathmandu', '2026-04-01T00:00+05:45', '2026-04-02T00:00+05:45'],
    ['2026-04-01T14:30', 'America/New_York', '2026-04-01T14:30-04:00', '2026-04-01T14:30-04:00'],
    ['2026-04-01 14:30', 'UTC', '2026-04-01T14:30Z', '2026-04-01T14:30Z'],
    ['2026-04-01T14:30Z', 'America/New_York', '2026-04-01T14:30Z', '2026-04-01T14:30Z'],
    ['2026-04-01T14:30:10.5+02:00', 'UTC', '2026-04-01T12:30:10.500Z', '2026-04-01T12:30:10.500Z'],
  ])('%s in %s', (text, zone, from, to) => {
    expect(parseTime(text, zone)).toEqual({ startMs: at(from), endMs: at(to) })
  })

  test.each(['2026-02-30', '2026-13-01', '2026-4-1', 'yesterday', '', '2026', '2026-04-01T25:00', '1775001600'])('is not %s', (text) => {
    expect(parseTime(text, 'UTC')).toBeUndefined()
  })
})

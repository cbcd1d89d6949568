import { expect, test } from 'vitest'
import { parseTrace, synthesize } from './traffic.ts'
import type { Span } from './traffic.ts'

const DAY_MS = 86_400_000
const SPAN: Span = {
  seed: 3,
  spanMs: 30 * DAY_MS,
  mix: {
    models: [
      ['claude', 3],
      ['auto', 1],
    ],
    taskTypes: [['chat', 1]],
  },
}

test('the same seed makes the same traffic, another seed another', () => {
  expect(synthesize(200, SPAN)).toEqual(synthesize(200, SPAN))
  expect(synthesize(200, SPAN)).not.toEqual(synthesize(200, { ...SPAN, seed: 4 }))
})

test('traffic is in order, within its span, and busier by day than by night', () => {
  const calls = synthesize(3000, SPAN)
  const times = calls.map(({ atMs }) => atMs)
  expect(times).toEqual(times.toSorted((a, b) => a - b))
  expect(times[0]).toBeGreaterThanOrEqual(0)
  expect(times.at(-1)).toBeLessThan(SPAN.spanMs)
  const hourOf = (atMs: number): number => Math.floor((atMs % DAY_MS) / 3_600_000)
  const between = (from: number, to: number): number => times.filter((atMs) => hourOf(atMs) >= from && hourOf(atMs) < to).length
  expect(between(9, 13)).toBeGreaterThan(5 * between(1, 5))
})

test('every call leaves room for its answer, and its parts are no larger than the whole', () => {
  for (const { usage, maxOutputTokens } of synthesize(1000, SPAN)) {
    expect(maxOutputTokens).toBeGreaterThanOrEqual(usage.completion_tokens)
    expect(usage.cached_tokens ?? 0).toBeLessThanOrEqual(usage.prompt_tokens)
    expect(usage.reasoning_tokens ?? 0).toBeLessThanOrEqual(usage.completion_tokens)
  }
})

test('a CSV trace is read with its times and sizes, up to the limit', () => {
  const text =
    'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951690,396,109\n2023-11-16 18:15:51.2224670,879,55\n'
  const rows = parseTrace(text, 't.csv', 2)
  expect(rows).toMatchObject([
    { id: 'row-1', prompt: 374, completion: 44 },
    { id: 'row-2', prompt: 396, completion: 109 },
  ])
  expect((rows[1]?.atMs ?? 0) - (rows[0]?.atMs ?? 0)).toBe(4315)
})

test('JSON lines are read with their task type and bound', () => {
  const line = { t: '2026-04-01T00:00:01Z', id: 'r0', task_type: 'code', prompt_tokens: 10, completion_tokens: 0, max_output_tokens: 2048, duration_ms: 1 }
  expect(parseTrace(`${JSON.stringify(line)}\n`, 't.jsonl', 9)).toEqual([
    { atMs: Date.parse(line.t), id: 'r0', taskType: 'code', prompt: 10, completion: 0, maxOutputTokens: 2048 },
  ])
})

test.each([
  ['time,in,out\n1,2,3\n', /t:1: expected the columns/],
  ['TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,374\n', /t:2: expected a time and two whole token counts/],
  ['TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,374,1\n', /t:2/],
  ['TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,-3,1\n', /t:2/],
  ['{"t":"2026-04-01T00:00:01Z","prompt_tokens":1,"completion_tokens":2}\n{"t":', /t:2/],
  ['TIMESTAMP,ContextTokens,GeneratedTokens\n', /holds no requests/],
])('a wrong trace is refused by file and line: %j', (text, message) => {
  expect(() => parseTrace(text, 't', 10)).toThrow(message)
})

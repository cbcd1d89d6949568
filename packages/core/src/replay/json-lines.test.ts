import fc from 'fast-check'
import { expect, test } from 'vitest'
import { callOfLine } from './json-lines.ts'

const LINE = {
  t: '2026-04-01T00:01:33.856Z',
  id: 'r0',
  task_type: 'chat',
  prompt_tokens: 405,
  completion_tokens: 85,
  max_output_tokens: 2048,
  duration_ms: 3700,
}

function parse(fields: object): ReturnType<typeof callOfLine> {
  return callOfLine(JSON.stringify({ ...LINE, ...fields }), 7, (text) => (text === 'noon' ? 12 : undefined))
}

test('a line is a call', () => {
  expect(parse({})).toEqual({
    id: 'r0',
    atMs: Date.parse(LINE.t),
    durationMs: 3700,
    backend: undefined,
    model: undefined,
    taskId: undefined,
    taskType: 'chat',
    inputTokens: 405,
    outputTokens: 85,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
    maxOutputTokens: 2048,
  })
})

test('what a line does not say is left open, and what it does not need is passed over', () => {
  const bare = callOfLine('{"t":"2026-04-01T00:00:00+02:00","prompt_tokens":1,"completion_tokens":2,"temperature":1}', 7, () => undefined)
  expect(bare).toMatchObject({ id: 'line-7', atMs: Date.parse('2026-03-31T22:00:00Z'), durationMs: 0, maxOutputTokens: undefined, taskType: undefined })
  expect(parse({ backend: null, task_id: null, duration_ms: null })).toMatchObject({ backend: undefined, taskId: undefined, durationMs: 0 })
})

test('all that a line may say is read', () => {
  const full = { backend: 'claude', model: 'm', task_id: 't', cache_read_tokens: 300, cache_write_tokens: 100, reasoning_tokens: 80 }
  expect(parse(full)).toMatchObject({ backend: 'claude', model: 'm', taskId: 't', cacheReadTokens: 300, cacheWriteTokens: 100, reasoningTokens: 80 })
})

test('a time may be ms since the epoch, or one that the zone decides', () => {
  expect(parse({ t: 1_000 })).toMatchObject({ atMs: 1_000 })
  expect(parse({ t: 'noon' })).toMatchObject({ atMs: 12 })
})

test.each([
  [{ t: undefined }, 't: expected a time as 2026-04-01T14:30:00Z, found nothing'],
  [{ t: 'yesterday' }, 't: expected a time as 2026-04-01T14:30:00Z, found "yesterday"'],
  [{ t: '2026-13-01T00:00:00Z' }, 't: expected a time as 2026-04-01T14:30:00Z, found "2026-13-01T00:00:00Z"'],
  [{ t: 1.5 }, 't: expected a time as 2026-04-01T14:30:00Z, found 1.5'],
  [{ prompt_tokens: undefined }, 'prompt_tokens: expected a whole number from 0 to 1000000000, found nothing'],
  [{ prompt_tokens: '405' }, 'prompt_tokens: expected a whole number from 0 to 1000000000, found "405"'],
  [{ completion_tokens: -1 }, 'completion_tokens: expected a whole number from 0 to 1000000000, found -1'],
  [{ completion_tokens: 2049 }, 'completion_tokens: expected at most max_output_tokens, found 2049 of 2048'],
  [{ max_output_tokens: -1, completion_tokens: 0 }, 'max_output_tokens: expected a whole number from 0 to 1000000000, found -1'],
  [{ duration_ms: -5 }, 'duration_ms: expected milliseconds from 0, found -5'],
  [{ duration_ms: 'long' }, 'duration_ms: expected milliseconds from 0, found "long"'],
  [{ task_type: '' }, 'task_type: expected 1 to 256 characters, found ""'],
  [{ backend: 3 }, 'backend: expected 1 to 256 characters, found 3'],
  [{ cache_read_tokens: 400, cache_write_tokens: 6 }, 'cache_read_tokens + cache_write_tokens: expected at most prompt_tokens, found 406 of 405'],
  [{ reasoning_tokens: 86 }, 'reasoning_tokens: expected at most completion_tokens, found 86 of 85'],
])('%j is told: %s', (fields, message) => {
  expect(parse(fields)).toBe(message)
})

test('what is no object is told without repeating it: a line may hold a prompt', () => {
  expect(callOfLine('{"prompt": "secr', 1, () => undefined)).toBe('expected a JSON object, found text that is not JSON')
  expect(callOfLine('["secret"]', 1, () => undefined)).toBe('expected a JSON object, found other JSON')
})

test('a time reads as `Date.parse` reads it, whatever its digits say', () => {
  const part = (most: number, digits: number) => fc.integer({ min: 0, max: most }).map((number) => String(number).padStart(digits, '0'))
  const time = fc.tuple(part(3000, 4), part(13, 2), part(32, 2), part(25, 2), part(61, 2), part(61, 2), part(999, 3))
  fc.assert(
    fc.property(time, ([year, month, day, hour, minute, second, ms]) => {
      const t = `${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`
      const atMs = Date.parse(t)
      const call = parse({ t })
      if (atMs >= 0) expect(call).toMatchObject({ atMs })
      else expect(call).toMatch(/^t: expected a time/)
    }),
    { numRuns: 2000 },
  )
  for (const t of [
    '2026-04-01T00:01:33.85xZ',
    '2026-04-01T00:01:33.856z',
    '2026-04-01T00:01:3 .856Z',
    '2O26-04-01T00:01:33.856Z',
    '2026-04-01T00:01:33,856Z',
  ]) {
    expect(parse({ t })).toMatch(/^t: expected a time/)
  }
})

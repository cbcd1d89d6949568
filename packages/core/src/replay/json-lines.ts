import type { TraceCall } from './trace-call.ts'

const MAX_TOKENS = 1_000_000_000
const MAX_NAME = 256
/** A year: longer is a mistake in the unit. */
const MAX_DURATION_MS = 366 * 86_400_000
/** ISO 8601 with its zone: what `Date.parse` reads without asking where the machine stands. */
const ZONED = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/

type Fields = Readonly<Record<string, unknown>>

/** How the times of a trace are read that do not say their zone: ms since the epoch, or undefined where the text is no time. */
export type TimeOf = (text: string) => number | undefined

/**
 * A line of a trace: `{t, id, task_type, prompt_tokens, completion_tokens, max_output_tokens, duration_ms}`, and, where there are any, `backend`, `model`,
 * `task_id`, `cache_read_tokens`, `cache_write_tokens`, `reasoning_tokens`. Only `t`, `prompt_tokens` and `completion_tokens` are needed.
 * @returns the call, or what is wrong: the field, what was expected and what was found.
 */
export function callOfLine(text: string, line: number, timeOf: TimeOf): TraceCall | string {
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch {
    return 'expected a JSON object, found text that is not JSON'
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return 'expected a JSON object, found other JSON'
  return callOfFields(fields as Fields, line, timeOf)
}

function callOfFields(fields: Fields, line: number, timeOf: TimeOf): TraceCall | string {
  const { id, task_type: taskType, task_id: taskId, backend, model } = fields
  const call: TraceCall = {
    id: nameOf(id) ?? `line-${line}`,
    atMs: instantOf(fields['t'], timeOf),
    durationMs: Math.round(numberOf(fields['duration_ms'], 0)),
    backend: nameOf(backend),
    model: nameOf(model),
    taskId: nameOf(taskId),
    taskType: nameOf(taskType),
    inputTokens: numberOf(fields['prompt_tokens'], Number.NaN),
    outputTokens: numberOf(fields['completion_tokens'], Number.NaN),
    cacheReadTokens: numberOf(fields['cache_read_tokens'], 0),
    cacheWriteTokens: numberOf(fields['cache_write_tokens'], 0),
    reasoningTokens: numberOf(fields['reasoning_tokens'], 0),
    maxOutputTokens: fields['max_output_tokens'] === undefined || fields['max_output_tokens'] === null ? undefined : numberOf(fields['max_output_tokens'], 0),
  }
  const named = isName(id) && isName(taskType) && isName(taskId) && isName(backend) && isName(model)
  return named && isSound(call) ? call : problemOf(call, fields)
}

/** All at once: nearly every line is right, and what is wrong with one is asked for after that. */
function isSound({ atMs, durationMs, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens, maxOutputTokens }: TraceCall): boolean {
  return (
    Number.isSafeInteger(atMs) &&
    atMs >= 0 &&
    durationMs >= 0 &&
    durationMs <= MAX_DURATION_MS &&
    isCount(inputTokens) &&
    isCount(outputTokens) &&
    isCount(cacheReadTokens) &&
    isCount(cacheWriteTokens) &&
    isCount(reasoningTokens) &&
    cacheReadTokens + cacheWriteTokens <= inputTokens &&
    reasoningTokens <= outputTokens &&
    (maxOutputTokens === undefined || (isCount(maxOutputTokens) && maxOutputTokens >= 1 && outputTokens <= maxOutputTokens))
  )
}

const NAMES = ['id', 'task_type', 'task_id', 'backend', 'model'] as const

function problemOf(call: TraceCall, fields: Fields): string {
  if (!Number.isSafeInteger(call.atMs) || call.atMs < 0) return `t: expected a time as 2026-04-01T14:30:00Z, found ${shown(fields['t'])}`
  for (const name of NAMES) if (!isName(fields[name])) return `${name}: expected 1 to ${MAX_NAME} characters, found ${shown(fields[name])}`
  if (!(call.durationMs >= 0 && call.durationMs <= MAX_DURATION_MS)) return `duration_ms: expected milliseconds from 0, found ${shown(fields['duration_ms'])}`
  const counts = { prompt_tokens: 0, completion_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0, reasoning_tokens: 0, max_output_tokens: 0 }
  for (const [name, least] of Object.entries(counts)) {
    const value = fields[name] ?? (name === 'prompt_tokens' || name === 'completion_tokens' ? undefined : least)
    if (typeof value !== 'number' || !isCount(value) || value < least)
      return `${name}: expected a whole number from ${least} to ${MAX_TOKENS}, found ${shown(fields[name])}`
  }
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens, maxOutputTokens } = call
  if (cacheReadTokens + cacheWriteTokens > inputTokens)
    return `cache_read_tokens + cache_write_tokens: expected at most prompt_tokens, found ${cacheReadTokens + cacheWriteTokens} of ${inputTokens}`
  if (reasoningTokens > outputTokens) return `reasoning_tokens: expected at most completion_tokens, found ${reasoningTokens} of ${outputTokens}`
  return `completion_tokens: expected at most max_output_tokens, found ${outputTokens} of ${maxOutputTokens ?? 'none'}`
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_TOKENS
}

/** Absent and `null` name nothing. */
function isName(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === 'string' && value !== '' && value.length <= MAX_NAME)
}

function nameOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function numberOf(value: unknown, absent: number): number {
  if (typeof value === 'number') return value
  return value === undefined || value === null ? absent : Number.NaN
}

/** ms since the epoch; NaN where it is no time. */
function instantOf(value: unknown, timeOf: TimeOf): number {
  if (typeof value === 'number') return value
  if (typeof value !== 'string') return Number.NaN
  return utcOf(value) ?? (ZONED.test(value) ? Date.parse(value) : (timeOf(value) ?? Number.NaN))
}

/** A time as `toISOString` writes it, read by its digits: a pattern and `Date.parse` take several times as long. Undefined for any other. */
function utcOf(text: string): number | undefined {
  if (text.length !== 24 || text[4] !== '-' || text[7] !== '-' || text[10] !== 'T' || text[13] !== ':' || text[16] !== ':' || text[19] !== '.') return undefined
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2)
  const [month, day] = [twoDigits(text, 5), twoDigits(text, 8)]
  const [hour, minute, second] = [twoDigits(text, 11), twoDigits(text, 14), twoDigits(text, 17)]
  const ms = digit(text, 20) * 100 + twoDigits(text, 21)
  // What the calendar does not have, and years that `Date.UTC` takes for others, are left to `Date.parse`.
  const ordinary = year >= 1970 && month >= 1 && month <= 12 && day >= 1 && day <= 28 && hour < 24 && minute < 60 && second < 60 && ms >= 0
  return ordinary && text[23] === 'Z' ? Date.UTC(year, month - 1, day, hour, minute, second, ms) : undefined
}

/** NaN where one of them is no digit. */
function twoDigits(text: string, index: number): number {
  return digit(text, index) * 10 + digit(text, index + 1)
}

function digit(text: string, index: number): number {
  const value = text.charCodeAt(index) - 48
  return value >= 0 && value <= 9 ? value : Number.NaN
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

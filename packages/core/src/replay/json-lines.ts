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
  const call: TraceCall = {
    id: nameOf(fields['id']) ?? `line-${line}`,
    atMs: instantOf(fields['t'], timeOf),
    durationMs: Math.round(numberOf(fields['duration_ms'], 0)),
    backend: nameOf(fields['backend']),
    model: nameOf(fields['model']),
    taskId: nameOf(fields['task_id']),
    taskType: nameOf(fields['task_type']),
    inputTokens: numberOf(fields['prompt_tokens'], Number.NaN),
    outputTokens: numberOf(fields['completion_tokens'], Number.NaN),
    cacheReadTokens: numberOf(fields['cache_read_tokens'], 0),
    cacheWriteTokens: numberOf(fields['cache_write_tokens'], 0),
    reasoningTokens: numberOf(fields['reasoning_tokens'], 0),
    maxOutputTokens: fields['max_output_tokens'] === undefined || fields['max_output_tokens'] === null ? undefined : numberOf(fields['max_output_tokens'], 0),
  }
  return isSound(call) && hasSoundNames(fields) ? call : problemOf(call, fields)
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

function hasSoundNames(fields: Fields): boolean {
  for (const name of NAMES) if (!isName(fields[name])) return false
  return true
}

function problemOf(call: TraceCall, fields: Fields): string {
  if (!Number.isSafeInteger(call.atMs) || call.atMs < 0) return `t: expected a time as 2026-04-01T14:30:00Z, found ${shown(fields['t'])}`
  for (const name of NAMES) if (!isName(fields[name])) return `${name}: expected 1 to ${MAX_NAME} characters, found ${shown(fields[name])}`
  if (!(call.durationMs >= 0 && call.durationMs <= MAX_DURATION_MS)) return `duration_ms: expected milliseconds from 0, found ${shown(fields['duration_ms'])}`
  const counts = { prompt_tokens: 0, completion_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0, reasoning_tokens: 0, max_output_tokens: 1 }
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
  return ZONED.test(value) ? Date.parse(value) : (timeOf(value) ?? Number.NaN)
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

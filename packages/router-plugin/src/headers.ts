import { PluginError } from './contract.ts'

/** What a client says of its task over HTTP. */
export interface TaskHeaders {
  /** `x-manciple-task-id` */
  readonly taskId: string | undefined
  /** `x-manciple-task-type` */
  readonly taskType: string | undefined
  /** `x-manciple-pinned`: `true` or `false`. */
  readonly pinned: boolean
  /** `x-manciple-input-tokens`: an upper bound of the input, where the client knows better than its bytes. */
  readonly inputTokens: number | undefined
}

type Headers = Readonly<Record<string, unknown>>

/** @throws PluginError `HEADER_INVALID`. */
export function readTaskHeaders(headers: Headers): TaskHeaders {
  return {
    taskId: textOf(headers, 'x-manciple-task-id'),
    taskType: textOf(headers, 'x-manciple-task-type'),
    pinned: flagOf(headers, 'x-manciple-pinned'),
    inputTokens: countOf(headers, 'x-manciple-input-tokens'),
  }
}

function textOf(headers: Headers, name: string): string | undefined {
  const value = headers[name]
  if (value === undefined || value === '') return undefined
  if (typeof value !== 'string' || value.length > 200) throw invalid(name, 'at most 200 characters', value)
  return value
}

function flagOf(headers: Headers, name: string): boolean {
  const value = textOf(headers, name)
  if (value === undefined || value === 'false') return false
  if (value === 'true') return true
  throw invalid(name, '`true` or `false`', value)
}

function countOf(headers: Headers, name: string): number | undefined {
  const value = textOf(headers, name)
  if (value === undefined) return undefined
  if (!/^\d{1,9}$/.test(value)) throw invalid(name, 'a whole number, not negative', value)
  return Number(value)
}

function invalid(name: string, expected: string, value: unknown): PluginError {
  return new PluginError('HEADER_INVALID', `The header ${name} must be ${expected}; found ${JSON.stringify(String(value).slice(0, 80))}.`)
}

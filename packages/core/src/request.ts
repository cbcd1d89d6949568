import type { DecideRequest } from './decision.ts'
import { MancipleError } from './errors.ts'

/** A request whose every field has been checked, with `n` and `pinned` filled in. */
export interface CheckedRequest {
  readonly backend: string | undefined
  readonly model: string | undefined
  readonly taskId: string | null
  readonly taskType: string | null
  readonly tags: readonly string[]
  readonly inputTokens: number
  readonly maxOutputTokens: number | undefined
  readonly minOutputTokens: number
  readonly n: number
  readonly candidates: readonly string[] | undefined
  readonly pinned: boolean
}

/** Far above any context window; keeps every product of tokens and prices a safe integer. */
const MAX_TOKENS = 1_000_000_000
const MAX_NAME = 256
const MAX_TAGS = 64
const NO_TAGS: readonly string[] = []

/** @throws MancipleError `REQUEST_INVALID` naming the field and what was found. */
export function checkRequest(request: DecideRequest): CheckedRequest {
  const tags = request.tags ?? NO_TAGS
  if (tags.length > MAX_TAGS) throw new MancipleError('REQUEST_INVALID', `tags: at most ${MAX_TAGS}, found ${tags.length}`)
  for (const tag of tags) name('tags', tag)
  if (request.pinned && request.backend === undefined) throw new MancipleError('REQUEST_INVALID', 'pinned: needs a `backend` to stay with')
  return {
    backend: optionalName('backend', request.backend),
    model: optionalName('model', request.model),
    taskId: optionalName('taskId', request.taskId) ?? null,
    taskType: optionalName('taskType', request.taskType) ?? null,
    tags,
    inputTokens: count('inputTokens', request.inputTokens, 0),
    maxOutputTokens: request.maxOutputTokens === undefined ? undefined : count('maxOutputTokens', request.maxOutputTokens, 0),
    minOutputTokens: request.minOutputTokens === undefined ? 0 : count('minOutputTokens', request.minOutputTokens, 0),
    n: request.n === undefined ? 1 : count('n', request.n, 1),
    candidates: request.candidates,
    pinned: request.pinned ?? false,
  }
}

function count(field: string, value: number, least: number): number {
  if (!Number.isInteger(value) || value < least || value > MAX_TOKENS) {
    throw new MancipleError('REQUEST_INVALID', `${field}: expected a whole number from ${least} to ${MAX_TOKENS}, found ${String(value)}`)
  }
  return value
}

function optionalName(field: string, value: string | undefined): string | undefined {
  return value === undefined ? undefined : name(field, value)
}

function name(field: string, value: string): string {
  if (typeof value !== 'string' || value === '' || value.length > MAX_NAME) {
    throw new MancipleError('REQUEST_INVALID', `${field}: expected 1 to ${MAX_NAME} characters, found ${describe(value)}`)
  }
  return value
}

function describe(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'an empty string' : `${value.length} characters`
  return String(value)
}

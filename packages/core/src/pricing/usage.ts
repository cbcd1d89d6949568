import { MancipleError } from '../errors.ts'

/**
 * What one call used, in tokens. Input includes cached tokens, output includes reasoning (OpenTelemetry GenAI).
 * All whole and not negative; `cacheReadTokens + cacheWriteTokens ≤ inputTokens`, `reasoningTokens ≤ outputTokens`.
 */
export interface Usage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cacheReadTokens?: number
  readonly cacheWriteTokens?: number
  readonly reasoningTokens?: number
}

/**
 * A copy of the usage with every count checked and filled in: what is not reported of cache and reasoning is 0. Other fields are left behind.
 *
 * @throws MancipleError `USAGE_INVALID` naming the field and what was found: not a whole number from 0 to 2^53 − 1,
 * more cached than input tokens, or more reasoning than output tokens.
 * @example checkUsage({ inputTokens: 1500, outputTokens: 800 }).cacheReadTokens // 0
 */
export function checkUsage(usage: Usage): Required<Usage> {
  if (typeof usage !== 'object' || usage === null) throw new MancipleError('USAGE_INVALID', `usage: expected an object, found ${describe(usage)}`)
  const inputTokens = count(usage, 'inputTokens')
  const outputTokens = count(usage, 'outputTokens')
  const cacheReadTokens = usage.cacheReadTokens === undefined ? 0 : count(usage, 'cacheReadTokens')
  const cacheWriteTokens = usage.cacheWriteTokens === undefined ? 0 : count(usage, 'cacheWriteTokens')
  const reasoningTokens = usage.reasoningTokens === undefined ? 0 : count(usage, 'reasoningTokens')
  if (cacheReadTokens > inputTokens - cacheWriteTokens) {
    const found = `${cacheReadTokens} and ${cacheWriteTokens} of ${inputTokens}`
    throw new MancipleError('USAGE_INVALID', `cacheReadTokens + cacheWriteTokens: expected at most inputTokens, found ${found}`, { usage })
  }
  if (reasoningTokens > outputTokens) {
    throw new MancipleError('USAGE_INVALID', `reasoningTokens: expected at most outputTokens, found ${reasoningTokens} of ${outputTokens}`, { usage })
  }
  return { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens }
}

function count(usage: Usage, field: keyof Usage): number {
  const value: unknown = usage[field]
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new MancipleError('USAGE_INVALID', `${field}: expected a whole number of tokens, 0 or more, found ${describe(value)}`, { field, value })
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return JSON.stringify(value)
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

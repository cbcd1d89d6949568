import type { Usage } from '@manciple/core'

/**
 * The `usage` of an OpenAI-compatible answer as ours. Undefined where it is missing or contradicts itself:
 * then nothing is known, and the hold stands.
 */
export function usageOfOpenAi(raw: unknown): Usage | undefined {
  const usage = recordOf(raw)
  const inputTokens = countOf(usage?.['prompt_tokens'])
  const outputTokens = countOf(usage?.['completion_tokens'])
  const cacheReadTokens = countOf(recordOf(usage?.['prompt_tokens_details'])?.['cached_tokens'] ?? 0)
  const reasoningTokens = countOf(recordOf(usage?.['completion_tokens_details'])?.['reasoning_tokens'] ?? 0)
  if (inputTokens === undefined || outputTokens === undefined || cacheReadTokens === undefined || reasoningTokens === undefined) return undefined
  if (cacheReadTokens > inputTokens || reasoningTokens > outputTokens) return undefined
  return { inputTokens, outputTokens, cacheReadTokens, reasoningTokens }
}

/**
 * Joins the usage of two chunks of one stream. OpenAI sends it once; others send running counts,
 * and some leave the input out after the first: each field keeps its largest value.
 */
export function joinUsage(before: unknown, raw: unknown): unknown {
  const usage = recordOf(raw)
  if (usage === undefined) return before
  const joined: Record<string, unknown> = { ...recordOf(before) }
  for (const [key, value] of Object.entries(usage)) {
    if (value === undefined || value === null) continue
    const known = joined[key]
    joined[key] = typeof value === 'number' && typeof known === 'number' ? Math.max(known, value) : value
  }
  return joined
}

/** Content parts of which every token is worth at least a byte. An image, a sound or a file may cost more tokens than its address has bytes. */
const BYTE_BOUND_PARTS: ReadonlySet<unknown> = new Set(['text', 'refusal', 'tool_use', 'tool_result'])

/** Whether the bytes of these messages bound their tokens. */
export function boundByBytes(messages: readonly unknown[]): boolean {
  return messages.every((message) => contentBoundByBytes(recordOf(message)?.['content']))
}

function contentBoundByBytes(content: unknown): boolean {
  if (!Array.isArray(content)) return typeof content !== 'object' || content === null
  return content.every((item: unknown) => {
    const part = recordOf(item)
    return part !== undefined && BYTE_BOUND_PARTS.has(part['type']) && (part['type'] !== 'tool_result' || contentBoundByBytes(part['content']))
  })
}

/** Bytes of output that one chunk of a stream brought: text, refusals, reasoning where it is shown, and the arguments of tools. */
export function outputBytes(content: unknown): number {
  if (!Array.isArray(content)) return 0
  let bytes = 0
  for (const item of content) bytes += textBytes(recordOf(item)?.['delta'])
  return bytes
}

function textBytes(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value)
  if (typeof value !== 'object' || value === null) return 0
  let bytes = 0
  for (const [key, part] of Object.entries(value)) if (!NOT_OUTPUT.has(key)) bytes += textBytes(part)
  return bytes
}

/** Fields of a delta that the protocol adds and the model did not write. */
const NOT_OUTPUT: ReadonlySet<string> = new Set(['role', 'id', 'type', 'index', 'stop_reason', 'tool_call_id'])

function recordOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : undefined
}

function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

import type { LanguageModelV4Content, LanguageModelV4StreamPart, LanguageModelV4Usage } from '@ai-sdk/provider'
import type { Usage } from '@manciple/core'

/**
 * The usage that a model of the AI SDK reports, as ours. Undefined where it is missing or contradicts itself: then nothing is known, and the hold stands.
 * No prompt is without a token, so an input of 0 is what a provider makes of a usage that never came.
 */
export function usageOfAiSdk(raw: LanguageModelV4Usage | undefined): Usage | undefined {
  if (raw === undefined) return undefined
  const inputTokens = countOf(raw.inputTokens.total)
  const outputTokens = countOf(raw.outputTokens.total)
  const cacheReadTokens = countOf(raw.inputTokens.cacheRead ?? 0)
  const cacheWriteTokens = countOf(raw.inputTokens.cacheWrite ?? 0)
  const reasoningTokens = countOf(raw.outputTokens.reasoning ?? 0)
  if (inputTokens === undefined || inputTokens === 0 || outputTokens === undefined) return undefined
  if (cacheReadTokens === undefined || cacheWriteTokens === undefined || reasoningTokens === undefined) return undefined
  if (cacheReadTokens + cacheWriteTokens > inputTokens || reasoningTokens > outputTokens) return undefined
  return { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens }
}

function countOf(value: number | undefined): number | undefined {
  return value !== undefined && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

/** Parts of a stream that the model did not write. */
const NOT_OUTPUT: ReadonlySet<LanguageModelV4StreamPart['type']> = new Set([
  'stream-start',
  'response-metadata',
  'ping',
  'raw',
  'text-start',
  'text-end',
  'reasoning-start',
  'reasoning-end',
  'tool-input-start',
  'tool-input-end',
  'error',
  'finish',
])

/** Follows the output of one answer, each piece counted once: the input of a tool comes in deltas, whole, or both. */
export class OutputMeter {
  readonly #streamedTools = new Set<string>()
  #toldInput: Usage | undefined

  /** The input, where the provider has told it before it wrote anything. */
  get toldInput(): Usage | undefined {
    return this.#toldInput
  }

  /** Bytes of output that this part brought; undefined for a part that is no output. */
  read(part: LanguageModelV4StreamPart): number | undefined {
    switch (part.type) {
      case 'text-delta':
      case 'reasoning-delta':
        return Buffer.byteLength(part.delta)
      case 'tool-input-delta':
        this.#streamedTools.add(part.id)
        return Buffer.byteLength(part.delta)
      case 'tool-call':
        return this.#streamedTools.has(part.toolCallId) ? 0 : Buffer.byteLength(part.input)
      case 'custom':
        if (part.kind === 'anthropic.message_start') this.#toldInput = inputOfMessageStart(part.providerMetadata?.['anthropic']?.['usage'])
        return undefined
      default:
        return NOT_OUTPUT.has(part.type) ? undefined : 0
    }
  }
}

/** Bytes of output of a whole answer. */
export function outputBytes(content: readonly LanguageModelV4Content[]): number {
  let bytes = 0
  for (const part of content) {
    if (part.type === 'text' || part.type === 'reasoning') bytes += Buffer.byteLength(part.text)
    else if (part.type === 'tool-call') bytes += Buffer.byteLength(part.input)
  }
  return bytes
}

/** Anthropic tells the input as soon as it begins to answer, cached input beside `input_tokens`, not in it. */
function inputOfMessageStart(raw: unknown): Usage | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined
  const usage: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(raw))
  const count = (field: string): number | undefined => {
    const value = usage[field] ?? 0
    return typeof value === 'number' ? countOf(value) : undefined
  }
  const [uncached, cacheReadTokens, cacheWriteTokens] = [count('input_tokens'), count('cache_read_input_tokens'), count('cache_creation_input_tokens')]
  if (uncached === undefined || cacheReadTokens === undefined || cacheWriteTokens === undefined) return undefined
  const inputTokens = uncached + cacheReadTokens + cacheWriteTokens
  return inputTokens === 0 ? undefined : { inputTokens, outputTokens: 0, cacheReadTokens, cacheWriteTokens }
}

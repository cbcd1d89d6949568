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

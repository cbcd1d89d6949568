import type { Json } from './json.ts'

/** OpenAI's own models take `max_completion_tokens`, and newer ones nothing else; who copies the format knows `max_tokens`. */
export function wantsCompletionTokens(model: string): boolean {
  return /^(?:gpt-[^o]|o\d|chatgpt-|codex)/.test(model)
}

/**
 * Whether a model may reason where its stream does not show it: then the bytes of a stream that was cut do not bound its output.
 * OpenAI's reasoning models never show it; others show theirs, or are told by `reasoning_effort`.
 */
export function mayHideReasoning(model: string, effort: unknown): boolean {
  if (effort === 'none') return false
  return /(?:^|\/)(?:o\d|gpt-(?:[5-9]|\d\d)|codex|computer-use|gemini-(?:2\.5|[3-9]))/.test(model) || (effort !== undefined && effort !== null)
}

/** OpenAI's error object. */
export function errorBodyOfOpenAi({ status, code, message }: { readonly status: number; readonly code: string; readonly message: string }): Json {
  const type = status === 429 ? 'insufficient_quota' : status < 500 ? 'invalid_request_error' : 'server_error'
  return { error: { message, type, param: null, code } }
}

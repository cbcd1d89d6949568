import { MancipleError } from '../errors.ts'
import type { Quantities } from '../limit.ts'
import type { KnownPrice } from './price-book.ts'

/** The size of a call before it is made. Whole, not negative; `n`, the answers asked for, at least 1. */
export interface CallSize {
  /** Input tokens, or an upper bound of them. */
  readonly inputTokens: number
  /** The most that each answer may have. */
  readonly maxOutputTokens: number
  readonly n: number
}

/** Role, name and separators of one message: OpenAI's, ChatML's, Llama's and Kimi's chat templates take 3 to 6 tokens. */
const FRAMING_TOKENS_PER_MESSAGE = 8

/** What a provider adds to a request of its own accord: mostly the preamble for tools. Twice the largest that Anthropic has published (530, Claude 3 Opus). */
const FRAMING_TOKENS_PER_REQUEST = 1024

/**
 * The most that a call can take from limits: no usage that keeps within its size costs more or has more tokens.
 *
 * With `n` answers the input counts once and the output `n` times: that is how OpenAI bills `n` and Google `candidateCount`.
 * A host that sends the prompt once per answer makes `n` calls and asks for each.
 *
 * @throws MancipleError `REQUEST_INVALID` where the tokens together are not a safe integer.
 * @example
 * // claude-sonnet-4, where all of the input may be a cache write
 * estimate(price, { inputTokens: 1500, maxOutputTokens: 800, n: 1 }) // { costNano: 17_625_000, tokens: 2300, requests: 1 }
 */
export function estimate(price: KnownPrice, { inputTokens, maxOutputTokens, n }: CallSize): Quantities {
  const outputTokens = n * maxOutputTokens
  const tokens = inputTokens + outputTokens
  if (!Number.isSafeInteger(tokens)) {
    throw new MancipleError('REQUEST_INVALID', `inputTokens + n × maxOutputTokens: expected a whole number of tokens below 2^53, found ${tokens}`)
  }
  return { costNano: price.boundNano(inputTokens, outputTokens), tokens, requests: 1 }
}

/**
 * An upper bound of the input tokens of a prompt, from its size in UTF-8.
 *
 * A token of the text stands for at least one byte (byte-level BPE, or byte fallback). The chat format adds at most 8 tokens a message, the provider at most
 * 1,024 a request. `bytes` must count all text that is sent: system prompt, messages, tool definitions, schemas. It says nothing about images, audio, files
 * by URL, hosted tools or conversations that the provider stores.
 *
 * @example boundInputTokens(Buffer.byteLength(body), messages.length)
 */
export function boundInputTokens(bytes: number, messages: number): number {
  return bytes + messages * FRAMING_TOKENS_PER_MESSAGE + FRAMING_TOKENS_PER_REQUEST
}

import type { Usage } from '@manciple/core'
import type { Json } from './json.ts'

/** A provider's wire format, told by the path of its endpoint. */
export type FormatName = 'openai-chat' | 'openai-responses' | 'anthropic' | 'gemini' | 'embeddings'

/** What a request says of its size, and of what it needs. */
export interface WireRequest {
  readonly model: string
  readonly stream: boolean
  /** Messages in it, for the framing that chat formats add to each. */
  readonly messages: number
  /** What in it costs tokens that its bytes do not bound, such as an image; undefined where bytes bound all. */
  readonly unbounded: string | undefined
  /** What in it only its own provider has, such as a stored conversation; undefined where another could take it. */
  readonly tied: string | undefined
  /** As the client sent it; undefined where it did not. Per answer. */
  readonly maxOutputTokens: number | undefined
  /** A thinking budget; 0 where there is none. */
  readonly minOutputTokens: number
  readonly n: number
  /** Whether a model that gets it may write tokens that the answer does not show, such as hidden reasoning. */
  readonly hides: (model: string) => boolean
  readonly tools: boolean
  /** Whether the client itself asked that a stream tell its usage; true where a format's streams always do. */
  readonly asksForUsage: boolean
  /** Whether its input may be written to the provider's cache at a price of its own. */
  readonly writesCache: () => boolean
}

/** What one event of a stream tells. */
export interface StreamStep {
  /** Bytes that the model wrote: an upper bound of the tokens in this event. */
  readonly outputBytes: number
  /** All that has been used up to now, as far as the provider has said. Undefined where this event says nothing of it. */
  readonly usage?: Usage | undefined
  /** This is the end of a whole answer. */
  readonly ended?: boolean
  /** This is the provider's error. */
  readonly failed?: boolean
}

/** What is to be forced onto a request. */
export interface Orders {
  readonly model: string
  readonly maxOutputTokens: number
}

/** One wire format: all that is known of it, in pure functions. */
export interface WireFormat {
  readonly name: FormatName
  /** What follows a base URL in the paths of its endpoint. */
  readonly endpoint: RegExp
  /** Whether a body is of this format at all: other services have paths that end alike. */
  fits(body: Json): boolean
  /** @throws PluginError `REQUEST_INVALID` naming the field. */
  read(body: Json, path: string): WireRequest
  /** The request with the model and the output bound forced, and with what makes the provider report its usage. */
  rewrite(body: Json, orders: Orders): Json
  /** The path with the model forced, where the path names it. */
  rewritePath(path: string, model: string): string
  /** URL of the same endpoint under another base URL, as that format's own clients take one. @param path of the request, with its model forced. */
  urlUnder(base: string, path: string): string
  /** The usage of a whole answer; undefined where it is missing or contradicts itself. */
  usageOf(answer: unknown): Usage | undefined
  /** Bytes that the model wrote in a whole answer. */
  outputBytesOf(answer: unknown): number
  /** Reads the events of one stream, in order. */
  reader(): (event: Json) => StreamStep
  /** An error as this format's clients read it. */
  errorBody(error: { readonly status: number; readonly code: string; readonly message: string }): Json
}

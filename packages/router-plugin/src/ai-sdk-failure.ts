import {
  APICallError,
  InvalidArgumentError,
  InvalidPromptError,
  LoadAPIKeyError,
  LoadSettingError,
  NoSuchModelError,
  UnsupportedFunctionalityError,
} from '@ai-sdk/provider'
import { failureOfStatus } from './failure.ts'
import type { Failure } from './failure.ts'

/** Errors by which a model of the AI SDK says that it has sent nothing. */
const BEFORE_SENDING = [InvalidArgumentError, InvalidPromptError, LoadAPIKeyError, LoadSettingError, NoSuchModelError, UnsupportedFunctionalityError]

/** Codes of Node and undici for connections that failed: before they stood, or before an answer. A time-out while waiting for one is none of them. */
const CONNECTION: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'EPROTO',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_HAS_EXPIRED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** What an error that a model threw before its first token says of the call. What is not known to be unserved is `unknown`. */
export function failureOfAiSdk(error: unknown): Failure {
  if (BEFORE_SENDING.some((kind) => kind.isInstance(error))) return 'unserved'
  // An answer that began with status 200 was being served, whatever then cut it.
  if (APICallError.isInstance(error) && error.statusCode !== undefined) return failureOfStatus(error.statusCode)
  return isCut(error) ? 'unserved' : 'unknown'
}

/** Whether a connection failed: of a call that was being served, that its answer was cut. */
export function isCut(error: unknown): boolean {
  return codesOf(error).some((code) => CONNECTION.has(code))
}

/**
 * The same for an error that came as part of a stream, before its first token: a provider that says that it failed has served nothing.
 * What the SDK adds of its own accord, as for a line that it cannot read, says nothing of the provider.
 */
export function failureOfPart(error: unknown): Failure {
  if (APICallError.isInstance(error)) return failureOfAiSdk(error)
  return error instanceof Error ? 'unknown' : 'unserved'
}

function codesOf(error: unknown): string[] {
  const codes: string[] = []
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) if ('code' in at) codes.push(String(at.code))
  return codes
}

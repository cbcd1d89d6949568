/**
 * What an error of an upstream says of the call.
 * `rejected`: it answered that the request is at fault; nothing was served, and nobody else would serve it.
 * `unserved`: it answered with an error, or could not be reached; nothing was served.
 * `unknown`: it may have served the call, as after a time-out.
 */
export type Failure = 'rejected' | 'unserved' | 'unknown'

/** The host keeps only the message of an upstream's error; its own wording of a status is `OpenAI API Error (503): …`. */
const STATUS = /\b(?:API Error \(|status code )(\d{3})\b/

/** Connections that failed: before they stood, or before a first token. */
const CONNECTION =
  /\b(?:ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|EPROTO|CERT_\w+|self[- ]signed certificate|socket hang up|connect ETIMEDOUT)\b/i

/** Statuses by which a proxy says that it stopped waiting: the upstream may still have served the call. */
const TIMEOUTS: ReadonlySet<number> = new Set([408, 504, 524])

/** The request itself is at fault. Not 401, 403, 404 or 429, which speak of this upstream's key, models and quota. */
const REJECTED: ReadonlySet<number> = new Set([400, 413, 415, 422])

/** Only what is known not to have been served is free: an error of another kind, such as a time-out or an answer that cannot be read, is `unknown`. */
export function failureOf(message: string): Failure {
  const status = Number(STATUS.exec(message)?.[1])
  if (status >= 400) return failureOfStatus(status)
  return CONNECTION.test(message) ? 'unserved' : 'unknown'
}

/** The same by the HTTP status of the answer. One below 400 began to serve the call. */
export function failureOfStatus(status: number): Failure {
  if (status < 400 || TIMEOUTS.has(status)) return 'unknown'
  return REJECTED.has(status) ? 'rejected' : 'unserved'
}

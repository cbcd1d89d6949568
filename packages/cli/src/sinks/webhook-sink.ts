import { createHash, createHmac } from 'node:crypto'
import type { NoticeSink } from './notice-sink.ts'

/** How long the other side may take. */
const PATIENCE_MS = 10_000
/** Anything shorter can be guessed. */
const LEAST_SECRET = 16
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** Header of the signature: `v1=` and the HMAC-SHA256, in hex, of `<timestamp>.<body>` with the secret as key. */
const SIGNATURE_HEADER = 'x-manciple-signature'
/** Header of the time at which the notice was sent, in seconds since 1970: a receiver refuses what is old. */
const TIMESTAMP_HEADER = 'x-manciple-timestamp'
/** Header of the id of the notice: a receiver that has seen it takes it again and does nothing. */
const ID_HEADER = 'idempotency-key'

/**
 * Posts notices as JSON, signed. Anything but a 2xx within ten seconds is a failure; redirects are not followed.
 * @param address https, or http on this machine alone.
 * @throws Error where the address or the secret cannot be used.
 */
export function webhookSink(address: string, secret: string | undefined, secretName: string): NoticeSink {
  const url = checkAddress(address)
  if (secret === undefined || secret === '') throw new Error(`The environment has no ${secretName}: the secret that notices are signed with.`)
  if (secret.length < LEAST_SECRET) throw new Error(`${secretName} is too short: at least ${LEAST_SECRET} characters.`)
  return {
    name: url.origin,
    target: createHash('sha256').update(url.href).digest('hex'),
    async deliver({ id, notice }, signal) {
      const body = JSON.stringify({ id, ...notice })
      const timestamp = String(Math.floor(Date.now() / 1000))
      const response = await post(url, { body, timestamp, id, signature: signatureOf(secret, timestamp, body) }, signal)
      // What it says is of no interest, but unread it would keep the connection.
      await response.body?.cancel()
      if (!response.ok)
        throw new Error(`answered ${response.status}${response.status >= 300 && response.status < 400 ? ', and redirects are not followed' : ''}`)
    },
  }
}

/** `v1=…`, as it stands in {@link SIGNATURE_HEADER}. */
export function signatureOf(secret: string, timestamp: string, body: string): string {
  return `v1=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`
}

function checkAddress(address: string): URL {
  if (!URL.canParse(address)) throw new Error('The address of the webhook is no URL: it is to be https://…')
  const url = new URL(address)
  if (url.username !== '' || url.password !== '')
    throw new Error('The address of the webhook holds a user or a password, which would show in the list of processes.')
  if (url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname))) return url
  throw new Error(`The address of the webhook begins with ${url.protocol}//: it is to be https, or http on this machine alone.`)
}

interface Post {
  readonly body: string
  readonly timestamp: string
  readonly id: string
  readonly signature: string
}

async function post(url: URL, { body, timestamp, id, signature }: Post, signal: AbortSignal): Promise<Response> {
  const headers = { 'content-type': 'application/json', [TIMESTAMP_HEADER]: timestamp, [ID_HEADER]: id, [SIGNATURE_HEADER]: signature }
  try {
    return await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]) })
  } catch (error) {
    throw new Error(`could not be reached: ${reasonOf(error)}`, { cause: error })
  }
}

/** `fetch` says what happened in the cause of its error, which names the host and never the path. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return `no answer within ${PATIENCE_MS / 1000} s`
  return error.cause instanceof Error ? error.cause.message || ('code' in error.cause ? String(error.cause.code) : error.message) : error.message
}

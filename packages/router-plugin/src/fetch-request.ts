import { PluginError } from './contract.ts'
import type { NamedBackend } from './fetch-backends.ts'
import type { WireFormat } from './wire/format.ts'
import { isJson, parseJson } from './wire/json.ts'
import type { Json } from './wire/json.ts'

/** The arguments of a call of `fetch`. */
export type FetchInput = Parameters<typeof fetch>[0]
export type FetchInit = NonNullable<Parameters<typeof fetch>[1]>

/** A request to an endpoint that costs money. */
export interface PaidRequest {
  readonly url: URL
  readonly format: WireFormat
  /** UTF-8 bytes of the body. */
  readonly bytes: number
  readonly body: Json
  /** Without `x-manciple-…`, which only concern us. */
  readonly headers: Headers
  /** `x-manciple-…`, by name. */
  readonly taskHeaders: Readonly<Record<string, string>>
  readonly signal: AbortSignal | undefined
  /** What else was given to `fetch`: passed on as it is. */
  readonly init: FetchInit
}

export function urlOf(input: FetchInput): URL | undefined {
  const text = input instanceof Request ? input.url : String(input)
  return URL.canParse(text) ? new URL(text) : undefined
}

export function methodOf(input: FetchInput, init: FetchInit | undefined): string {
  return (init?.method ?? (input instanceof Request ? input.method : 'GET')).toUpperCase()
}

/**
 * Reads a request to an endpoint of a format.
 * @returns undefined where the body is not of that format: another service whose path ends alike.
 * @throws PluginError `REQUEST_INVALID` where a known backend is sent what is no JSON.
 */
export async function readRequest(
  input: FetchInput,
  init: FetchInit | undefined,
  url: URL,
  format: WireFormat,
  origin: NamedBackend | undefined,
): Promise<PaidRequest | undefined> {
  const text = await textOf(input, init)
  const body = text === undefined ? undefined : parseJson(text)
  if (!isJson(body)) {
    if (origin === undefined) return undefined
    throw new PluginError('REQUEST_INVALID', `The body of a request to ${origin.name} must be a JSON object in text, bytes or a blob; found something else.`)
  }
  if (text === undefined || !format.fits(body)) return undefined
  const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined))
  const taskHeaders = Object.fromEntries([...headers].filter(([name]) => name.startsWith('x-manciple-')))
  for (const name of [...Object.keys(taskHeaders), 'content-length']) headers.delete(name)
  const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined)
  const { body: _, headers: __, ...rest } = init ?? {}
  return {
    url,
    format,
    bytes: Buffer.byteLength(text),
    body,
    headers,
    taskHeaders,
    signal,
    init: { ...rest, method: 'POST', ...(signal === undefined ? {} : { signal }) },
  }
}

/** The text of a body that can be read again; a stream cannot. */
async function textOf(input: FetchInput, init: FetchInit | undefined): Promise<string | undefined> {
  const body = init?.body
  if (typeof body === 'string') return body
  if (body === undefined || body === null) return input instanceof Request ? input.clone().text() : undefined
  return body instanceof Blob || body instanceof ArrayBuffer || ArrayBuffer.isView(body) ? new Response(body).text() : undefined
}

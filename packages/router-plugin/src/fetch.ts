import type { Manciple } from '@manciple/core'
import { PluginError } from './contract.ts'
import { failureOf, failureOfStatus } from './failure.ts'
import type { Failure } from './failure.ts'
import { meteredResponse, withDecision } from './fetch-answer.ts'
import { FetchBackends } from './fetch-backends.ts'
import type { FetchBackend, NamedBackend } from './fetch-backends.ts'
import { Readings } from './fetch-readings.ts'
import { decisionHeader, refusalResponse } from './fetch-refusal.ts'
import { methodOf, readRequest, urlOf } from './fetch-request.ts'
import type { FetchInput, PaidRequest } from './fetch-request.ts'
import { routeOf } from './fetch-route.ts'
import type { Question, Routed, RouteTerms } from './fetch-route.ts'
import { formatOfPath } from './wire/formats.ts'

export type { FetchBackend } from './fetch-backends.ts'
export type { FormatName } from './wire/format.ts'

/** What budgeting needs of Manciple. */
export type FetchManciple = Pick<Manciple, 'decide' | 'observe'>

export interface BudgetedFetchOptions {
  /**
   * Backends of the policy, by name, and where they are. `claude`, `gpt`, `gemini` and `kimi` are known by their providers' own URLs,
   * `local` by Ollama's; name what is elsewhere, or takes rerouted calls.
   */
  readonly backends?: Readonly<Record<string, FetchBackend>>
  /** What the calls of this client are for, unless the headers `x-manciple-task-id`, `-task-type` and `-pinned` of a call say it. */
  readonly task?: { readonly taskId?: string; readonly taskType?: string; readonly pinned?: boolean }
  /**
   * Upper bound of the tokens that may come from what bytes do not bound: images, sounds, files, hosted tools, stored conversations. Held on top of what
   * bytes bound. Unless it is given, or the header `x-manciple-input-tokens`, such a call is refused with `INPUT_UNBOUNDED`.
   */
  readonly unboundedTokens?: number
  /** Whether a call that its backend failed before any token is decided again without it, among those that take its format. False unless given: SDKs try again by themselves. */
  readonly failover?: boolean
  /** A call of which nothing more is heard is settled after this much real time. Ten minutes unless given. Ms. */
  readonly callTimeoutMs?: number
  /** What calls go out by. The global `fetch`, unless given. */
  readonly fetch?: typeof fetch
  /** Told of every fault, and once of each endpoint that costs money and is not metered. Writes to stderr unless given. */
  readonly onError?: (error: unknown) => void
}

/**
 * A `fetch` under a budget, for any client that takes one. Recognises chat completions, responses, messages, embeddings and `generateContent`, and streams of
 * each; leaves everything else untouched. The usage is read as it passes, and no chunk waits for it.
 *
 * A call that nobody may take is answered with status 429 in the provider's own form. `x-manciple-decision` on each answer says where the call went.
 *
 * @throws PluginError `PLUGIN_CONFIG_INVALID`.
 * @example
 * const client = new OpenAI({ fetch: budgetedFetch(manciple, { task: { taskType: 'chat' } }) })
 */
export function budgetedFetch(manciple: FetchManciple, options: BudgetedFetchOptions = {}): typeof fetch {
  const { task = {}, unboundedTokens, failover = false, callTimeoutMs = 600_000, onError = report } = options
  const backends = new FetchBackends(options.backends ?? {})
  const send = options.fetch ?? fetch
  const terms: RouteTerms = { manciple, backends, task, unboundedTokens, callTimeoutMs, onError }
  const host: Host = { terms, send, failover, readings: new Readings(manciple, onError) }
  const unmetered = new Set<string>()

  return async (input, init) => {
    const url = urlOf(input)
    if (url === undefined || methodOf(input, init) !== 'POST') return send(input, init)
    const origin = backends.originOf(url)
    const format = formatOfPath(url.pathname)
    if (format === undefined) {
      if (origin !== undefined) tellUnmetered(origin, url, unmetered, onError)
      return send(input, init)
    }
    try {
      const sent = await readRequest(input, init, url, format, origin)
      if (sent === undefined) return await send(input, init)
      if (origin === undefined) throw new PluginError('BACKEND_UNCLEAR', `No backend is known at ${url.origin}${url.pathname}.`)
      return await attempt(host, sent, origin)
    } catch (error) {
      if (error instanceof PluginError) return refusalResponse(error, format, undefined)
      throw error
    }
  }
}

interface Host {
  readonly terms: RouteTerms
  readonly send: typeof fetch
  readonly failover: boolean
  readonly readings: Readings
}

/** Decides, sends, and where a backend fails and the host may, decides again without it. What the last backend said is what the caller gets. */
async function attempt(host: Host, sent: PaidRequest, origin: NamedBackend): Promise<Response> {
  const wire = sent.format.read(sent.body, sent.url.pathname)
  const failed = new Set<string>()
  const question = { sent, wire, origin, failed }
  let last: Sent | undefined
  for (;;) {
    sent.signal?.throwIfAborted()
    const route = await routeOf(host.terms, question)
    if ('error' in route) return last?.tell() ?? refusalResponse(route.error, sent.format, route.resetMs)
    if (sent.signal?.aborted === true) {
      route.call.release('the caller went away before the call')
      sent.signal.throwIfAborted()
    }
    last?.drop()
    last = await dispatched(host, question, route)
    if (last.final || !host.failover) return last.tell()
    failed.add(route.target.name)
  }
}

/** What became of one attempt. */
interface Sent {
  /** It is answered, or another backend would be told the same, or the backend may have served it all the same. */
  readonly final: boolean
  /** Hands on what the backend said, or throws what `fetch` threw. */
  tell(): Response
  /** Nobody will read it: frees its connection. */
  drop(): void
}

async function dispatched(host: Host, question: Question, route: Routed): Promise<Sent> {
  const { sent, wire } = question
  const { call, decision, target } = route
  const gone = (): boolean => sent.signal?.aborted === true
  let response: Response
  try {
    response = await host.send(...rewritten(question, route))
  } catch (error) {
    const failure = gone() ? 'unknown' : connectionFailure(error)
    if (failure === 'unknown') call.abandon(gone() ? 'aborted' : 'error')
    else call.release('the connection failed')
    const tell = (): Response => {
      throw error
    }
    return { final: failure === 'unknown', tell, drop() {} }
  }
  host.readings.take(target, response.headers)
  const header = decisionHeader(decision)
  const drop = (): void => void response.body?.cancel().catch(host.terms.onError)
  if (response.ok) {
    const metered = { call, format: sent.format, gone, asksForUsage: wire.asksForUsage }
    return { final: true, drop, tell: () => meteredResponse(response, metered, header) }
  }
  const failure = failureOfStatus(response.status)
  if (failure === 'unknown') call.abandon('error')
  else call.release(`the provider answered ${response.status}`)
  return { final: failure !== 'unserved', drop, tell: () => withDecision(response, response.body, header) }
}

/** Headers that belong to the account at which a call was aimed. */
const CREDENTIALS = /^(?:authorization|proxy-authorization|cookie|api-key|x-api-key|x-goog-.*|openai-.*|anthropic-(?!version$|beta$).*)$/

function rewritten({ sent, wire, origin }: Question, { decision, target, maxOutputTokens }: Routed): [FetchInput, RequestInit] {
  const { url, format, body, headers, init } = sent
  const { model = '' } = decision
  const text = JSON.stringify(format.rewrite(body, { model, maxOutputTokens }))
  const path = model === wire.model ? url.pathname : format.rewritePath(url.pathname, model)
  if (target === origin) return [`${url.origin}${path}${url.search}`, { ...init, headers, body: text }]
  const clean = new Headers([...headers].filter(([name]) => !CREDENTIALS.test(name)))
  if (target.apiKey !== undefined) clean.set('authorization', `Bearer ${target.apiKey}`)
  const search = new URLSearchParams(url.search)
  search.delete('key')
  return [`${format.urlUnder(target.url, path)}${search.size === 0 ? '' : `?${search}`}`, { ...init, headers: clean, body: text }]
}

/** `fetch` says "fetch failed"; what failed stands in the causes. */
function connectionFailure(error: unknown): Failure {
  const told: string[] = []
  for (let cause: unknown = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    if ('code' in cause && UNSERVED.has(cause.code)) return 'unserved'
    told.push('code' in cause ? String(cause.code) : '', cause.message)
  }
  return failureOf(told.join(' '))
}

/** undici's own codes for a connection that never stood, and for one that was closed before an answer. */
const UNSERVED: ReadonlySet<unknown> = new Set(['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_SOCKET'])

/** Endpoints of providers that cost nothing. */
const FREE = /\/(?:models|count_tokens|input_tokens|moderations|files|uploads(?:\/.*)?|cancel)$|:countTokens$/

function tellUnmetered({ name }: NamedBackend, { pathname }: URL, told: Set<string>, onError: (error: unknown) => void): void {
  if (FREE.test(pathname) || told.has(pathname) || told.size > 1000) return
  told.add(pathname)
  onError(new PluginError('ENDPOINT_UNMETERED', `${pathname} of ${name} is not metered.`))
}

function report(error: unknown): void {
  console.error('manciple:', error)
}

import type { DecideRequest, Decision, Dispatch, Manciple } from '@manciple/core'
import { boundInputTokens, MancipleError } from '@manciple/core'
import { Call } from './call.ts'
import { PluginError } from './contract.ts'
import { misfitOf } from './fetch-backends.ts'
import type { FetchBackends, NamedBackend } from './fetch-backends.ts'
import type { PaidRequest } from './fetch-request.ts'
import { readTaskHeaders } from './headers.ts'
import type { TaskHeaders } from './headers.ts'
import type { WireRequest } from './wire/format.ts'
import { checkWishedOutput } from './wished-output.ts'

/** What routing has to know beside the request. */
export interface RouteTerms {
  readonly manciple: Pick<Manciple, 'decide'>
  readonly backends: FetchBackends
  /** For requests that say nothing of their own in headers. */
  readonly task: { readonly taskId?: string; readonly taskType?: string; readonly pinned?: boolean }
  /** Tokens to hold for what bytes do not bound. Undefined: such requests are refused. */
  readonly unboundedTokens: number | undefined
  readonly callTimeoutMs: number
  readonly onError: (error: unknown) => void
}

/** A call that has its hold, and where it goes. */
export interface Routed {
  readonly call: Call
  readonly decision: Decision
  readonly target: NamedBackend
  /** As the hold pays for, and within what the target can do. */
  readonly maxOutputTokens: number
}

/** Nobody may take it: what the caller is told. */
export interface Refused {
  readonly error: PluginError
  readonly resetMs: number | undefined
}

/** One request, as often as it is tried. */
export interface Question {
  readonly sent: PaidRequest
  readonly wire: WireRequest
  /** The backend that it was aimed at. */
  readonly origin: NamedBackend
  /** Backends that have failed it. */
  readonly failed: ReadonlySet<string>
}

/** Decides where a request goes, among the backends that could take it as it stands. */
export async function routeOf(terms: RouteTerms, question: Question): Promise<Routed | Refused> {
  try {
    const { request, inputTokens } = requestOf(terms, question)
    const dispatch = await terms.manciple.decide(request)
    return await answerOf(terms, question, dispatch, inputTokens)
  } catch (error) {
    return { error: asPluginError(error, terms, question.origin), resetMs: undefined }
  }
}

function requestOf(
  { backends, task: defaults, unboundedTokens }: RouteTerms,
  { sent, wire, origin, failed }: Question,
): { request: DecideRequest; inputTokens: number } {
  const { taskHeaders, bytes, format } = sent
  const task = readTaskHeaders(taskHeaders)
  const inputTokens = task.inputTokens ?? boundOf(wire, bytes, unboundedTokens)
  const takers = wire.tied === undefined ? backends.takers(format, wire.tools) : []
  const { maxOutputTokens, minOutputTokens, n } = wire
  if (format.name !== 'embeddings') checkWishedOutput(maxOutputTokens)
  const request = {
    backend: origin.name,
    model: wire.model,
    inputTokens,
    candidates: [...new Set([origin.name, ...takers])].filter((name) => !failed.has(name)),
    ...namesOf(task, defaults),
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    ...(minOutputTokens === 0 ? {} : { minOutputTokens }),
    ...(n === 1 ? {} : { n }),
  }
  return { request, inputTokens }
}

function namesOf(task: TaskHeaders, defaults: RouteTerms['task']): Partial<DecideRequest> {
  const taskId = task.taskId ?? defaults.taskId
  const taskType = task.taskType ?? defaults.taskType
  const pinned = task.pinned || defaults.pinned === true
  return { ...(taskId === undefined ? {} : { taskId }), ...(taskType === undefined ? {} : { taskType }), ...(pinned ? { pinned } : {}) }
}

function boundOf({ unbounded, messages }: WireRequest, bytes: number, unboundedTokens: number | undefined): number {
  if (unbounded === undefined) return boundInputTokens(bytes, messages)
  if (unboundedTokens === undefined) throw new PluginError('INPUT_UNBOUNDED', `The request holds ${unbounded}.`)
  return boundInputTokens(bytes, messages) + unboundedTokens
}

async function answerOf(terms: RouteTerms, question: Question, dispatch: Dispatch, inputTokens: number): Promise<Routed | Refused> {
  const { wire, origin, failed } = question
  const { decision } = dispatch
  const { backend, hold, resetMs } = decision
  if (backend === undefined || hold === undefined) return refused('BUDGET_REFUSED', decision.reasons.join('; '), resetMs)
  const target = backend === origin.name ? origin : terms.backends.named(backend)
  const misfit = failed.has(backend) ? `${backend} has failed this call` : misfitOfDecision(terms, question, decision, target)
  if (target === undefined || misfit !== undefined) {
    await dispatch.release('the call cannot be made there as it stands')
    return refused(
      'REROUTE_IMPOSSIBLE',
      `${decision.reasons.join('; ')}. The call would go to ${decision.model} of ${backend}, but ${misfit ?? 'it cannot'}`,
      resetMs,
    )
  }
  const maxOutputTokens = Math.min(decision.maxOutputTokens, target.maxOutputTokens ?? Number.POSITIVE_INFINITY)
  const call = new Call({
    dispatch,
    id: hold,
    backend,
    inputTokens,
    outputBound: maxOutputTokens * wire.n,
    hiddenOutput: wire.hides(decision.model ?? wire.model),
    writesCache: wire.writesCache,
    timeoutMs: terms.callTimeoutMs,
    onFault: terms.onError,
  })
  return { call, decision, target, maxOutputTokens }
}

/** Why a call cannot be made as it was decided; undefined where it can. */
function misfitOfDecision(
  { backends }: RouteTerms,
  { sent: { format }, wire, origin }: Question,
  { backend = '', model }: Decision,
  target: NamedBackend | undefined,
): string | undefined {
  if (backend === origin.name && (model === wire.model || format.name !== 'embeddings')) return undefined
  if (target === undefined) return `\`backends\` of budgetedFetch does not say where it is; it has ${backends.names.join(', ')}`
  if (wire.tied !== undefined) return `only ${origin.name} has what the call asks for: ${wire.tied}`
  return misfitOf(target, format, wire.tools)
}

function refused(code: 'BUDGET_REFUSED' | 'REROUTE_IMPOSSIBLE', found: string, resetMs: number | undefined): Refused {
  const reset = resetMs === undefined ? '' : ` Cloud calls are possible again from ${new Date(resetMs).toISOString()}.`
  return { error: new PluginError(code, `${found}.${reset}`), resetMs }
}

/** What the caller is to blame for is told as it is; a fault of ours closes. */
function asPluginError(error: unknown, { onError }: RouteTerms, origin: NamedBackend): PluginError {
  if (error instanceof PluginError) return error
  const found = error instanceof MancipleError ? error.message.split('\n', 1).join('') : ''
  if (error instanceof MancipleError && error.code === 'REQUEST_INVALID') return new PluginError('REQUEST_INVALID', found, { cause: error })
  if (error instanceof MancipleError && error.code === 'BACKEND_UNKNOWN') return new PluginError('BACKEND_UNCLEAR', `${origin.url}: ${found}`, { cause: error })
  onError(error)
  return new PluginError('MANCIPLE_FAILED', 'The budget could not be checked.', { cause: error })
}

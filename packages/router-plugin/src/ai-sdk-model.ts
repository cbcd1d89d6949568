import type { LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4GenerateResult, LanguageModelV4StreamResult } from '@ai-sdk/provider'
import type { Manciple } from '@manciple/core'
import { Backends } from './ai-sdk-backends.ts'
import type { Abilities, BackendModels } from './ai-sdk-backends.ts'
import { failureOfAiSdk, isCut } from './ai-sdk-failure.ts'
import { readRequest, readTask } from './ai-sdk-request.ts'
import type { ModelRequest, TaskOptions } from './ai-sdk-request.ts'
import { nextAttempt } from './ai-sdk-route.ts'
import type { Attempt, Desk } from './ai-sdk-route.ts'
import { meteredStream, openingOf, StreamFailed } from './ai-sdk-stream.ts'
import { outputBytes, usageOfAiSdk } from './ai-sdk-usage.ts'
import type { Call } from './call.ts'
import { PluginError } from './contract.ts'

export interface MancipleRouterOptions {
  readonly manciple: Pick<Manciple, 'decide'>
  /**
   * The models, by backend of the policy: one, which the policy knows by its own id, or several by the policy's names for them.
   * @example { claude: anthropic('claude-sonnet-4-20250514'), gpt: { 'gpt-5': azure('my-deployment') }, local: ollama('llama3.1:8b') }
   */
  readonly backends: Readonly<Record<string, BackendModels>>
  /** What the models of a backend cannot do, so that a request is cut to fit them or goes elsewhere. */
  readonly abilities?: Readonly<Record<string, Abilities>>
  /** What holds for all calls; `providerOptions.manciple` of a call goes before it. */
  readonly task?: Omit<TaskOptions, 'inputTokens'>
  /** A call of which nothing more is heard is settled after this much real time. Ten minutes unless given. Ms. */
  readonly callTimeoutMs?: number
  /** Told of every fault of Manciple's; stderr unless given. A call goes on without its bill on disk, none goes out unchecked. */
  readonly onFault?: (error: unknown) => void
}

/** A language model for the AI SDK that bills. Disposing of it settles what is known of the calls still under way; Manciple itself stays open. */
export type BilledModel = LanguageModelV4 & AsyncDisposable

const CALL_TIMEOUT_MS = 600_000

export class RoutedModel implements BilledModel {
  readonly specificationVersion = 'v4'
  readonly provider: string
  readonly modelId: string
  readonly supportedUrls: LanguageModelV4['supportedUrls']
  readonly #desk: Desk
  readonly #task: TaskOptions

  constructor(options: MancipleRouterOptions) {
    checkTerms(options)
    const { manciple, abilities = {}, callTimeoutMs = CALL_TIMEOUT_MS, onFault = (error) => console.error('manciple:', error) } = options
    const backends = new Backends(options.backends, abilities)
    this.#desk = { manciple, backends, callTimeoutMs, onFault, open: new Set() }
    this.#task = readTask(options.task, 'task', 'PLUGIN_CONFIG_INVALID')
    const [only, ...others] = backends.all()
    const alone = others.length === 0 ? only?.sdk : undefined
    this.provider = alone?.provider ?? 'manciple'
    this.modelId = alone?.modelId ?? 'auto'
    // Where several may serve, the SDK fetches files itself: not every provider can.
    this.supportedUrls = alone?.supportedUrls ?? {}
  }

  async doGenerate(options: LanguageModelV4CallOptions): Promise<LanguageModelV4GenerateResult> {
    return this.#serve(options, async ({ call, target, options: forced, metadata }) => {
      const result = await target.sdk.doGenerate(forced)
      const usage = usageOfAiSdk(result.usage)
      if (usage === undefined) call.progress(outputBytes(result.content), undefined)
      call.answered(usage)
      return { ...result, providerMetadata: { ...result.providerMetadata, ...metadata } }
    })
  }

  async doStream(options: LanguageModelV4CallOptions): Promise<LanguageModelV4StreamResult> {
    return this.#serve(options, async (attempt) => {
      const result = await attempt.target.sdk.doStream(attempt.options)
      const reader = result.stream.getReader()
      const opening = await openingOf(reader)
      return { ...result, stream: meteredStream(reader, opening, attempt, options.abortSignal) }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const call of this.#desk.open) call.abandon('cut')
  }

  /** Tries the backends that the policy gives, until one has begun to answer. When none is left, the last provider's own error stands. */
  async #serve<T>(options: LanguageModelV4CallOptions, dispatch: (attempt: Attempt) => Promise<T>): Promise<T> {
    const request = readRequest(options, this.#task)
    const signal = options.abortSignal
    const failed = new Set<string>()
    let last: Failed | undefined
    for (;;) {
      signal?.throwIfAborted()
      const attempt = await this.#next(request, failed, last)
      if (signal?.aborted === true) attempt.call.release('the caller went away before the call')
      signal?.throwIfAborted()
      try {
        return await dispatch(attempt)
      } catch (error) {
        last = failedBy(error)
        end(attempt.call, last, signal)
        if (last.failure === 'rejected' || signal?.aborted === true) throw last.error
        failed.add(attempt.target.backend)
      }
    }
  }

  async #next(request: ModelRequest, failed: ReadonlySet<string>, last: Failed | undefined): Promise<Attempt> {
    if (last === undefined) return nextAttempt(this.#desk, request, failed)
    if (this.#desk.backends.names().every((backend) => failed.has(backend))) throw last.error
    try {
      return await nextAttempt(this.#desk, request, failed)
    } catch {
      throw last.error
    }
  }
}

/** What a provider threw, and what that says of the call. */
type Failed = Pick<StreamFailed, 'error' | 'failure'>

function failedBy(error: unknown): Failed {
  return error instanceof StreamFailed ? error : { error, failure: failureOfAiSdk(error) }
}

function end(call: Call, { error, failure }: Failed, signal: AbortSignal | undefined): void {
  if (failure !== 'unknown') call.release(`the provider failed: ${error instanceof Error ? error.name : 'an error in its stream'}`)
  else if (signal?.aborted === true) call.abandon('aborted')
  else call.abandon(isCut(error) ? 'cut' : 'error')
}

function checkTerms({ manciple, callTimeoutMs = 1 }: MancipleRouterOptions): void {
  if (typeof manciple?.decide !== 'function') throw new PluginError('PLUGIN_CONFIG_INVALID', 'manciple: expected what `openManciple` gives.')
  if (!(Number.isInteger(callTimeoutMs) && callTimeoutMs >= 1 && callTimeoutMs < 2 ** 31)) {
    throw new PluginError('PLUGIN_CONFIG_INVALID', `callTimeoutMs: expected a whole number of ms from 1 to ${2 ** 31 - 1}; found ${String(callTimeoutMs)}.`)
  }
}

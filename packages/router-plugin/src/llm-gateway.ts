import { acceleratedClock, boundInputTokens, openManciple } from '@manciple/core'
import type { MancipleOptions } from '@manciple/core'
import { ExtensionMetadata } from '@nullplatform/llm-gateway-sdk'
import type { ILLMPlugin, ILLMPluginResult, IRequestContext } from '@nullplatform/llm-gateway-sdk'
import type { Call } from './call.ts'
import { checkAgainstPolicy, parsePluginConfig } from './config.ts'
import type { PluginConfig } from './config.ts'
import { PluginError } from './contract.ts'
import { failureOf } from './failure.ts'
import { readTaskHeaders } from './headers.ts'
import { boundByBytes, joinUsage, outputBytes, usageOfOpenAi } from './wire/openai-chat.ts'
import { Router } from './plugin.ts'
import type { DecidingManciple, RouteRequest } from './plugin.ts'

type Open = (options: MancipleOptions) => Promise<DecidingManciple>

/** Keys of `plugin_data`, which lives through the hooks of one attempt. The attempt goes by its hold: `request_id` is the client's own and may repeat. */
const HOLD = 'manciple.hold'
const STREAMED_USAGE = 'manciple.usage'

/**
 * Manciple as a plugin of `@nullplatform/llm-gateway`, by the name `manciple` in its config.
 *
 * Give it the highest `priority`, 1000: it must see the request as it leaves, with all that other plugins add to it,
 * and the answer before they change it. Its own config is a {@link PluginConfig}. No hook throws, and only `beforeModel` waits for the disk.
 */
export class MancipleGatewayPlugin implements ILLMPlugin {
  readonly #open: Open
  /** Backends that have failed a request, by the headers object that all attempts at it share. */
  readonly #failed = new WeakMap<object, Set<string>>()
  #config: PluginConfig | undefined
  #router: Router | undefined

  /** @param open in place of `openManciple`, for tests. */
  constructor(open: Open = openManciple) {
    this.#open = open
  }

  /**
   * Opens the policy and the ledger. A mistake in either stops the gateway from starting.
   * @throws PluginError `PLUGIN_CONFIG_INVALID`. @throws MancipleError `CONFIG_…`, `LEDGER_…`.
   */
  async configure(input: unknown): Promise<void> {
    try {
      this.#config = parsePluginConfig(input)
      this.#router = await sharedRouter(this.#config, this.#open)
    } catch (error) {
      report(error)
      throw error
    }
  }

  async beforeModel(context: IRequestContext): Promise<ILLMPluginResult> {
    try {
      const router = this.#ready(context)
      const route = await router.route(routeRequest(context, this.#failed.get(context.headers)))
      if (route.kind === 'denied') return denied(route.error)
      if (route.kind === 'unmetered') return { success: true, context: { ...context, target_model: route.model } }
      context.plugin_data.set(HOLD, route.call.id)
      const request = { ...context.request, max_tokens: route.maxOutputTokens }
      return { success: true, context: { ...context, request, target_model: route.model } }
    } catch (error) {
      if (error instanceof PluginError) return denied(error)
      report(error)
      return denied(new PluginError('MANCIPLE_FAILED', 'The request could not be read.', { cause: error }))
    }
  }

  async onModelError(context: IRequestContext): Promise<ILLMPluginResult> {
    return { success: true, reevaluateRequest: this.#guard(() => this.#afterError(context)) ?? false }
  }

  async afterChunk(context: IRequestContext): Promise<ILLMPluginResult> {
    this.#guard(() => {
      this.#afterChunk(context)
    })
    return { success: true }
  }

  async afterModel(context: IRequestContext): Promise<ILLMPluginResult> {
    this.#guard(() => this.#call(context)?.answered(usageOfOpenAi(context.response?.usage)))
    return { success: true }
  }

  /** For an answer that another plugin kept from `afterModel`. */
  async detachedAfterResponse(context: IRequestContext): Promise<void> {
    this.#guard(() => this.#call(context)?.answered(usageOfOpenAi(context.response?.usage)))
  }

  #afterChunk(context: IRequestContext): void {
    const call = this.#call(context)
    if (call === undefined) return
    // The gateway's own sums turn nested counts into NaN: read the chunk itself. The last one is empty.
    const usage = joinUsage(context.plugin_data.get(STREAMED_USAGE), context.chunk?.usage)
    context.plugin_data.set(STREAMED_USAGE, usage)
    call.progress(outputBytes(context.chunk?.content), context.chunk?.usage === undefined ? undefined : usageOfOpenAi(usage))
    if (context.finalChunk === true) call.answered()
  }

  /** @returns whether the request should be tried elsewhere. */
  #afterError(context: IRequestContext): boolean {
    const call = this.#call(context)
    if (call === undefined) return false
    const message = context.error?.message ?? ''
    const failure = failureOf(message)
    const { streaming } = call
    if (streaming) call.abandon('cut')
    else if (failure === 'unknown') call.abandon('error')
    else call.release(message.slice(0, 200))
    // What has been streamed cannot be taken back, and asking on the last try leaves the client hanging.
    if (streaming || failure === 'rejected' || (context.retry_count ?? 0) + 1 >= (this.#config?.maxRetries ?? 1)) return false
    const failed = this.#failed.get(context.headers) ?? new Set()
    this.#failed.set(context.headers, failed.add(call.backend))
    return true
  }

  #call(context: IRequestContext): Call | undefined {
    const hold: unknown = context.plugin_data.get(HOLD)
    return typeof hold === 'string' ? this.#router?.call(hold) : undefined
  }

  #ready(context: IRequestContext): Router {
    if (this.#config === undefined || this.#router === undefined) throw new PluginError('PLUGIN_CONFIG_INVALID', 'The plugin has not been configured.')
    // The gateway would send a name that it does not know to its default model.
    const missing = [...this.#config.models.keys()].filter((name) => context.available_models?.includes(name) === false)
    if (missing.length > 0) throw new PluginError('PLUGIN_CONFIG_INVALID', `The gateway has no model ${missing.join(', ')}.`)
    return this.#router
  }

  #guard<T>(task: () => T): T | undefined {
    try {
      return task()
    } catch (error) {
      report(error)
      return undefined
    }
  }
}

ExtensionMetadata({ name: 'manciple', version: '0.1.0', description: 'Budgets that are never overshot, and quota that is used.' })(MancipleGatewayPlugin)

/** The gateway makes a plugin for each of its projects: those with the same config share one router, for a ledger has one writer. */
const routers = new Map<string, Promise<Router>>()

function sharedRouter(config: PluginConfig, open: Open): Promise<Router> {
  const key = JSON.stringify([config, ...config.models])
  const shared = routers.get(key) ?? openRouter(config, open)
  routers.set(key, shared)
  return shared
}

async function openRouter(config: PluginConfig, open: Open): Promise<Router> {
  const { clock, policy, ledger, models, callTimeoutMs } = config
  const localModels = checkAgainstPolicy(config)
  const manciple = await open({ config: policy, ledger, onError: report, ...(clock === undefined ? {} : { clock: acceleratedClock(clock) }) })
  const router = new Router({ manciple, models, localModels, callTimeoutMs, onFault: report })
  // Told to stop, the gateway leaves by process.exit at once.
  process.once('exit', () => {
    router.closeSync()
  })
  return router
}

function routeRequest(context: IRequestContext, failed: ReadonlySet<string> = new Set()): RouteRequest {
  const { request } = context
  const task = readTaskHeaders(context.headers)
  const body: Readonly<Record<string, unknown>> = context.httpRequest?.body ?? {}
  return {
    model: request.model,
    task,
    inputTokens: task.inputTokens ?? boundOfInput(context),
    maxOutputTokens: countOf('max_tokens', request.max_tokens ?? body['max_completion_tokens']),
    n: countOf('n', request.metadata?.custom?.['n']),
    failed,
  }
}

function boundOfInput({ request }: IRequestContext): number {
  if (!boundByBytes(request.messages)) throw new PluginError('INPUT_UNBOUNDED', 'The request holds more than text, such as an image, a sound or a file.')
  const bytes = Buffer.byteLength(JSON.stringify([request.messages, request.tools]))
  return boundInputTokens(bytes, request.messages.length)
}

function countOf(field: string, value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number') return value
  throw new PluginError('REQUEST_INVALID', `${field}: expected a whole number; found ${JSON.stringify(value).slice(0, 80)}.`)
}

/** The gateway puts `error.message` under `error` in its answer: an object there is what OpenAI's clients read. */
function denied({ code, status, message }: PluginError): ILLMPluginResult {
  const type = status === 429 ? 'insufficient_quota' : status < 500 ? 'invalid_request_error' : 'server_error'
  return { success: false, terminate: true, status, error: Object.assign(new Error(), { message: { message, type, code } }) }
}

/** The gateway gives its plugins no logger; its own goes to the same place. */
function report(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? `${String(error.code)}: ` : ''
  console.error(`manciple: ${code}${error instanceof Error ? error.message : String(error)}`)
}

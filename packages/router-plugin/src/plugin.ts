import type { DecideRequest, Decision, Dispatch, Manciple } from '@manciple/core'
import { MancipleError } from '@manciple/core'
import { Call } from './call.ts'
import { AUTO_MODEL, PluginError } from './contract.ts'
import type { HostModel } from './contract.ts'
import type { TaskHeaders } from './headers.ts'
import { mayHideReasoning } from './wire/openai.ts'
import { checkWishedOutput } from './wished-output.ts'

/** What a host asks for one attempt at one request. */
export interface RouteRequest {
  /** The host's model name, or `auto`. */
  readonly model: string
  readonly task: TaskHeaders
  /** Upper bound of the input, tokens. */
  readonly inputTokens: number
  /** As the client sent it; undefined where it did not. */
  readonly maxOutputTokens: number | undefined
  readonly n: number | undefined
  /** Backends that have failed this request. */
  readonly failed: ReadonlySet<string>
}

/**
 * `metered`: dispatch it to `model` with at most `maxOutputTokens`, and tell `call` what became of it.
 * `unmetered`: Manciple itself failed; only the local `model` may take it.
 * `denied`: answer the client.
 */
export type Route =
  | { readonly kind: 'metered'; readonly call: Call; readonly model: string; readonly maxOutputTokens: number }
  | { readonly kind: 'unmetered'; readonly model: string }
  | { readonly kind: 'denied'; readonly error: PluginError }

/** What routing needs of Manciple. */
export type DecidingManciple = Pick<Manciple, 'decide' | 'closeSync'>

export interface RouterOptions {
  readonly manciple: DecidingManciple
  /** Host's model name → backend and model of the policy. */
  readonly models: ReadonlyMap<string, HostModel>
  /** Host's names of local models. The first takes calls when Manciple itself fails. */
  readonly localModels: readonly string[]
  readonly callTimeoutMs: number
  /** Told of every fault; nothing fails silently. */
  readonly onFault: (error: unknown) => void
}

/** Manciple behind a router, whatever the host: routes each attempt and keeps those under way. */
export class Router {
  readonly #options: RouterOptions
  readonly #calls = new Map<string, Call>()

  constructor(options: RouterOptions) {
    this.#options = options
  }

  /** The call that holds this id, while it is under way. */
  call(id: string): Call | undefined {
    return this.#calls.get(id)
  }

  /** Never rejects: a fault goes to the local model, or denies. */
  async route(request: RouteRequest): Promise<Route> {
    try {
      return await this.#decide(request)
    } catch (error) {
      const denial = denialOf(error)
      if (denial !== undefined) return { kind: 'denied', error: denial }
      this.#options.onFault(error)
      const [localModel] = this.#options.localModels
      if (localModel !== undefined) return { kind: 'unmetered', model: localModel }
      return { kind: 'denied', error: new PluginError('MANCIPLE_FAILED', 'The budget could not be checked.', { cause: error }) }
    }
  }

  /** For a process that exits now: settles what is known of each call under way, and closes the ledger, in one blocking step. */
  closeSync(): void {
    for (const call of this.#calls.values()) call.abandon('cut')
    this.#options.manciple.closeSync()
  }

  /** Asks again without a backend that the host cannot reach, so each round leaves one out. */
  async #decide(request: RouteRequest): Promise<Route> {
    const out = new Set(request.failed)
    for (;;) {
      const dispatch = await this.#options.manciple.decide(this.#decideRequest(request, out))
      const { decision } = dispatch
      const { backend, model, hold } = decision
      if (backend === undefined || model === undefined || hold === undefined) return { kind: 'denied', error: refusal(decision) }
      const hostModel = this.#hostModel(request.model, backend, model)
      if (hostModel !== undefined && !out.has(backend)) {
        return { kind: 'metered', call: this.#open(request, dispatch, backend, hold), model: hostModel, maxOutputTokens: decision.maxOutputTokens }
      }
      await dispatch.release(hostModel === undefined ? 'the router has no such model' : 'the backend has failed this request')
      if (out.has(backend)) throw new PluginError('BACKENDS_FAILED', `Failed: ${[...out].join(', ')}.`)
      this.#options.onFault(new PluginError('PLUGIN_CONFIG_INVALID', `The policy chose ${model} of ${backend}, which \`models\` of the plugin does not name.`))
      out.add(backend)
    }
  }

  #open(request: RouteRequest, dispatch: Dispatch, backend: string, hold: string): Call {
    const { maxOutputTokens, model = '' } = dispatch.decision
    const call = new Call({
      dispatch,
      id: hold,
      backend,
      inputTokens: request.inputTokens,
      outputBound: maxOutputTokens * (request.n ?? 1),
      hiddenOutput: mayHideReasoning(model, undefined),
      timeoutMs: this.#options.callTimeoutMs,
      onEnd: ({ id }) => this.#calls.delete(id),
      onFault: this.#options.onFault,
    })
    this.#calls.set(hold, call)
    return call
  }

  #decideRequest(request: RouteRequest, out: ReadonlySet<string>): DecideRequest {
    const { task, n, maxOutputTokens } = request
    checkWishedOutput(maxOutputTokens)
    const backends = new Set([...this.#options.models.values()].map(({ backend }) => backend).filter((backend) => !out.has(backend)))
    return {
      ...this.#wish(request, out),
      ...(task.taskId === undefined ? {} : { taskId: task.taskId }),
      ...(task.taskType === undefined ? {} : { taskType: task.taskType }),
      ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
      ...(n === undefined ? {} : { n }),
      inputTokens: request.inputTokens,
      candidates: [...backends],
    }
  }

  /** What the request names. A backend that has failed is named still, and is no candidate. */
  #wish(request: RouteRequest, out: ReadonlySet<string>): Partial<DecideRequest> {
    const { model, task } = request
    if (model === AUTO_MODEL) return task.pinned ? { pinned: true } : {}
    const named = this.#options.models.get(model)
    if (named === undefined) {
      throw new PluginError('MODEL_UNKNOWN', `There is no model ${JSON.stringify(model)}; the models are ${[...this.#options.models.keys()].join(', ')}.`)
    }
    // What names a local backend stays there.
    if (out.has(named.backend) && this.#options.localModels.includes(model)) throw new PluginError('BACKENDS_FAILED', `Failed: ${named.backend}.`)
    return { ...named, pinned: task.pinned }
  }

  /** Two names of the host may stand for one model: the one asked for is kept. */
  #hostModel(asked: string, backend: string, model: string): string | undefined {
    const serves = (target: HostModel | undefined): boolean => target?.backend === backend && target.model === model
    if (serves(this.#options.models.get(asked))) return asked
    for (const [name, target] of this.#options.models) if (serves(target)) return name
    return undefined
  }
}

function refusal(decision: Decision): PluginError {
  const reset = decision.resetMs === undefined ? '' : ` Cloud calls are possible again from ${new Date(decision.resetMs).toISOString()}.`
  return new PluginError('BUDGET_REFUSED', `${decision.reasons.join('; ')}.${reset}`)
}

/** What the client is to blame for, or must be told; undefined for a fault of ours. */
function denialOf(error: unknown): PluginError | undefined {
  if (error instanceof PluginError) return error
  if (error instanceof MancipleError && error.code === 'REQUEST_INVALID') {
    return new PluginError('REQUEST_INVALID', error.message.split('\n', 1).join(''), { cause: error })
  }
  return undefined
}

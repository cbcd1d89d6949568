import type { LanguageModelV4Middleware } from '@ai-sdk/provider'
import { RoutedModel } from './ai-sdk-model.ts'
import type { BilledModel, MancipleRouterOptions } from './ai-sdk-model.ts'
import type { Abilities } from './ai-sdk-backends.ts'
import type { MeteredModel } from './ai-sdk-v3.ts'

export { BudgetRefusedError } from './ai-sdk-route.ts'
export type { Abilities, BackendModels } from './ai-sdk-backends.ts'
export type { BilledModel, MancipleRouterOptions } from './ai-sdk-model.ts'
export type { TaskOptions } from './ai-sdk-request.ts'
export type { MeteredModel } from './ai-sdk-v3.ts'

/**
 * A language model for the AI SDK that routes each call among these by Manciple's decision, forces the output that is held onto it, and bills it when it ends.
 * Where a provider fails before its first token, the next decision leaves it out. `providerMetadata.manciple` says what was decided.
 *
 * A call says what it is for in `providerOptions.manciple`, as {@link TaskOptions}.
 * @throws PluginError `PLUGIN_CONFIG_INVALID`. A call throws {@link BudgetRefusedError}, PluginError `REQUEST_INVALID`, `INPUT_UNBOUNDED`, `MANCIPLE_FAILED`,
 * or, when all that may serve it have failed, the last provider's own error.
 * @example
 * const model = mancipleRouter({ manciple, backends: { claude: anthropic('claude-sonnet-4-20250514'), local: ollama('llama3.1:8b') } })
 * const { text } = await generateText({ model, prompt, providerOptions: { manciple: { taskType: 'chat' } } })
 */
export function mancipleRouter(options: MancipleRouterOptions): BilledModel {
  return new RoutedModel(options)
}

export interface BudgetedOptions extends Pick<MancipleRouterOptions, 'manciple' | 'callTimeoutMs' | 'onFault'> {
  /** The backend of the policy whose budget this model draws on. */
  readonly backend: string
  /** The policy's name for the model; its own id unless given. */
  readonly model?: string
  /** Takes the call, for nothing, when the model may not: the policy's `local` backend. Without it, the call is refused. */
  readonly fallback?: MeteredModel
  /** What the fallback cannot do. */
  readonly fallbackAbilities?: Abilities
  /** What holds for all calls. */
  readonly task?: Omit<TaskFacts, 'backend' | 'model' | 'pinned'>
}

type TaskFacts = NonNullable<MancipleRouterOptions['task']>

/** The backend that a default policy calls local. */
const LOCAL = 'local'

/**
 * One model under its budget: its calls go out, go to the fallback, or are refused. It never goes to another paid model.
 * @throws PluginError `PLUGIN_CONFIG_INVALID`; a call throws as one of {@link mancipleRouter}.
 * @example const model = budgeted(anthropic('claude-sonnet-4-20250514'), { manciple, backend: 'claude' })
 */
export function budgeted(model: MeteredModel, options: BudgetedOptions): BilledModel {
  const { backend, model: name, fallback, fallbackAbilities, task, ...rest } = options
  return new RoutedModel({
    ...rest,
    backends: { [backend]: name === undefined ? model : { [name]: model }, ...(fallback === undefined ? {} : { [LOCAL]: fallback }) },
    ...(fallbackAbilities === undefined ? {} : { abilities: { [LOCAL]: fallbackAbilities } }),
    task: { ...task, backend, ...(name === undefined ? {} : { model: name }), pinned: true },
  })
}

/**
 * The same as middleware, for `wrapLanguageModel({ model, middleware: budgetMiddleware({ manciple, backend: 'claude' }) })` and for `wrapProvider`.
 * Put it last, next to the model: what other middleware adds to the request is then held as well.
 */
export function budgetMiddleware(options: BudgetedOptions): LanguageModelV4Middleware {
  return {
    specificationVersion: 'v4',
    wrapGenerate: ({ params, model }) => budgeted(model, options).doGenerate(params),
    wrapStream: ({ params, model }) => budgeted(model, options).doStream(params),
  }
}

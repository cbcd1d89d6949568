import type { LanguageModelV4 } from '@ai-sdk/provider'
import type { ModelRequest } from './ai-sdk-request.ts'
import { asV4 } from './ai-sdk-v3.ts'
import type { MeteredModel } from './ai-sdk-v3.ts'
import { PluginError } from './contract.ts'

/** What a model cannot do that others can. All optional: what is not said is not limited. */
export interface Abilities {
  /** The most that it writes; a longer wish is cut. Tokens. */
  readonly maxOutputTokens?: number
  /** `false`: it cannot call tools, so it is no candidate for a request that brings some. */
  readonly tools?: boolean
}

/** One model, by its own id, or several by the policy's names. */
export type BackendModels = MeteredModel | Readonly<Record<string, MeteredModel>>

/** A model of the caller's, and the backend and model of the policy that it stands for. */
export interface Target {
  readonly backend: string
  readonly model: string
  readonly sdk: LanguageModelV4
  readonly abilities: Abilities
}

/** The models that a router has, by backend. Never empty. */
export class Backends {
  readonly #targets = new Map<string, readonly Target[]>()

  /** @throws PluginError `PLUGIN_CONFIG_INVALID`. */
  constructor(backends: Readonly<Record<string, BackendModels>>, abilities: Readonly<Record<string, Abilities>>) {
    for (const [backend, models] of Object.entries(backends)) this.#targets.set(backend, targetsOf(backend, models, abilities[backend]))
    if (this.#targets.size === 0) throw misfit('backends: expected at least one backend; found none')
    for (const backend of Object.keys(abilities))
      if (!this.#targets.has(backend)) throw misfit(`abilities.${backend}: \`backends\` has ${this.names().join(', ')}`)
  }

  names(): string[] {
    return [...this.#targets.keys()]
  }

  all(): Target[] {
    return [...this.#targets.values()].flat()
  }

  /** The models of a backend, the caller's first choice first; none for a backend that the router does not have. */
  of(backend: string): readonly Target[] {
    return this.#targets.get(backend) ?? []
  }

  /**
   * The wish of a request, as the policy names it. A model alone stands for its first backend.
   * @throws PluginError `REQUEST_INVALID` for what the router does not have.
   */
  wish({ task }: ModelRequest): { readonly backend?: string; readonly model?: string } {
    const { backend, model } = task
    if (backend !== undefined && !this.#targets.has(backend)) {
      throw new PluginError('REQUEST_INVALID', `manciple.backend: there is no backend ${JSON.stringify(backend)}; this router has ${this.names().join(', ')}.`)
    }
    if (model === undefined) {
      const [only, ...others] = backend === undefined ? this.all() : this.of(backend)
      if (only !== undefined && others.length === 0) return { backend: only.backend, model: only.model }
      return backend === undefined ? {} : { backend }
    }
    const served = (backend === undefined ? this.all() : this.of(backend)).find((target) => target.model === model)
    if (served !== undefined) return { backend: served.backend, model }
    const known = (backend === undefined ? this.all() : this.of(backend)).map((target) => target.model)
    throw new PluginError('REQUEST_INVALID', `manciple.model: there is no model ${JSON.stringify(model)}; there are ${known.join(', ')}.`)
  }
}

function targetsOf(backend: string, models: BackendModels, abilities: Abilities = {}): readonly Target[] {
  const where = `backends.${backend}`
  const { maxOutputTokens } = abilities
  if (maxOutputTokens !== undefined && !(Number.isSafeInteger(maxOutputTokens) && maxOutputTokens > 0)) {
    throw misfit(`abilities.${backend}.maxOutputTokens: expected a whole number of tokens from 1; found ${String(maxOutputTokens)}`)
  }
  if (isModel(models)) return [{ backend, model: models.modelId, sdk: asV4(models, where), abilities }]
  if (typeof models !== 'object' || models === null) return [{ backend, model: '', sdk: asV4(models, where), abilities }]
  const named = Object.entries(models).map(([model, given]) => ({ backend, model, sdk: asV4(given, `${where}.${model}`), abilities }))
  if (named.length === 0) throw misfit(`${where}: expected at least one model; found none`)
  return named
}

function isModel(models: BackendModels): models is MeteredModel {
  return typeof models === 'object' && models !== null && 'specificationVersion' in models && typeof models.specificationVersion === 'string'
}

function misfit(found: string): PluginError {
  return new PluginError('PLUGIN_CONFIG_INVALID', `${found}.`)
}

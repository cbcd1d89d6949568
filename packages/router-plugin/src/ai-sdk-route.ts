import type { LanguageModelV4CallOptions, SharedV4ProviderMetadata } from '@ai-sdk/provider'
import type { CandidateRecord, DecideRequest, Decision, Dispatch, Manciple } from '@manciple/core'
import { MancipleError } from '@manciple/core'
import type { Backends, Target } from './ai-sdk-backends.ts'
import type { ModelRequest } from './ai-sdk-request.ts'
import { forcedOptions, mayHideOutput, thinkingOf, wantedOutput } from './ai-sdk-thinking.ts'
import { Call } from './call.ts'
import { PluginError } from './contract.ts'
import { checkWishedOutput } from './wished-output.ts'

/** What a route needs to know of its router. */
export interface Desk {
  readonly manciple: Pick<Manciple, 'decide'>
  readonly backends: Backends
  readonly callTimeoutMs: number
  readonly onFault: (error: unknown) => void
  /** Calls under way. */
  readonly open: Set<Call>
}

/** One attempt that may go out: to this model, with these options. */
export interface Attempt {
  readonly call: Call
  readonly target: Target
  readonly options: LanguageModelV4CallOptions
  /** What the caller is told of the decision, under `manciple`. */
  readonly metadata: SharedV4ProviderMetadata
}

/** A call that nobody may take, or, with `REROUTE_IMPOSSIBLE`, nobody that the budget has room for can. The SDK does not try it again. */
export class BudgetRefusedError extends PluginError {
  /** Words for people, the decisive one first. */
  readonly reasons: readonly string[]
  /** When a cloud backend could next take such a call; undefined where no limit stands in the way. */
  readonly resetsAt: Date | undefined

  constructor(code: 'BUDGET_REFUSED' | 'REROUTE_IMPOSSIBLE', reasons: readonly string[], resetMs: number | undefined) {
    const resetsAt = resetMs === undefined ? undefined : new Date(resetMs)
    super(code, `${reasons.join('; ')}.${resetsAt === undefined ? '' : ` Cloud calls are possible again from ${resetsAt.toISOString()}.`}`)
    this.reasons = reasons
    this.resetsAt = resetsAt
  }
}

/**
 * Decides one attempt, without the backends that have failed the request.
 * @throws BudgetRefusedError. @throws PluginError `REQUEST_INVALID`, `BACKENDS_FAILED`, `PLUGIN_CONFIG_INVALID`, `MANCIPLE_FAILED`.
 */
export async function nextAttempt(desk: Desk, request: ModelRequest, failed: ReadonlySet<string>): Promise<Attempt> {
  try {
    return await new Choice(desk, request, failed).make()
  } catch (error) {
    if (error instanceof PluginError) throw error
    const [found = ''] = error instanceof Error ? error.message.split('\n', 1) : []
    if (error instanceof MancipleError && error.code === 'REQUEST_INVALID') throw new PluginError('REQUEST_INVALID', found, { cause: error })
    if (error instanceof MancipleError && error.code === 'BACKEND_UNKNOWN')
      throw new PluginError('PLUGIN_CONFIG_INVALID', `backends: ${found}.`, { cause: error })
    desk.onFault(error)
    throw new PluginError('MANCIPLE_FAILED', 'The budget could not be checked.', { cause: error })
  }
}

/**
 * The policy names backends and models; the router may lack some of them, or have them without tools. What it cannot serve is released and asked for again,
 * each round with less to choose from, so it ends.
 */
class Choice {
  readonly #desk: Desk
  readonly #request: ModelRequest
  readonly #failed: ReadonlySet<string>
  /** Cloud backends that may be chosen. Core counts local ones in whatever is asked. */
  readonly #candidates: Set<string>
  readonly #thinkingTokens: number
  /** Models that were asked for by name in place of one that the router lacks, with the decision that chose their backend. */
  readonly #named = new Map<Target, Decision>()
  #wish: Pick<DecideRequest, 'backend' | 'model' | 'pinned'>
  /** Whether the cloud has been asked for alone, in place of a local model that cannot serve. */
  #cloudAlone = false

  constructor(desk: Desk, request: ModelRequest, failed: ReadonlySet<string>) {
    this.#desk = desk
    this.#request = request
    this.#failed = failed
    const fit = desk.backends.names().filter((backend) => !failed.has(backend) && desk.backends.of(backend).some((target) => serves(target, request)))
    this.#candidates = new Set(fit)
    this.#thinkingTokens = Math.max(...desk.backends.all().map(({ sdk }) => thinkingOf(request.options, sdk).tokens))
    const { pinned } = request.task
    this.#wish = { ...desk.backends.wish(request), ...(pinned === undefined ? {} : { pinned }) }
  }

  async make(): Promise<Attempt> {
    for (;;) {
      const dispatch = await this.#desk.manciple.decide(this.#decideRequest())
      const { decision } = dispatch
      const { backend, model, hold } = decision
      if (backend === undefined || model === undefined || hold === undefined) throw this.#refusal(decision)
      const target = this.#desk.backends.of(backend).find((one) => one.model === model)
      if (target !== undefined && this.#candidates.has(backend)) return this.#open(target, dispatch, hold)
      await dispatch.release(this.#candidates.has(backend) ? 'the router has no such model' : 'the router has no model of this backend for the request')
      if (this.#candidates.has(backend)) this.#nameAnother(backend, decision)
      else this.#cloudInstead(backend, decision)
    }
  }

  /** The policy chose a model that the router does not have: ask for one that it has, or leave the backend out. */
  #nameAnother(backend: string, decision: Decision): void {
    const other = this.#desk.backends.of(backend).find((target) => !this.#named.has(target) && serves(target, this.#request))
    if (other === undefined) {
      this.#candidates.delete(backend)
      return
    }
    this.#named.set(other, decision)
    this.#wish = { ...this.#wish, backend, model: other.model }
  }

  /** The policy chose a local backend that has failed, that the router lacks, or that has no tools: the best of the cloud has it, where there was room. */
  #cloudInstead(backend: string, decision: Decision): void {
    const outscored = decision.candidates.filter((candidate) => candidate.out === 'outscored' && this.#candidates.has(candidate.backend))
    const best = bestOf(outscored)
    if (best === undefined || this.#cloudAlone || this.#request.task.backend === backend) throw this.#noneLeft(backend, decision)
    this.#cloudAlone = true
    this.#wish = { backend: best.backend, model: best.model, pinned: true }
  }

  #noneLeft(backend: string, { reasons, resetMs }: Decision): PluginError {
    if (this.#failed.has(backend)) return new PluginError('BACKENDS_FAILED', `Failed: ${[...this.#failed].join(', ')}.`)
    if (this.#desk.backends.of(backend).length > 0) return this.#refusal({ reasons, resetMs })
    return this.#refusal({ reasons: [...reasons, `the router has no ${backend} model`], resetMs })
  }

  #refusal({ reasons, resetMs }: Pick<Decision, 'reasons' | 'resetMs'>): BudgetRefusedError {
    const { backends } = this.#desk
    const toolless = backends.names().filter((backend) => !backends.of(backend).some((target) => serves(target, this.#request)))
    if (toolless.length === 0) return new BudgetRefusedError('BUDGET_REFUSED', reasons, resetMs)
    return new BudgetRefusedError('REROUTE_IMPOSSIBLE', [...reasons, `${toolless.join(', ')} cannot call tools, and the request brings some`], resetMs)
  }

  #open(target: Target, dispatch: Dispatch, hold: string): Attempt {
    const { decision } = dispatch
    const { inputTokens, options } = this.#request
    const maxOutputTokens = Math.min(decision.maxOutputTokens, target.abilities.maxOutputTokens ?? Number.POSITIVE_INFINITY)
    const call = new Call({
      dispatch,
      id: hold,
      backend: target.backend,
      inputTokens,
      outputBound: decision.maxOutputTokens,
      hiddenOutput: mayHideOutput(options, target.sdk),
      timeoutMs: this.#desk.callTimeoutMs,
      onEnd: (ended) => this.#desk.open.delete(ended),
      onFault: this.#desk.onFault,
    })
    this.#desk.open.add(call)
    // The decision that chose the backend says why; the one that then asked for its model by name does not.
    const told = this.#named.get(target) ?? decision
    const metadata = this.#metadata(target, hold, decision, told, maxOutputTokens)
    return { call, target, options: forcedOptions(options, target.sdk, maxOutputTokens), metadata }
  }

  #metadata(target: Target, hold: string, decision: Decision, told: Decision, maxOutputTokens: number): SharedV4ProviderMetadata {
    const asked = wantedOutput(this.#request.options, this.#thinkingTokens)
    const isCut = asked !== undefined && maxOutputTokens < asked
    const { resetMs } = told
    return {
      manciple: {
        backend: target.backend,
        model: target.model,
        verdict: told.verdict,
        degraded: told.verdict === 'reroute' || lacksRoom(told) || isCut || this.#failed.size > 0,
        reasons: [...told.reasons, ...[...this.#failed].map((backend) => `${backend} failed`)],
        hold,
        heldNano: decision.estimateNano,
        maxOutputTokens,
        policy: decision.policy,
        ...(resetMs === undefined ? {} : { resetsAt: new Date(resetMs).toISOString() }),
      },
    }
  }

  #decideRequest(): DecideRequest {
    const { task, inputTokens, options } = this.#request
    const thinking = this.#thinkingTokens
    const maxOutputTokens = wantedOutput(options, thinking)
    checkWishedOutput(maxOutputTokens)
    return {
      ...this.#wish,
      inputTokens,
      candidates: [...this.#candidates],
      ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
      ...(thinking === 0 ? {} : { minOutputTokens: thinking + LEAST_ANSWER }),
      ...(task.taskId === undefined ? {} : { taskId: task.taskId }),
      ...(task.taskType === undefined ? {} : { taskType: task.taskType }),
      ...(task.tags === undefined ? {} : { tags: task.tags }),
    }
  }
}

/** What is left for the answer after the thinking. As core's own least output. */
const LEAST_ANSWER = 256

function serves({ abilities }: Target, request: ModelRequest): boolean {
  return abilities.tools !== false || !request.needsTools
}

/** Whether a free backend has it because no other had room: a decision for which nothing was asked is no reroute. */
function lacksRoom({ estimateNano, candidates }: Decision): boolean {
  return estimateNano === 0 && candidates.some(({ out }) => out === 'no-room')
}

/** Earlier ones win ties. */
function bestOf(candidates: readonly CandidateRecord[]): CandidateRecord | undefined {
  let best: CandidateRecord | undefined
  for (const candidate of candidates) if (best === undefined || candidate.score > best.score) best = candidate
  return best
}

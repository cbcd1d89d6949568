import { createNoopMeter, metrics, ProxyTracerProvider, trace } from '@opentelemetry/api'
import type { Meter } from '@opentelemetry/api'
import { MancipleError, nanoToUsd } from '@manciple/core'
import type { DecideRequest, Decision, Dispatch, LedgerEntry, Manciple, Outcome, Usage } from '@manciple/core'
import { createRecorder, observeBudget } from './metrics-instruments.ts'
import type { Recorder } from './metrics-instruments.ts'

export interface MetricsOptions {
  /** The global meter provider's, unless given. */
  readonly meter?: Meter
  /** Backend of the policy → `gen_ai.provider.name`. `claude`, `kimi`, `gpt` and `gemini` are known; any other is told by its own name. */
  readonly providers?: Readonly<Record<string, string>>
}

const NAME = '@manciple/router-plugin'

/**
 * The same Manciple, told to OpenTelemetry: tokens, durations and cost of each entry, each decision as a count and as an event of the active span,
 * and gauges of limits, utilization and pace. Give it to any host in place of the other.
 *
 * Register the OpenTelemetry SDK first. Where none is registered this is the Manciple that was given, and costs nothing. No prompt, task or reason is told.
 * @example const manciple = withMetrics(await openManciple({ config, ledger }))
 */
export function withMetrics(manciple: Manciple, { meter = metrics.getMeter(NAME), providers = {} }: MetricsOptions = {}): Manciple {
  if (meter === createNoopMeter() && !isTracing()) return manciple
  return new MeteredManciple(
    manciple,
    createRecorder(meter, providers),
    observeBudget(meter, () => manciple.budget()),
  )
}

function isTracing(): boolean {
  const provider = trace.getTracerProvider()
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer(NAME) !== undefined
}

class MeteredManciple implements Manciple {
  readonly #inner: Manciple
  readonly #recorder: Recorder
  readonly #stop: () => void
  readonly explain: Manciple['explain']
  readonly observe: Manciple['observe']
  readonly costs: Manciple['costs']
  readonly budget: Manciple['budget']
  readonly history: Manciple['history']
  readonly on: Manciple['on']

  constructor(inner: Manciple, recorder: Recorder, stop: () => void) {
    this.#inner = inner
    this.#recorder = recorder
    this.#stop = stop
    this.explain = (request) => inner.explain(request)
    this.observe = (backend, reading) => inner.observe(backend, reading)
    this.costs = () => inner.costs()
    this.budget = () => inner.budget()
    this.history = (query) => inner.history(query)
    this.on = (event, listener) => inner.on(event, listener)
  }

  async decide(request: DecideRequest): Promise<Dispatch> {
    const dispatch = await this.#inner.decide(request)
    this.#recorder.decided(dispatch.decision)
    tellSpan(dispatch.decision, request)
    return new MeteredDispatch(dispatch, this.#recorder)
  }

  async close(): Promise<void> {
    this.#stop()
    await this.#inner.close()
  }

  closeSync(): void {
    this.#stop()
    this.#inner.closeSync()
  }
}

class MeteredDispatch implements Dispatch {
  readonly decision: Decision
  readonly #inner: Dispatch
  readonly #recorder: Recorder
  #open: boolean

  constructor(inner: Dispatch, recorder: Recorder) {
    this.decision = inner.decision
    this.#inner = inner
    this.#recorder = recorder
    this.#open = inner.decision.hold !== undefined
  }

  async settle(outcome: Usage | Outcome): Promise<LedgerEntry> {
    const entry = await this.#ending(this.#inner.settle(outcome))
    this.#recorder.billed(entry)
    return entry
  }

  async release(reason: string): Promise<void> {
    await this.#ending(this.#inner.release(reason))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#open) await this.settle({})
  }

  /** Whatever comes of it ends the dispatch, but for a usage that was refused. */
  async #ending<T>(end: Promise<T>): Promise<T> {
    this.#open = false
    try {
      return await end
    } catch (error) {
      if (error instanceof MancipleError && error.code === 'USAGE_INVALID') this.#open = true
      throw error
    }
  }
}

function tellSpan({ verdict, backend, model, reasons, policy, estimateNano, maxOutputTokens }: Decision, { backend: requested }: DecideRequest): void {
  trace.getActiveSpan()?.addEvent('manciple.decision', {
    'manciple.verdict': verdict,
    ...(requested === undefined ? {} : { 'manciple.requested_backend': requested }),
    ...(backend === undefined ? {} : { 'manciple.backend': backend }),
    ...(model === undefined ? {} : { 'gen_ai.request.model': model }),
    'manciple.reasons': reasons.length,
    'manciple.held_usd': nanoToUsd(estimateNano),
    'manciple.max_output_tokens': maxOutputTokens,
    'manciple.policy': policy,
  })
}

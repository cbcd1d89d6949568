import type { LanguageModelV4, LanguageModelV4CallOptions } from '@ai-sdk/provider'
import { mayHideReasoning } from './wire/openai.ts'

/** Levels of `reasoning` as shares of the output that is allowed, as the AI SDK's own providers have them. */
const REASONING_SHARE = { minimal: 0.02, low: 0.1, medium: 0.3, high: 0.6, xhigh: 0.9, max: 0.95 } as const

/** The least thinking budget that Anthropic takes, and what its provider gives where thinking is on without one. */
const LEAST_THINKING = 1024

/** What the level of reasoning is a share of where the call sets no limit of its own. */
const USUAL_OUTPUT = 8192

/** Providers that add the thinking budget to `maxOutputTokens`, and where a call gives it. */
const ADDING = [
  { provider: 'anthropic', namespaces: ['anthropic'], field: 'thinking' },
  { provider: 'bedrock', namespaces: ['bedrock', 'amazonBedrock'], field: 'reasoningConfig' },
] as const

/**
 * The thinking budget that Anthropic's and Bedrock's providers add to `maxOutputTokens` on the wire: to be held, and to be kept out of what is forced. 0 for other providers.
 * A level of `reasoning` becomes a budget of the provider's own choice, a share of all that the model can write; it is made explicit here, so that the hold covers it.
 */
export function thinkingOf(options: LanguageModelV4CallOptions, model: LanguageModelV4): Thinking {
  const adding = ADDING.find(({ provider }) => model.provider.includes(provider))
  if (adding === undefined) return NO_THINKING
  const given = adding.namespaces.map((namespace) => options.providerOptions?.[namespace]?.[adding.field]).find((value) => value !== undefined)
  if (typeof given === 'object' && given !== null) {
    const { type, budgetTokens } = Object.fromEntries(Object.entries(given))
    if (type !== 'enabled') return NO_THINKING
    return { tokens: typeof budgetTokens === 'number' && budgetTokens > 0 ? Math.ceil(budgetTokens) : LEAST_THINKING, explicit: true }
  }
  return adding.provider === 'anthropic' ? thinkingOfLevel(options, model) : NO_THINKING
}

function thinkingOfLevel({ reasoning, maxOutputTokens = USUAL_OUTPUT, providerOptions }: LanguageModelV4CallOptions, model: LanguageModelV4): Thinking {
  const effort = providerOptions?.['anthropic']?.['effort']
  if (effort !== undefined || reasoning === undefined || reasoning === 'provider-default' || reasoning === 'none') return NO_THINKING
  if (!THINKS_BY_BUDGET.test(model.modelId)) return NO_THINKING
  return { tokens: Math.max(LEAST_THINKING, Math.round(REASONING_SHARE[reasoning] * maxOutputTokens)), explicit: false }
}

interface Thinking {
  readonly tokens: number
  /** Whether the call says it itself. */
  readonly explicit: boolean
}

const NO_THINKING = { tokens: 0, explicit: true } as const

/** Claude up to 4.5. Later models think within `max_tokens`. */
const THINKS_BY_BUDGET = /claude-(?:3|\w+-4(?![-.][6-9]\b))/

/** What a call asks for in all: its own limit and the thinking budget on top. Undefined leaves it to the policy. */
export function wantedOutput({ maxOutputTokens }: LanguageModelV4CallOptions, thinkingTokens: number): number | undefined {
  return thinkingTokens === 0 ? maxOutputTokens : (maxOutputTokens ?? USUAL_OUTPUT) + thinkingTokens
}

/** The call as it may go out: no more output than is held, thinking included. */
export function forcedOptions(options: LanguageModelV4CallOptions, model: LanguageModelV4, maxOutputTokens: number): LanguageModelV4CallOptions {
  const { tokens, explicit } = thinkingOf(options, model)
  const forced = { ...options, maxOutputTokens: Math.min(options.maxOutputTokens ?? Number.POSITIVE_INFINITY, Math.max(1, maxOutputTokens - tokens)) }
  if (explicit) return forced
  const anthropic = { ...options.providerOptions?.['anthropic'], thinking: { type: 'enabled', budgetTokens: tokens } }
  return { ...forced, providerOptions: { ...options.providerOptions, anthropic } }
}

/** Options by which a provider is asked to reason. */
const REASONING_OPTIONS: ReadonlySet<string> = new Set(['thinking', 'thinkingConfig', 'reasoning', 'reasoningConfig', 'reasoningEffort', 'effort'])

/** Whether the model may write what its stream does not show: then the bytes of a stream that was cut do not bound its output. */
export function mayHideOutput({ reasoning, providerOptions }: LanguageModelV4CallOptions, model: LanguageModelV4): boolean {
  if (reasoning === 'none') return false
  const asked = Object.values(providerOptions ?? {}).some((given) => Object.keys(given).some((key) => REASONING_OPTIONS.has(key)))
  return asked || (reasoning !== undefined && reasoning !== 'provider-default') || mayHideReasoning(model.modelId, undefined)
}

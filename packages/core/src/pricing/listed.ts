import { calcPrice, findProvider, type MatchLogic } from '@pydantic/genai-prices'

/** Providers of the price list that people have accounts with: what a misspelt one is compared with. The list takes other names for some, such as `bedrock` for `aws`. */
export const PROVIDERS: readonly string[] = [
  'anthropic',
  'openai',
  'google',
  'moonshotai',
  'azure',
  'aws',
  'openrouter',
  'mistral',
  'deepseek',
  'x-ai',
  'groq',
  'cohere',
  'together',
  'fireworks',
  'cerebras',
  'perplexity',
  'minimax',
  'zai',
  'cloudflare',
]

/** Whether the price list knows the provider by this name. */
export function isListedProvider(provider: string): boolean {
  return provider !== '' && findProvider({ providerId: provider }) !== undefined
}

/** Whether the price list has the provider's model, at whatever price and time. */
export function isListedModel(provider: string, model: string): boolean {
  return calcPrice({}, model, { providerId: provider }) !== null
}

/** Names that the price list gives a provider's models, of which a few are no more than the beginning of one. */
export function listedModels(provider: string): readonly string[] {
  return (findProvider({ providerId: provider })?.models ?? []).flatMap(({ id, match }) => [id, ...namesIn(match)])
}

function namesIn(match: MatchLogic): readonly string[] {
  if ('or' in match) return match.or.flatMap(namesIn)
  return 'equals' in match ? [match.equals] : []
}

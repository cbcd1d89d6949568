import type { PriceOverride } from '../pricing/price-book.ts'
import { isListedModel, isListedProvider, listedModels, PROVIDERS } from '../pricing/listed.ts'
import { nearest } from '../nearest.ts'
import { builtInModels, type DeclaredBackend } from './backends.ts'
import { oneLine } from './issues.ts'
import type { Tree } from './tree.ts'

/** Each is looked for in the price list, which takes its time. Nobody has more. */
const MAX_MODELS = 1_000

/** Adds a mistake for each provider that the price list does not have, unless all models of its backend have prices of their own. */
export function checkProviders(tree: Tree, backends: readonly DeclaredBackend[], prices: ReadonlyMap<string, PriceOverride>): void {
  for (const { name, provider, models } of backends) {
    const unpriced = models.find((model) => !prices.has(model))
    if (tree.isFull || provider === undefined || unpriced === undefined || isListedProvider(provider)) continue
    const meant = nearest(provider, PROVIDERS)
    tree.add(['backends', name, 'provider'], {
      message: `The price list has no provider \`${oneLine(provider)}\``,
      expected: `one that it has, like ${PROVIDERS.slice(0, 7).join(', ')}; or a price under \`prices:\` for each model`,
      hint: meant === undefined ? `add \`${oneLine(unpriced)}\` under \`prices:\`` : `did you mean \`${meant}\`?`,
    })
  }
}

/** Adds advice for each model of a backend that has no price: what is unknown is never taken for free, so it gets no calls. */
export function adviseOnUnpriced(tree: Tree, backends: readonly DeclaredBackend[], prices: ReadonlyMap<string, PriceOverride>): void {
  const places = backends.flatMap(({ name, provider, models }) =>
    provider === undefined ? [] : models.map((model, index) => ({ path: ['backends', name, 'models', index], provider, model })),
  )
  for (const { path, provider, model } of places.slice(0, MAX_MODELS)) {
    if (tree.isAdviceFull || prices.has(model) || isListedModel(provider, model)) continue
    const meant = nearestModel(model, [...builtInModels(provider), ...listedModels(provider)])
    tree.advise(path, {
      message: `The price of the model \`${oneLine(model)}\` is unknown: every call to it will be refused`,
      expected: `a model that the price list has for ${oneLine(provider)}, or a price under \`prices:\``,
      ...(meant !== undefined && isListedModel(provider, meant) && { hint: `did you mean \`${meant}\`?` }),
    })
  }
}

/** Names that differ in their dates are of one model. */
function nearestModel(model: string, listed: readonly string[]): string | undefined {
  const undated = (name: string): string => name.replace(/-\d{4,8}$/, '')
  const meant = nearest(model, listed) ?? nearest(undated(model), listed.map(undated))
  return listed.find((name) => name === meant || undated(name) === meant)
}

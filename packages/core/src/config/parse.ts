import type { Limit } from '../limit.ts'
import type { Floors, Origin, Policy } from '../policy/policy.ts'
import type { PriceOverride } from '../pricing/price-book.ts'
import { isZone } from '../windows.ts'
import { adviseOn } from './advice.ts'
import { checkBackendName, readBackends, type DeclaredBackend } from './backends.ts'
import { oneLine, sortIssues, withoutByteOrderMark, type Issue } from './issues.ts'
import { readLimits, withQuotas, type DeclaredLimit } from './limits.ts'
import { addFormMistakes } from './mistakes.ts'
import { nearest } from '../nearest.ts'
import { outlineOf } from './outline.ts'
import { readRules } from './rules.ts'
import { backendKey, budgetsSchema, priceSchema, sections } from './schema.ts'
import { entriesOf, fieldOf, sound } from './sections.ts'
import { readSyntax } from './syntax.ts'
import { adviseOnUnpriced, checkProviders } from './unpriced.ts'
import { Tree, type Mistake, type Path } from './tree.ts'

/** A policy with advice on it, or everything that is wrong with its file. Issues come in the order of the file. */
export type Parsed =
  | { readonly ok: true; readonly policy: Policy; readonly advice: readonly Issue[] }
  | { readonly ok: false; readonly issues: readonly Issue[] }

/**
 * Reads a policy file. A file with any mistake gives no policy.
 *
 * Defaults: timezone UTC; the built-in backends; `warning_threshold` 0.8; `hard_stop` true; floors 0.5, 0.7 and 0.1; `max_output_tokens` 8192.
 *
 * @param version names this text in decisions and in the ledger: see `policyVersion`.
 * @example parsePolicy('budgets: { daily_limit_usd: 5.00 }', policyVersion(text))
 */
export function parsePolicy(text: string, version: string): Parsed {
  const syntax = readSyntax(withoutByteOrderMark(text))
  if (!syntax.ok) return { ok: false, issues: sortIssues(syntax.issues) }
  const tree = new Tree(syntax.root, syntax.lines)
  const file = tree.value()
  addFormMistakes(tree, file)
  if (tree.isFull) return { ok: false, issues: sortIssues(tree.issues) }
  const backends = readBackends(tree, fieldOf(file, 'backends'))
  const declared = readLimits(tree, file, backends)
  const timezone = readTimezone(tree, file)
  const preferences = readPreferences(tree, fieldOf(file, 'preferences'), backends)
  const prices = readPrices(tree, fieldOf(file, 'prices'), backends)
  checkProviders(tree, backends, prices)
  const rules = readRules(tree, fieldOf(file, 'rules'), backends, declared)
  const budgets = fieldOf(file, 'budgets')
  const policy: Policy = {
    version,
    text,
    timezone,
    backends: withQuotas(tree, backends, declared),
    limits: declared.map(({ limit }): Limit => limit),
    warningThreshold: sound(budgetsSchema.shape.warning_threshold, fieldOf(budgets, 'warning_threshold')) ?? 0.8,
    hardStop: sound(budgetsSchema.shape.hard_stop, fieldOf(budgets, 'hard_stop')) ?? true,
    floors: readFloors(fieldOf(file, 'floors')),
    preferences,
    prices,
    maxOutputTokens: sound(sections.max_output_tokens, fieldOf(file, 'max_output_tokens')) ?? 8192,
    rules,
    origins: readOrigins(tree, file, declared),
  }
  if (tree.issues.length > 0) return { ok: false, issues: sortIssues(tree.issues) }
  adviseOn(tree, backends, declared, prices, rules)
  adviseOnUnpriced(tree, backends, prices)
  return { ok: true, policy: { ...policy, outline: outlineOf(text, syntax.root, file) }, advice: sortIssues(tree.advice) }
}

function readTimezone(tree: Tree, file: unknown): string {
  const timezone = sound(sections.timezone, fieldOf(file, 'timezone'))
  if (timezone !== undefined && !isZone(timezone)) {
    const meant = nearest(timezone, Intl.supportedValuesOf('timeZone'))
    tree.add(['timezone'], {
      message: 'There is no such time zone',
      expected: 'the IANA name of a time zone, like America/New_York or UTC',
      hint: meant === undefined ? 'names are Region/City; offsets like +02:00 know no daylight saving' : `did you mean ${meant}?`,
    })
  }
  return timezone ?? 'UTC'
}

function readOrigins(tree: Tree, file: unknown, declared: readonly DeclaredLimit[]): ReadonlyMap<string, Origin> {
  const places = declared.map(({ limit, path }): readonly [string, Path] => [limit.name, path])
  const floors = entriesOf(fieldOf(file, 'floors')).map(([key]): readonly [string, Path] => [`floors.${key}`, ['floors', key]])
  return new Map([...places, ...floors].map(([name, path]) => [name, tree.origin(path)]))
}

function readFloors(section: unknown): Floors {
  const { backend = 0.5, total = 0.7, low_remaining: lowRemaining = 0.1 } = sound(sections.floors, section) ?? {}
  return { backend, total, lowRemaining }
}

function readPreferences(tree: Tree, section: unknown, backends: readonly DeclaredBackend[]): Policy['preferences'] {
  const preferences = new Map<string, ReadonlyMap<string, number>>()
  const isBackend = (name: string): boolean => backends.some((backend) => backend.name === name)
  for (const [taskType, suitabilities] of entriesOf(section)) {
    for (const [backend, suitability] of entriesOf(suitabilities)) {
      const path = ['preferences', taskType, backend]
      if (isBackend(taskType) && !isBackend(backend)) tree.add(path, swapped(taskType, backend, suitability))
      else if (sound(backendKey, backend) !== undefined) checkBackendName(tree, path, backend, backends, 'key')
    }
    preferences.set(taskType, new Map(Object.entries(sound(sections.preferences.valueType, suitabilities) ?? {})))
  }
  return preferences
}

function swapped(backend: string, taskType: string, suitability: unknown): Mistake {
  return {
    message: `\`${backend}\` is a backend, and stands where a task type does`,
    found: `${oneLine(taskType)} under ${backend}`,
    expected: 'task types first, and backends under each',
    ...(typeof suitability === 'number' && { hint: `write ${oneLine(taskType)}: { ${backend}: ${suitability} }` }),
    at: 'key',
  }
}

function readPrices(tree: Tree, section: unknown, backends: readonly DeclaredBackend[]): ReadonlyMap<string, PriceOverride> {
  const prices = new Map<string, PriceOverride>()
  const local = new Set(backends.flatMap(({ kind, models }) => (kind === 'local' ? models : [])))
  for (const [model, value] of entriesOf(section)) {
    const wire = sound(priceSchema, value)
    const serving = local.has(model) ? backends.filter((backend) => backend.models.includes(model)) : []
    if (serving.length > 0 && serving.every(({ kind }) => kind === 'local') && wire !== 'free') {
      tree.add(['prices', model], {
        message: `The model \`${model}\` of a local backend has a price`,
        expected: 'no price: local calls cost nothing',
        hint: `remove the price, or make \`${serving[0]?.name}\` a cloud backend`,
        at: 'key',
      })
    }
    if (wire !== undefined) prices.set(model, toPrice(wire))
  }
  return prices
}

function toPrice(wire: NonNullable<ReturnType<typeof priceSchema.parse>>): PriceOverride {
  if (wire === 'free') return 'free'
  const { input_mtok: inputMtok, output_mtok: outputMtok, cache_read_mtok: cacheReadMtok, cache_write_mtok: cacheWriteMtok } = wire
  return { inputMtok, outputMtok, ...(cacheReadMtok !== undefined && { cacheReadMtok }), ...(cacheWriteMtok !== undefined && { cacheWriteMtok }) }
}

import type { Amount, BackendKind } from '../limit.ts'
import { isAnchored } from '../windows.ts'
import { formatWindow } from '../window-text.ts'
import { parseAmount } from './amount.ts'
import { nearest } from '../nearest.ts'
import { backendSchema } from './schema.ts'
import { entriesOf } from './sections.ts'
import { formatPath, type Path, type Tree } from './tree.ts'

/** A backend as declared, before its limits have names. */
export interface DeclaredBackend {
  readonly name: string
  readonly kind: BackendKind
  readonly provider: string | undefined
  readonly models: readonly string[]
  readonly quota: Amount | undefined
  /** What the plan costs, in a window of its own choice. */
  readonly paid: Amount | undefined
  readonly limits: readonly { readonly amount: Amount; readonly path: Path }[]
}

interface BuiltIn {
  readonly kind: BackendKind
  readonly provider: string | undefined
  readonly models: readonly string[]
}

/** What a file need not say of the backends that everybody has. */
const BUILT_IN: ReadonlyMap<string, BuiltIn> = new Map<string, BuiltIn>([
  ['claude', { kind: 'cloud', provider: 'anthropic', models: ['claude-sonnet-4-20250514', 'claude-opus-4-8', 'claude-haiku-4-5'] }],
  ['kimi', { kind: 'cloud', provider: 'moonshotai', models: ['kimi-k2'] }],
  ['gpt', { kind: 'cloud', provider: 'openai', models: ['gpt-5', 'gpt-5-mini'] }],
  ['gemini', { kind: 'cloud', provider: 'google', models: ['gemini-2.5-pro', 'gemini-2.5-flash'] }],
  ['local', { kind: 'local', provider: undefined, models: ['llama3.1:8b'] }],
])

export const BUILT_IN_NAMES: readonly string[] = [...BUILT_IN.keys()]

const DEFAULT_BACKENDS: readonly DeclaredBackend[] = [...BUILT_IN].map(([name, builtIn]) => ({
  name,
  ...builtIn,
  quota: undefined,
  paid: undefined,
  limits: [],
}))

/** First parts of the names of facts and of shorthand limits, which a backend or limit must not take. */
export const RESERVED_NAMES: readonly string[] = ['all', 'backend', 'total']

/** The backends of a file: exactly those under `backends:`, or the built-in ones where it has none. */
export function readBackends(tree: Tree, section: unknown): readonly DeclaredBackend[] {
  if (section === undefined) return DEFAULT_BACKENDS
  const entries = entriesOf(section)
  if (entries.length === 0)
    tree.add(['backends'], { message: 'There are no backends', expected: 'at least one, like `claude: {}`', hint: 'remove the key to have the built-in ones' })
  return entries.map(([name, value]) => readBackend(tree, name, value))
}

function readBackend(tree: Tree, name: string, value: unknown): DeclaredBackend {
  const path: Path = ['backends', name]
  if (RESERVED_NAMES.includes(name)) {
    tree.add(path, {
      message: `A backend cannot be called \`${name}\``,
      found: name,
      expected: `another name than ${RESERVED_NAMES.join(', ')}, which facts and limits use`,
      at: 'key',
    })
  }
  const builtIn = BUILT_IN.get(name)
  const parsed = backendSchema.safeParse(value)
  // Its mistakes of form are known by now. The name stays, so that what refers to it is not called unknown.
  if (!parsed.success) return { name, kind: builtIn?.kind ?? 'cloud', provider: undefined, models: [], quota: undefined, paid: undefined, limits: [] }
  const wire = parsed.data
  const kind = wire.kind ?? builtIn?.kind ?? 'cloud'
  // A known name with another kind is another backend: nothing of the built-in one fits it.
  const known = builtIn?.kind === kind ? builtIn : undefined
  const provider = wire.provider ?? known?.provider
  if (kind === 'local' && wire.provider !== undefined) {
    tree.add([...path, 'provider'], {
      message: `The local backend \`${name}\` has a provider`,
      expected: 'no provider: local calls cost nothing',
      hint: 'remove the key, or remove `kind: local`',
    })
  }
  if (kind === 'cloud' && provider === undefined) {
    tree.add(path, {
      message: `\`${formatPath(path)}.provider\` is missing`,
      found: 'no provider',
      expected: 'whose price list applies: anthropic, openai, google, moonshotai …',
      at: 'key',
      ...builtInHint(name),
    })
  }
  const models = wire.models ?? known?.models ?? []
  if (models.length === 0)
    tree.add(path, {
      message: `\`${formatPath(path)}.models\` is missing`,
      found: 'no models',
      expected: 'a list of models; the first is the default',
      at: 'key',
      ...builtInHint(name),
    })
  addRepeats(tree, [...path, 'models'], models)
  const quota = wire.quota === undefined ? undefined : readQuota(tree, [...path, 'quota'], wire.quota)
  const limits = (wire.limits ?? []).flatMap((text, index) => {
    const at: Path = [...path, 'limits', index]
    const amount = readAmount(tree, at, text)
    return amount === undefined ? [] : [{ amount, path: at }]
  })
  const paid = wire.paid === undefined ? undefined : readPaid(tree, [...path, 'paid'], wire.paid)
  return { name, kind, provider: kind === 'local' ? undefined : provider, models, quota, paid, limits }
}

function readQuota(tree: Tree, path: Path, text: string): Amount | undefined {
  const amount = readAmount(tree, path, text)
  if (amount === undefined || isAnchored(amount.window)) return amount
  tree.add(path, {
    message: 'A quota cannot be in a rolling window',
    expected: 'a window that begins and ends: day, week, month, quarter, year or one @first-use',
    hint: `a rolling window never lapses, so nothing in it can be left unused; did you mean ${formatWindow({ kind: 'first-use', spanMs: spanOf(amount) })}?`,
  })
  return undefined
}

function spanOf({ window }: Amount): number {
  return window.kind === 'rolling' ? window.spanMs : 0
}

function readPaid(tree: Tree, path: Path, text: string): Amount | undefined {
  const paid = readAmount(tree, path, text)
  if (paid === undefined) return undefined
  if (paid.unit !== 'usd') tree.add(path, { message: 'What a plan costs is not in US dollars', expected: 'US dollars, like 200.00/month' })
  else if (!isAnchored(paid.window))
    tree.add(path, { message: 'A plan is not paid for in a rolling window', expected: 'US dollars per day, week, month, quarter or year' })
  return paid
}

/** The amount at a path, or undefined with its problem added. Texts that the schema refused were reported before. */
export function readAmount(tree: Tree, path: Path, text: string): Amount | undefined {
  const amount = parseAmount(text)
  if (!('problem' in amount)) return amount
  tree.add(path, {
    message: `\`${formatPath(path)}\`: ${amount.problem}`,
    expected: amount.expected,
    ...(amount.hint !== undefined && { hint: amount.hint }),
  })
  return undefined
}

/**
 * Adds a mistake where the policy has no such backend: a slip of the pen would leave the one that was meant without its limit.
 * A built-in name is no slip: what is said of a backend that has been taken out has no effect, and gets advice.
 */
export function checkBackendName(tree: Tree, path: Path, name: string, backends: readonly DeclaredBackend[], at?: 'key'): void {
  if (tree.isFull || backends.some((backend) => backend.name === name)) return
  const names = backends.map((backend) => backend.name)
  const mistake = { message: `There is no backend \`${name}\``, found: name, expected: `one of ${names.join(', ')}`, ...(at !== undefined && { at }) }
  if (BUILT_IN.has(name)) return tree.advise(path, { ...mistake, hint: 'add it under `backends:`; until then this has no effect' })
  const meant = nearest(name, names)
  tree.add(path, { ...mistake, hint: meant === undefined ? 'add it under `backends:`' : `did you mean \`${meant}\`?` })
}

/** Models of the built-in backends with this provider. */
export function builtInModels(provider: string): readonly string[] {
  return [...BUILT_IN.values()].flatMap((builtIn) => (builtIn.provider === provider ? builtIn.models : []))
}

function addRepeats(tree: Tree, path: Path, models: readonly string[]): void {
  for (const [index, model] of models.entries()) {
    if (models.indexOf(model) < index) tree.add([...path, index], { message: 'A model is listed twice', expected: 'each model once' })
  }
}

function builtInHint(name: string): { hint?: string } {
  const meant = nearest(name, [...BUILT_IN.keys()])
  return meant === undefined ? {} : { hint: `did you mean the built-in backend \`${meant}\`?` }
}

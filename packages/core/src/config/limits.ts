import type { Limit, Scope } from '../limit.ts'
import { divideHalfUp, usdToNano, type NanoUsd } from '../money.ts'
import type { Backend } from '../policy/policy.ts'
import { formatWindow } from '../window-text.ts'
import { DAY_MS, isAnchored, type Window } from '../windows.ts'
import { checkBackendName, readAmount, RESERVED_NAMES, type DeclaredBackend } from './backends.ts'
import { nearest } from '../nearest.ts'
import { budgetsSchema, limitSchema } from './schema.ts'
import { entriesOf, fieldOf, itemsOf, sound } from './sections.ts'
import { formatPath, type Path, type Tree } from './tree.ts'

/** A limit, and where the file declares it. */
export interface DeclaredLimit {
  readonly limit: Limit
  readonly path: Path
}

/** All limits of a file in the order of declaration: `budgets`, per backend, quotas and limits of backends, `limits:`. */
export function readLimits(tree: Tree, file: unknown, backends: readonly DeclaredBackend[]): readonly DeclaredLimit[] {
  const budgets = fieldOf(file, 'budgets')
  const hard = sound(budgetsSchema.shape.hard_stop, fieldOf(budgets, 'hard_stop')) ?? true
  const declared = [
    ...overallLimits(budgets, hard),
    ...perBackendLimits(tree, budgets, backends, hard),
    ...backends.flatMap((backend) => limitsOfBackend(backend, hard)),
    ...namedLimits(tree, fieldOf(file, 'limits'), backends, hard),
  ]
  return withoutRepeats(tree, declared)
}

function overallLimits(budgets: unknown, hard: boolean): DeclaredLimit[] {
  const overall = (key: 'daily_limit_usd' | 'monthly_limit_usd', name: string, window: Window): DeclaredLimit[] => {
    const usd = sound(budgetsSchema.shape[key], fieldOf(budgets, key))
    const quantity = usd === undefined ? undefined : usdToNano(usd)
    return quantity === undefined ? [] : [{ limit: { name, quantity, unit: 'usd', window, scope: {}, hard }, path: ['budgets', key] }]
  }
  return [...overall('daily_limit_usd', 'all.day', { kind: 'day' }), ...overall('monthly_limit_usd', 'all.month', { kind: 'month', day: 1 })]
}

function perBackendLimits(tree: Tree, budgets: unknown, backends: readonly DeclaredBackend[], hard: boolean): DeclaredLimit[] {
  return entriesOf(fieldOf(budgets, 'per_backend')).flatMap(([backend, text]) => {
    const path = ['budgets', 'per_backend', backend]
    checkBackendName(tree, path, backend, backends, 'key')
    const amount = typeof text === 'string' ? readAmount(tree, path, text) : undefined
    return amount === undefined ? [] : [{ limit: { ...amount, name: shorthandName(backend, amount), scope: { backend }, hard }, path }]
  })
}

function limitsOfBackend({ name: backend, quota, limits }: DeclaredBackend, hard: boolean): DeclaredLimit[] {
  const scope = { backend }
  const ofLimits = limits.map(({ amount, path }) => ({ limit: { ...amount, name: shorthandName(backend, amount), scope, hard }, path }))
  if (quota === undefined) return ofLimits
  return [{ limit: { ...quota, name: `${backend}.quota`, scope, hard }, path: ['backends', backend, 'quota'] }, ...ofLimits]
}

function shorthandName(backend: string, { unit, window }: Pick<Limit, 'unit' | 'window'>): string {
  return `${backend}.${formatWindow(window)}${unit === 'usd' ? '' : `.${unit}`}`
}

function namedLimits(tree: Tree, section: unknown, backends: readonly DeclaredBackend[], hard: boolean): DeclaredLimit[] {
  return itemsOf(section).flatMap(([index, value]) => {
    const path: Path = ['limits', index]
    const wire = sound(limitSchema, value)
    if (wire === undefined) return []
    const first = wire.name.split('.')[0] ?? ''
    if (RESERVED_NAMES.includes(first)) {
      tree.add([...path, 'name'], {
        message: `A limit's name cannot begin with \`${first}\``,
        expected: `another name: facts and the limits of \`budgets:\` begin with ${RESERVED_NAMES.join(', ')}`,
      })
    }
    if (wire.backend !== undefined) checkBackendName(tree, [...path, 'backend'], wire.backend, backends)
    if (wire.model !== undefined) checkModel(tree, [...path, 'model'], wire.model, wire.backend, backends)
    const amount = readAmount(tree, [...path, 'amount'], wire.amount)
    const scope: Scope = {
      ...(wire.backend !== undefined && { backend: wire.backend }),
      ...(wire.model !== undefined && { model: wire.model }),
      ...(wire.task_type !== undefined && { taskType: wire.task_type }),
    }
    return amount === undefined ? [] : [{ limit: { ...amount, name: wire.name, scope, hard }, path }]
  })
}

/** A limit on a model that nobody serves would never bind, and a slip of the pen would open it. */
function checkModel(tree: Tree, path: Path, model: string, backend: string | undefined, backends: readonly DeclaredBackend[]): void {
  const serving = backends.filter(({ name }) => backend === undefined || name === backend)
  const models = serving.flatMap((server) => server.models)
  if (tree.isFull || models.includes(model) || serving.length === 0 || serving.some((server) => server.models.length === 0)) return
  const meant = nearest(model, models)
  tree.add(path, {
    message: `${backend === undefined ? 'No backend' : `The backend \`${backend}\``} lists the model \`${model}\``.replace(
      /^The (.*) lists/,
      'The $1 does not list',
    ),
    expected: `one of ${models.join(', ')}`,
    hint: meant === undefined ? 'add it to the `models` of its backend' : `did you mean \`${meant}\`?`,
  })
}

function withoutRepeats(tree: Tree, declared: readonly DeclaredLimit[]): readonly DeclaredLimit[] {
  const first = new Map<string, Path>()
  for (const { limit, path } of declared) {
    const earlier = first.get(limit.name)
    if (earlier === undefined) first.set(limit.name, path)
    else {
      tree.add(path[0] === 'limits' && path.length === 2 ? [...path, 'name'] : path, {
        message: `Two limits are called \`${limit.name}\``,
        expected: `one limit of this name; the other is \`${formatPath(earlier)}\` on line ${tree.line(earlier)}`,
        hint: path[0] === 'limits' ? 'give it another name' : 'keep one of the two',
      })
    }
  }
  return declared
}

/** The backends with their quotas, once all limits are known. */
export function withQuotas(tree: Tree, backends: readonly DeclaredBackend[], declared: readonly DeclaredLimit[]): readonly Backend[] {
  const own = Map.groupBy(
    declared.map(({ limit }) => limit),
    ({ scope }) => scope.backend,
  )
  return backends.map(({ name, kind, provider, models, paid }) => {
    const quota = quotaOf(name, own.get(name) ?? [])
    if (paid !== undefined && quota === undefined) {
      tree.add(['backends', name, 'paid'], {
        message: 'A plan is paid for that has no quota',
        expected: '`quota` beside `paid`, or a limit of this backend in an anchored window',
      })
    }
    return {
      name,
      kind,
      provider,
      models,
      quota: quota?.name,
      paidNano: paid === undefined || quota === undefined ? undefined : paidPerWindow(paid.quantity, paid.window, quota.window),
    }
  })
}

/** The declared quota; else the backend's own limit with the longest anchored window, the first of equals. */
function quotaOf(backend: string, limits: readonly Limit[]): Limit | undefined {
  const whole = limits.filter(({ scope, window }) => scope.model === undefined && scope.taskType === undefined && isAnchored(window))
  return whole.find(({ name }) => name === `${backend}.quota`) ?? whole.toSorted((a, b) => meanLengthMs(b.window) - meanLengthMs(a.window))[0]
}

/** A plan's price over its quota's window, by the windows' mean lengths: it only weighs the quota in the total. */
function paidPerWindow(quantity: NanoUsd, paidWindow: Window, quotaWindow: Window): NanoUsd {
  return Number(divideHalfUp(BigInt(quantity) * BigInt(meanLengthMs(quotaWindow)), BigInt(meanLengthMs(paidWindow))))
}

/** Of the Gregorian calendar: 365.2425 days. Divides by 12 without a rest. */
const YEAR_MS = 31_556_952_000

function meanLengthMs(window: Window): number {
  switch (window.kind) {
    case 'day':
      return DAY_MS
    case 'week':
      return 7 * DAY_MS
    case 'month':
      return YEAR_MS / 12
    case 'quarter':
      return YEAR_MS / 4
    case 'year':
      return YEAR_MS
    default:
      return window.spanMs
  }
}

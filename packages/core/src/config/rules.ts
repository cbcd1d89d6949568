import { factCatalogue, type FactDefinition } from '../policy/facts.ts'
import type { Limit } from '../limit.ts'
import { MAX_LEAVES } from '../policy/leaves.ts'
import type { Condition, Effect, Leaf, Rule } from '../policy/policy.ts'
import { checkBackendName, type DeclaredBackend } from './backends.ts'
import { oneLine } from './issues.ts'
import type { DeclaredLimit } from './limits.ts'
import { nearest } from '../nearest.ts'
import { OPERATORS, ruleSchema, type WireCondition, type WireRule } from './schema.ts'
import { entriesOf, fieldOf, itemsOf, sound } from './sections.ts'
import type { Path, Tree } from './tree.ts'

/** What the rules of a file may speak of. */
export interface RuleContext {
  readonly tree: Tree
  readonly backends: readonly DeclaredBackend[]
  /** All that any backend lists. */
  readonly models: ReadonlySet<string>
  readonly facts: ReadonlyMap<string, FactDefinition>
  /** The facts, in words. */
  readonly factWords: string
  /** Limits that are not in US dollars, by the fact that would be their dollars left. */
  readonly counted: ReadonlyMap<string, Limit>
  /** Whether all limits could be read; one that could not has no name, and its facts are not called unknown as well. */
  readonly areLimitsSound: boolean
}

const NESTS = ['all', 'any', 'not'] as const
const PARTS = ['fact', 'operator', 'value'] as const
const TYPE_WORDS = { string: 'text', number: 'number', list: 'list' } as const
const OPERATORS_OF: Readonly<Record<FactDefinition['type'], readonly string[]>> = {
  string: ['equal', 'notEqual', 'in', 'notIn'],
  number: ['equal', 'notEqual', 'in', 'notIn', 'lessThan', 'lessThanInclusive', 'greaterThan', 'greaterThanInclusive'],
  list: ['contains', 'doesNotContain'],
}
/** Values that a clock fact can be equal to. */
const RANGES: ReadonlyMap<string, { readonly from: number; readonly to: number; readonly words: string }> = new Map([
  ['hour', { from: 0, to: 23, words: 'a whole hour from 0 to 23' }],
  ['weekday', { from: 1, to: 7, words: 'a weekday from 1 (Monday) to 7 (Sunday)' }],
  ['day_of_month', { from: 1, to: 31, words: 'a day from 1 to 31' }],
])
const KINDS = ['cloud', 'local']

/** The rules of a file, in order. Each part of each rule is checked even where another part of it is wrong. */
export function readRules(tree: Tree, section: unknown, backends: readonly DeclaredBackend[], limits: readonly DeclaredLimit[]): readonly Rule[] {
  const facts = factCatalogue(limits.map(({ limit }) => limit.name))
  const areLimitsSound = !tree.issues.some(({ path }) => /^(budgets|backends|limits)\b/.test(path))
  const context: RuleContext = {
    tree,
    backends,
    models: new Set(backends.flatMap(({ models }) => models)),
    facts,
    factWords: factWords(facts, limits),
    counted: new Map(limits.flatMap(({ limit }) => (limit.unit === 'usd' ? [] : [[`${limit.name}.left_usd`, limit]]))),
    areLimitsSound,
  }
  const lines = new Map<string, number>()
  return itemsOf(section).flatMap(([index, value]) => {
    if (tree.isFull) return []
    const path: Path = ['rules', index]
    checkName(tree, [...path, 'name'], fieldOf(value, 'name'), lines)
    const leaves = checkCondition(context, [...path, 'conditions'], fieldOf(value, 'conditions'))
    if (leaves > MAX_LEAVES) {
      tree.add([...path, 'conditions'], {
        message: 'The rule has too many conditions',
        found: `${leaves} comparisons`,
        expected: `at most ${MAX_LEAVES}`,
        hint: 'split it into several rules, or compare with a list by `in`',
        at: 'key',
      })
    }
    checkRoot(tree, [...path, 'conditions'], fieldOf(value, 'conditions'))
    checkParams(tree, [...path, 'event'], fieldOf(value, 'event'))
    const wire = sound(ruleSchema, value)
    return wire === undefined ? [] : [toRule(wire, tree.line(path))]
  })
}

function checkName(tree: Tree, path: Path, name: unknown, lines: Map<string, number>): void {
  if (typeof name !== 'string') return
  const first = lines.get(name)
  if (first === undefined) lines.set(name, tree.line(path))
  else
    tree.add(path, {
      message: 'Two rules have one name',
      expected: `another name: a rule on line ${first} is called so`,
      hint: 'decisions explain themselves by the names of rules',
    })
}

function checkRoot(tree: Tree, path: Path, value: unknown): void {
  const keys = entriesOf(value).map(([key]) => key)
  if (PARTS.some((part) => keys.includes(part)) && !NESTS.some((nest) => keys.includes(nest))) {
    tree.add(path, {
      message: 'The conditions begin with a comparison',
      found: 'fact, operator and value',
      expected: 'all, any or not',
      hint: 'put the comparison into a list: all: [ … ]',
      at: 'key',
    })
  }
}

/** Checks a condition and all below it. @returns how many comparisons it holds. */
function checkCondition(context: RuleContext, path: Path, value: unknown): number {
  const keys = entriesOf(value).map(([key]) => key)
  const nests = NESTS.filter((nest) => keys.includes(nest))
  const parts = PARTS.filter((part) => keys.includes(part))
  if (nests.length > 1 || (nests.length === 1 && parts.length > 0)) {
    context.tree.add(path, {
      message: 'A condition says several things at one level',
      found: [...nests, ...parts].join(' and '),
      expected: 'one of all, any, not, or a comparison of fact, operator and value',
      hint: 'put one of them into the other: all: [ { any: [ … ] }, … ]',
    })
  }
  const below = nests.flatMap((nest): readonly [Path, unknown][] => {
    const nested = fieldOf(value, nest)
    return nest === 'not' ? [[[...path, nest], nested]] : itemsOf(nested).map(([index, item]) => [[...path, nest, index], item])
  })
  const leaves = below.reduce((count, [at, item]) => count + checkCondition(context, at, item), 0)
  if (nests.length > 0) return leaves
  if (parts.length === 0) {
    // Where there are only unknown keys, those have been reported.
    if (keys.length === 0 && typeof value === 'object' && value !== null)
      context.tree.add(path, { message: 'A condition says nothing', expected: 'all, any, not, or fact, operator and value' })
    return 0
  }
  for (const part of PARTS) {
    if (!keys.includes(part))
      context.tree.add(path, { message: `A comparison has no \`${part}\``, found: parts.join(' and '), expected: 'fact, operator and value' })
  }
  checkLeaf(context, path, fieldOf(value, 'fact'), fieldOf(value, 'operator'), fieldOf(value, 'value'))
  return 1
}

function checkLeaf(context: RuleContext, path: Path, fact: unknown, operator: unknown, value: unknown): void {
  const definition = knownFact(context, [...path, 'fact'], fact)
  if (definition === undefined || typeof operator !== 'string' || !isOperator(operator)) return
  const { type } = definition
  if (!OPERATORS_OF[type].includes(operator)) {
    context.tree.add([...path, 'operator'], {
      message: `\`${operator}\` does not compare a ${TYPE_WORDS[type]}, which \`${fact}\` is`,
      expected: `one of ${OPERATORS_OF[type].join(', ')}`,
    })
    return
  }
  if (value === undefined) return
  const at = [...path, 'value']
  if (operator === 'in' || operator === 'notIn') {
    if (!Array.isArray(value)) context.tree.add(at, { message: `\`${operator}\` needs a list`, expected: `a list of ${TYPE_WORDS[type]}s, like [ … ]` })
    for (const [index, item] of itemsOf(value)) checkConstant(context, [...at, index], String(fact), type, item, true)
  } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    checkOtherFact(context, at, String(fact), type, fieldOf(value, 'fact'))
  } else {
    checkConstant(context, at, String(fact), type === 'list' ? 'string' : type, value, operator === 'equal' || operator === 'notEqual')
  }
}

function isOperator(operator: string): boolean {
  return (OPERATORS as readonly string[]).includes(operator)
}

function knownFact(
  { tree, facts, factWords: expected, counted: ofCounted, areLimitsSound }: RuleContext,
  path: Path,
  fact: unknown,
): FactDefinition | undefined {
  if (typeof fact !== 'string') return undefined
  const definition = facts.get(fact)
  const counted = ofCounted.get(fact)
  if (counted !== undefined) {
    tree.add(path, {
      message: `The limit \`${counted.name}\` is in ${counted.unit}, not in US dollars`,
      expected: `\`${counted.name}.used\` or \`${counted.name}.spent\``,
    })
    return undefined
  }
  if (definition !== undefined || (!areLimitsSound && /\.(used|spent|left_usd)$/.test(fact)) || tree.isFull) return definition
  const meant = nearest(fact, [...facts.keys()])
  tree.add(path, {
    message: `There is no fact \`${oneLine(fact)}\``,
    expected,
    ...(meant !== undefined && { hint: `did you mean \`${meant}\`?` }),
  })
  return undefined
}

function factWords(facts: ReadonlyMap<string, FactDefinition>, limits: readonly DeclaredLimit[]): string {
  const names = limits.map(({ limit }) => limit.name)
  const base = [...facts].flatMap(([fact, { limit }]) => (limit === undefined ? [fact] : []))
  const ofLimits = names.length === 0 ? '' : oneLine(`, or .used, .spent, .left_usd of ${names.join(', ')}`, 300)
  return `one of ${base.join(', ')}${ofLimits}`
}

function checkOtherFact(context: RuleContext, path: Path, fact: string, type: FactDefinition['type'], other: unknown): void {
  if (type === 'list') return context.tree.add(path, { message: `\`${fact}\` is compared with a fact`, expected: 'a text' })
  const definition = knownFact(context, [...path, 'fact'], other)
  if (definition === undefined) return
  const words = `a ${TYPE_WORDS[type]} with a ${TYPE_WORDS[definition.type]}`
  if (definition.type !== type)
    context.tree.add([...path, 'fact'], {
      message: `\`${fact}\` is compared with \`${String(other)}\`: ${words}`,
      expected: `a fact that is a ${TYPE_WORDS[type]} too`,
    })
  else if (other === fact) context.tree.add([...path, 'fact'], { message: `\`${fact}\` is compared with itself`, expected: 'another fact, or a value' })
}

function checkConstant(context: RuleContext, path: Path, fact: string, type: 'string' | 'number' | 'list', value: unknown, isExact: boolean): void {
  const { tree, backends, models } = context
  if (Array.isArray(value))
    return tree.add(path, { message: `\`${fact}\` is compared with a list`, expected: `a ${TYPE_WORDS[type]}; only \`in\` and \`notIn\` take a list` })
  if (typeof value !== 'string' && typeof value !== 'number') return
  if (typeof value !== type) {
    const hint =
      type === 'number' && /^\d+(\.\d+)?$/.test(String(value))
        ? `remove the quotes: ${value}`
        : type === 'string'
          ? `put quotes around it: "${value}"`
          : undefined
    return tree.add(path, {
      message: `\`${fact}\` is a ${TYPE_WORDS[type]}, and is compared with a ${TYPE_WORDS[typeof value === 'string' ? 'string' : 'number']}`,
      expected: `a ${TYPE_WORDS[type]}`,
      ...(hint !== undefined && { hint }),
    })
  }
  const range = RANGES.get(fact)
  if (range !== undefined && isExact && !(Number.isInteger(value) && Number(value) >= range.from && Number(value) <= range.to)) {
    tree.add(path, { message: `\`${fact}\` is never ${value}`, expected: range.words })
  }
  if (fact === 'backend') checkBackendName(tree, path, String(value), backends)
  if (fact === 'backend_kind' && !KINDS.includes(String(value)))
    tree.add(path, { message: `There is no kind of backend \`${value}\``, expected: '`cloud` or `local`' })
  if (fact === 'model') adviseOnModel(tree, path, String(value), models)
}

function adviseOnModel(tree: Tree, path: Path, model: string, listed: ReadonlySet<string>): void {
  if (listed.has(model) || tree.isAdviceFull) return
  const models = [...listed]
  const meant = nearest(model, models)
  tree.advise(path, {
    message: `No backend lists the model \`${oneLine(model)}\``,
    expected: `one of ${oneLine(models.join(', '), 300)}, unless requests name it themselves`,
    ...(meant !== undefined && { hint: `did you mean \`${meant}\`?` }),
  })
}

/** A parameter that the event's type would ignore says something that does not happen. */
function checkParams(tree: Tree, path: Path, event: unknown): void {
  const type = fieldOf(event, 'type')
  const params = fieldOf(event, 'params')
  const used: Readonly<Record<string, readonly unknown[]>> = { by: ['avoid', 'prefer'], kind: ['notify'], severity: ['notify'] }
  for (const [param, types] of Object.entries(used)) {
    if (fieldOf(params, param) === undefined || typeof type !== 'string' || !['forbid', 'avoid', 'prefer', 'notify'].includes(type) || types.includes(type))
      continue
    tree.add([...path, 'params', param], {
      message: `\`${param}\` means nothing to \`${type}\``,
      expected: `\`${param}\` only with ${types.join(' or ')}`,
      hint: 'remove the key',
      at: 'key',
    })
  }
}

function toRule({ name, conditions, event }: WireRule, line: number): Rule {
  return { name, conditions: toCondition(conditions), event: toEffect(event), line }
}

function toCondition({ all, any, not, fact, operator, value }: WireCondition): Condition {
  if (all !== undefined) return { all: all.map(toCondition) }
  if (any !== undefined) return { any: any.map(toCondition) }
  if (not !== undefined) return { not: toCondition(not) }
  return { fact, operator, value } as Leaf
}

function toEffect({ type, params = {} }: WireRule['event']): Effect {
  const { message, by, kind, severity } = params
  return {
    type,
    params: {
      ...(message !== undefined && { message }),
      ...(by !== undefined && { by }),
      ...(kind !== undefined && { kind }),
      ...(severity !== undefined && { severity }),
    },
  }
}

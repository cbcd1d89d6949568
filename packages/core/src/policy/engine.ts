import { Engine, type NestedCondition, type RuleProperties, type TopLevelCondition } from 'json-rules-engine'
import { MancipleError } from '../errors.ts'
import type { FactValue } from './facts.ts'
import type { Condition, Rule } from './policy.ts'

/**
 * A rule as a function of its leaves, asked of json-rules-engine once: one character, `0` or `1`, for each combination of the leaves' values.
 * The first leaf is the highest bit of the place: the table of `all: [a, b]` is `0001`.
 */
export type TruthTable = string

/** Tables by the shape of their tree: what a tree means does not depend on what its leaves compare. Reloads find theirs made. */
const tables = new Map<string, TruthTable>()

/** @param leafCount number of leaves in the tree, at most 10. */
export async function truthTable(conditions: Condition, leafCount: number): Promise<TruthTable> {
  const shape = shapeOf(conditions)
  let table = tables.get(shape)
  if (table === undefined) tables.set(shape, (table = await tabulate(conditions, leafCount)))
  return table
}

function shapeOf(condition: Condition): string {
  if ('all' in condition) return `all(${condition.all.map(shapeOf).join()})`
  if ('any' in condition) return `any(${condition.any.map(shapeOf).join()})`
  if ('not' in condition) return `not(${shapeOf(condition.not)})`
  return '.'
}

async function tabulate(conditions: Condition, leafCount: number): Promise<TruthTable> {
  const rules = Array.from({ length: 2 ** leafCount }, (_, combination) => {
    let bit = leafCount
    return rootOf(conditions, () => {
      bit -= 1
      return { fact: (combination >> bit) & 1 ? 'true' : 'false', operator: 'equal', value: true }
    })
  })
  const answers = await ask(rules, { true: true, false: false })
  return answers.map(Number).join('')
}

/** What json-rules-engine says of each rule on these facts: a fresh engine, for nothing else. */
export function runFresh(rules: readonly Rule[], facts: Readonly<Record<string, FactValue>>): Promise<readonly boolean[]> {
  const roots = rules.map((rule) => rootOf(rule.conditions, ({ fact, operator, value }) => ({ fact, operator, value })))
  return ask(roots, facts)
}

/** One engine never has two runs at once (an overlapping run silently skips rules), so each question gets an engine of its own. */
async function ask(roots: readonly TopLevelCondition[], facts: Readonly<Record<string, unknown>>): Promise<readonly boolean[]> {
  const rules = roots.map((conditions, index): RuleProperties => ({ name: String(index), conditions, event: { type: 'answer' } }))
  const { results, failureResults } = await new Engine(rules).run({ ...facts })
  const answers = new Map([...results, ...failureResults].map((result) => [result.name, result.result === true]))
  return rules.map((_, index) => {
    const answer = answers.get(String(index))
    if (answer === undefined) throw new MancipleError('RULES_DISAGREE', 'json-rules-engine left a rule out')
    return answer
  })
}

type EngineLeaf = Extract<NestedCondition, { fact: string }>
type Leaf = Extract<Condition, { readonly fact: string }>

/** A copy of the tree in the engine's own types, with each leaf replaced, depth first. */
function rootOf(condition: Condition, leaf: (leaf: Leaf) => EngineLeaf): TopLevelCondition {
  if ('all' in condition) return { all: condition.all.map((child) => nestedOf(child, leaf)) }
  if ('any' in condition) return { any: condition.any.map((child) => nestedOf(child, leaf)) }
  if ('not' in condition) return { not: nestedOf(condition.not, leaf) }
  throw new MancipleError('CONFIG_INVALID', 'The conditions of a rule begin with `all`, `any` or `not`.')
}

function nestedOf(condition: Condition, leaf: (leaf: Leaf) => EngineLeaf): NestedCondition {
  return 'fact' in condition ? leaf(condition) : rootOf(condition, leaf)
}

import type { FactDefinition, FactType } from './facts.ts'
import type { FactLayout } from './fact-layout.ts'
import type { Condition, Leaf, Operator } from './policy.ts'

/** Operators by the type of fact that they read: the pairs for which json-rules-engine never guesses. */
const OPERATORS: Readonly<Record<FactType, readonly Operator[]>> = {
  string: ['equal', 'notEqual', 'in', 'notIn'],
  number: ['equal', 'notEqual', 'in', 'notIn', 'lessThan', 'lessThanInclusive', 'greaterThan', 'greaterThanInclusive'],
  list: ['contains', 'doesNotContain'],
}

/** A table has one bit for each combination of its leaves' values: 2^10 are read in no time. */
export const MAX_LEAVES = 10

/** The leaves of a tree, depth first: the order in which truth tables number them. */
export function leavesOf(condition: Condition): readonly Leaf[] {
  if ('all' in condition) return condition.all.flatMap(leavesOf)
  if ('any' in condition) return condition.any.flatMap(leavesOf)
  if ('not' in condition) return leavesOf(condition.not)
  return [condition]
}

/** The fact that a leaf compares with, where it compares two. */
function factCompared(leaf: Leaf): string | undefined {
  return typeof leaf.value === 'object' && 'fact' in leaf.value ? leaf.value.fact : undefined
}

/** Names of the facts that a tree reads, each once. */
export function factsRead(condition: Condition): ReadonlySet<string> {
  return new Set(leavesOf(condition).flatMap((leaf) => [leaf.fact, factCompared(leaf) ?? leaf.fact]))
}

/**
 * What is wrong with a leaf, in words, or undefined where nothing is.
 * json-rules-engine would take the wrong ones and quietly not match, which is how a cap fails open.
 */
export function leafProblem(leaf: Leaf, catalogue: ReadonlyMap<string, FactDefinition>): string | undefined {
  const type = catalogue.get(leaf.fact)?.type
  if (type === undefined) return `unknown fact ${JSON.stringify(leaf.fact)}`
  if (!OPERATORS[type].includes(leaf.operator)) return `${leaf.operator} cannot read ${leaf.fact}, a ${type}`
  const takesList = leaf.operator === 'in' || leaf.operator === 'notIn'
  const compared = factCompared(leaf)
  if (compared !== undefined) {
    if (takesList || type === 'list') return `${leaf.operator} takes a constant`
    return catalogue.get(compared)?.type === type ? undefined : `${leaf.fact} is a ${type}; ${JSON.stringify(compared)} is not`
  }
  if (Array.isArray(leaf.value) !== takesList) return `${leaf.operator} takes ${takesList ? 'a list' : 'a single value'}`
  const wanted = type === 'list' ? 'string' : type
  const wrong = constantsOf(leaf).find((value) => typeof value !== wanted || (typeof value === 'number' && !Number.isFinite(value)))
  return wrong === undefined ? undefined : `${leaf.fact} is compared with ${String(wrong)}, which is no ${wanted === 'number' ? 'finite number' : wanted}`
}

function constantsOf(leaf: Leaf): readonly unknown[] {
  return Array.isArray(leaf.value) ? leaf.value : [leaf.value]
}

/**
 * A leaf over numbers: whether what stands in a slot is `equal` to one of the constants, or `below` or `upTo` the only one, turned round where `negated`.
 * Texts stand there as numbers, tags as 0 or 1, and two facts as their difference, so that every leaf compares one number with constants.
 */
export interface Comparison {
  readonly slot: number
  readonly relation: 'equal' | 'below' | 'upTo'
  readonly constants: readonly number[]
  readonly negated: boolean
}

/**
 * json-rules-engine's operators over typed facts. Its own definitions (7.3.1, `engine-default-operators.js`) are `===`, `!==`, `indexOf`, `<`, `<=`, `>`, `>=`;
 * where no number is NaN, `>` is exactly not `<=`, and `>=` not `<`.
 */
export function lower(leaf: Leaf, layout: FactLayout): Comparison {
  const compared = factCompared(leaf)
  if (leaf.operator === 'contains' || leaf.operator === 'doesNotContain') {
    return { slot: layout.tagSlot(String(leaf.value)), relation: 'equal', constants: [1], negated: leaf.operator === 'doesNotContain' }
  }
  const slot = compared === undefined ? layout.factSlot(leaf.fact) : layout.pairSlot(leaf.fact, compared)
  const constants = compared === undefined ? constantsOf(leaf).map((value) => (typeof value === 'number' ? value : layout.mention(String(value)))) : [0]
  return { slot, constants, ...RELATIONS[leaf.operator] }
}

const RELATIONS = {
  equal: { relation: 'equal', negated: false },
  notEqual: { relation: 'equal', negated: true },
  in: { relation: 'equal', negated: false },
  notIn: { relation: 'equal', negated: true },
  lessThan: { relation: 'below', negated: false },
  lessThanInclusive: { relation: 'upTo', negated: false },
  greaterThan: { relation: 'upTo', negated: true },
  greaterThanInclusive: { relation: 'below', negated: true },
} as const

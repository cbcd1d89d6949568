import { leavesOf } from '../policy/leaves.ts'
import type { Condition, Leaf, Operator, Scalar } from '../policy/policy.ts'
import type { DeclaredBackend } from './backends.ts'

/** A leaf, and whether a term wants it true. */
interface Literal {
  readonly leaf: Leaf
  readonly wanted: boolean
  /** What the leaf compares with. A list may be long, and is asked of each candidate. */
  readonly constants: ReadonlySet<Scalar>
}
type Term = readonly Literal[]

/** What a number can be: `from` to `to`, both included, in whole steps where `whole`. */
interface Range {
  readonly from: number
  readonly to: number
  readonly whole?: true
}

const SHARE: Range = { from: 0, to: 1 }
const COUNT: Range = { from: 0, to: Number.POSITIVE_INFINITY, whole: true }
const RANGES: ReadonlyMap<string, Range> = new Map<string, Range>([
  ['hour', { from: 0, to: 23, whole: true }],
  ['weekday', { from: 1, to: 7, whole: true }],
  ['day_of_month', { from: 1, to: 31, whole: true }],
  ['input_tokens', COUNT],
  ['max_output_tokens', COUNT],
  ['backend.remaining', SHARE],
  ['backend.elapsed', SHARE],
  ['total.elapsed', SHARE],
])
/** Shares of limits and quotas may be above 1, where limits are not hard. */
const ANY_SHARE: Range = { from: 0, to: Number.POSITIVE_INFINITY }
/** What is left may be below nothing. */
const ANY_NUMBER: Range = { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY }
const CANDIDATE_FACTS = ['backend', 'backend_kind', 'model']

/**
 * The facts of which no values make the conditions true, whatever the request and the time: the conditions contradict each other, or what the policy has.
 * Sees what is wrong with the values of each fact; facts that depend on each other are taken for free, so that no rule is called unmatchable that is not.
 * @returns undefined where some request can match.
 */
export function factsInTheWay(conditions: Condition, backends: readonly DeclaredBackend[], priced: ReadonlySet<string>): readonly string[] | undefined {
  const candidates = candidatesOf(conditions, backends, priced)
  const inTheWay = termsOf(conditions, true).map((term) => impossibleFacts(term, candidates))
  return inTheWay.some((facts) => facts.length === 0) ? undefined : [...new Set(inTheWay.flat())]
}

/** The conditions as a disjunction of terms: at most 36 of ten leaves. */
function termsOf(condition: Condition, wanted: boolean): readonly Term[] {
  if ('not' in condition) return termsOf(condition.not, !wanted)
  if ('fact' in condition) return [[{ leaf: condition, wanted, constants: new Set(constantsOf(condition)) }]]
  const [children, isConjunction] = 'all' in condition ? [condition.all, wanted] : [condition.any, !wanted]
  const parts = children.map((child) => termsOf(child, wanted))
  if (!isConjunction) return parts.flat()
  return parts.reduce<readonly Term[]>((terms, part) => terms.flatMap((term) => part.map((more) => [...term, ...more])), [[]])
}

type Candidate = Readonly<Record<string, string>>

/** Every backend; where the conditions ask for models, with its own, with those that conditions name and no backend lists, and with one that nobody names. */
function candidatesOf(conditions: Condition, backends: readonly DeclaredBackend[], priced: ReadonlySet<string>): readonly Candidate[] {
  const listed = new Set(backends.flatMap(({ models }) => models))
  const leaves = leavesOf(conditions).filter(({ fact }) => fact === 'model')
  if (leaves.length === 0) return backends.map(({ name, kind }) => ({ backend: name, backend_kind: kind, model: '' }))
  const mentioned = leaves.flatMap((leaf) => constantsOf(leaf).map(String))
  const free = [...new Set(mentioned)].filter((model) => !listed.has(model) || priced.has(model))
  return backends.flatMap(({ name, kind, models }) => [...models, ...free, ''].map((model) => ({ backend: name, backend_kind: kind, model })))
}

function impossibleFacts(term: Term, candidates: readonly Candidate[]): readonly string[] {
  const constant = term.filter(({ leaf }) => !isComparedWithFact(leaf))
  const byFact = Map.groupBy(constant, ({ leaf }) => leaf.fact)
  const ofCandidate = CANDIDATE_FACTS.flatMap((fact) => byFact.get(fact) ?? [])
  const serving = candidates.filter((candidate) => ofCandidate.every((literal) => holds(literal, candidate[literal.leaf.fact] ?? '')))
  const named = CANDIDATE_FACTS.filter((fact) => byFact.has(fact))
  if (serving.length > 0 && serving.every(({ backend_kind: kind }) => kind === 'local')) {
    const cost = byFact.get('estimate_usd') ?? []
    // Local calls cost nothing.
    if (cost.some((literal) => !holds(literal, 0))) return [...named, 'estimate_usd']
  }
  const ofRequest = [...byFact].filter(([fact, literals]) => !CANDIDATE_FACTS.includes(fact) && !hasValue(fact, literals))
  return [...(serving.length > 0 ? [] : named), ...ofRequest.map(([fact]) => fact)]
}

/** Whether some value of the fact makes all literals on it true. */
function hasValue(fact: string, literals: readonly Literal[]): boolean {
  if (fact === 'tags') return hasTags(literals)
  const listed = literals.find(({ leaf, wanted }) => (wanted ? ['equal', 'in'] : ['notEqual', 'notIn']).includes(leaf.operator))
  const range = rangeOf(fact, literals)
  if (listed !== undefined) return constantsOf(listed.leaf).some((value) => isIn(value, range) && literals.every((literal) => holds(literal, value)))
  // Texts have no end: where none is asked for, there is one that nobody excludes.
  if (literals.every(({ leaf }) => constantsOf(leaf).every((value) => typeof value === 'string'))) return true
  return betweenOf(range, literals).some((value) => isIn(value, range) && literals.every((literal) => holds(literal, value)))
}

/** A tag that is asked for must not be excluded. */
function hasTags(literals: readonly Literal[]): boolean {
  const wants = ({ leaf, wanted }: Literal): boolean => (leaf.operator === 'contains') === wanted
  const excluded = new Set(literals.filter((literal) => !wants(literal)).map(({ leaf }) => leaf.value))
  return literals.filter(wants).every(({ leaf }) => !excluded.has(leaf.value))
}

function rangeOf(fact: string, literals: readonly Literal[]): Range {
  const known = RANGES.get(fact)
  if (known !== undefined) return known
  const isNumber = literals.some(({ leaf }) => constantsOf(leaf).some((value) => typeof value === 'number'))
  return isNumber && !fact.endsWith('.left_usd') ? ANY_SHARE : ANY_NUMBER
}

/** Every comparison comes out the same between two constants: each constant, one number between each two, and one beyond either end stand for all numbers. */
function betweenOf({ from, to, whole }: Range, literals: readonly Literal[]): readonly number[] {
  const constants = literals.flatMap(({ leaf }) => constantsOf(leaf).filter((value) => typeof value === 'number'))
  const edges = [...new Set([...constants, ...[from, to].filter(Number.isFinite)])].sort((a, b) => a - b)
  if (whole) return edges.flatMap((edge) => [Math.floor(edge) - 1, Math.floor(edge), Math.ceil(edge), Math.ceil(edge) + 1])
  const between = edges.slice(1).map((edge, index) => (edge + (edges[index] ?? edge)) / 2)
  return [(edges[0] ?? 0) - 1, ...edges, ...between, (edges.at(-1) ?? 0) + 1]
}

function isIn(value: Scalar, { from, to, whole }: Range): boolean {
  return typeof value === 'string' || (value >= from && value <= to && (whole !== true || Number.isInteger(value)))
}

function holds({ leaf, wanted, constants }: Literal, value: Scalar): boolean {
  return isTrue(leaf.operator, constants, value) === wanted
}

function isTrue(operator: Operator, constants: ReadonlySet<Scalar>, value: Scalar): boolean {
  const [constant = Number.NaN] = constants
  switch (operator) {
    case 'equal':
    case 'in':
      return constants.has(value)
    case 'notEqual':
    case 'notIn':
      return !constants.has(value)
    case 'lessThan':
      return value < constant
    case 'lessThanInclusive':
      return value <= constant
    case 'greaterThan':
      return value > constant
    case 'greaterThanInclusive':
      return value >= constant
    default:
      return true
  }
}

function isComparedWithFact({ value }: Leaf): boolean {
  return typeof value === 'object' && 'fact' in value
}

function constantsOf({ value }: Leaf): readonly Scalar[] {
  if (typeof value !== 'object') return [value]
  return 'fact' in value ? [] : value
}

import type { TruthTable } from './engine.ts'

/** A conjunction of leaves in positional notation, the first leaf first: `1` it holds, `0` it does not, `-` either. */
export type Term = string

/**
 * The terms of which a rule is the disjunction: `0111`, the table of `any: [a, b]`, is `-1` or `1-`.
 * In a tree each leaf stands once, so that its value can only ever help or only ever hurt; the terms found are then the prime implicants, at most 36 of ten leaves.
 */
export function termsOf(table: TruthTable): readonly Term[] {
  if (!table.includes('1')) return []
  if (table.length === 1) return ['']
  const half = table.length / 2
  const [ifNot, ifSo] = [table.slice(0, half), table.slice(half)]
  const [without, within] = [termsOf(ifNot), termsOf(ifSo)]
  if (implies(ifNot, ifSo)) return [...prefix('-', without), ...prefix('1', lacking(within, without))]
  if (implies(ifSo, ifNot)) return [...prefix('-', within), ...prefix('0', lacking(without, within))]
  return [...prefix('0', without), ...prefix('1', within)]
}

function implies(table: TruthTable, other: TruthTable): boolean {
  return [...table].every((bit, place) => bit === '0' || other[place] === '1')
}

function lacking(terms: readonly Term[], from: readonly Term[]): readonly Term[] {
  return terms.filter((term) => !from.includes(term))
}

function prefix(literal: '0' | '1' | '-', terms: readonly Term[]): readonly Term[] {
  return terms.map((term) => literal + term)
}

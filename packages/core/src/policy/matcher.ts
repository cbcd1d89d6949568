import type { TruthTable } from './engine.ts'
import type { FactLayout } from './fact-layout.ts'
import { readsOf, sourcesOf, type FactSheet, type Reads, type Source } from './fact-sheet.ts'
import type { FactDefinition } from './facts.ts'
import type { Comparison } from './leaves.ts'
import { termsOf } from './terms.ts'

/** A rule as its truth table and its leaves. */
export interface TabulatedRule {
  /** Its place in the rule set. */
  readonly index: number
  readonly leaves: readonly Comparison[]
  readonly table: TruthTable
}

/** One leaf of one term: what the term wants of it. */
interface Literal {
  readonly term: number
  readonly leaf: Comparison
  readonly wanted: boolean
}

/** One number and all that terms ask of it, before it is laid out. */
interface Column {
  readonly slot: number
  /** The constants that it is compared with, ascending. */
  readonly cuts: Float64Array
  /** The words of terms that ask of it. */
  readonly words: Int32Array
  /** For each region a mask for each of `words`: 0 for a term that cannot hold there. */
  readonly masks: Int32Array
}

/**
 * Columns laid out one behind the other, to be gone through without a jump.
 *
 * Constants cut a number's line into regions: below the first, on it, between it and the next, on that, … above the last. Within a region every comparison comes out the same,
 * so that finding the region answers all of them at once: what they leave of each term is written down beforehand.
 */
interface Sieve {
  /** {@link HEAD} numbers a column: its slot, where its cuts begin and end, where its words begin and end, where its masks begin. */
  readonly heads: Int32Array
  readonly cuts: Float64Array
  readonly words: Int32Array
  readonly masks: Int32Array
}

const HEAD = 6
const WORD = 32

/** What is left to decide where some numbers are known beforehand. */
export interface Situation {
  /** The terms that the known numbers leave, a bit each. */
  readonly alive: Int32Array
  /** What those terms still ask, and the numbers that it takes. */
  readonly sieve: Sieve
  readonly reads: Reads
}

/**
 * Evaluates many rules at once.
 *
 * A rule is a disjunction of terms, a term a conjunction of leaves, and each term one bit. All bits begin alive; each number clears those that its value rules out; a rule matches
 * whose bit is left. What the request decides is cleared once, what a candidate decides for each.
 * (So Lakshman and Stiliadis match packets: "High-Speed Policy-based Packet Forwarding", SIGCOMM 1998.)
 */
export class Matcher {
  readonly #layout: FactLayout
  readonly #sources: readonly Source[]
  readonly #literals: readonly Literal[]
  readonly #ruleOfTerm: Int32Array
  /** The terms that the request leaves, and those that the candidate leaves of them. */
  readonly #ofRequest: Int32Array
  readonly #alive: Int32Array

  constructor(rules: readonly TabulatedRule[], layout: FactLayout) {
    const ruleOfTerm: number[] = []
    const literals: Literal[] = []
    for (const { index, leaves, table } of rules) {
      for (const signs of termsOf(table)) {
        const term = ruleOfTerm.push(index) - 1
        leaves.forEach((leaf, place) => signs[place] !== '-' && literals.push({ term, leaf, wanted: signs[place] === '1' }))
      }
    }
    this.#layout = layout
    this.#sources = sourcesOf(layout)
    this.#literals = literals
    this.#ruleOfTerm = Int32Array.from(ruleOfTerm)
    this.#ofRequest = new Int32Array(Math.ceil(ruleOfTerm.length / WORD))
    this.#alive = new Int32Array(this.#ofRequest.length)
  }

  /**
   * Decides beforehand what can be.
   * @param known numbers, by slot.
   * @param per which of the other numbers are to be looked at: the request's or the candidate's.
   */
  situation(known: ReadonlyMap<number, number>, per: FactDefinition['per']): Situation {
    const alive = new Int32Array(this.#alive.length)
    this.#ruleOfTerm.forEach((_, term) => setBit(alive, term))
    for (const { term, leaf, wanted } of this.#literals) {
      const value = known.get(leaf.slot)
      if (value !== undefined && holdsFor(value, leaf) !== wanted) clearBit(alive, term)
    }
    const open = this.#literals.filter(
      ({ term, leaf: { slot } }) => hasBit(alive, term) && !known.has(slot) && this.#layout.slots[slot]?.definition.per === per,
    )
    const asked = Map.groupBy(open, ({ leaf }) => leaf.slot)
    return { alive, sieve: layOut([...asked].map(([slot, literals]) => columnOf(slot, literals))), reads: readsOf([...asked.keys()], this.#sources) }
  }

  /** Once per request, when the sheet has been opened. */
  begin(sheet: FactSheet, situation: Situation): void {
    const alive = this.#ofRequest
    for (let word = 0; word < alive.length; word += 1) alive[word] = situation.alive[word]!
    sheet.fill(situation.reads)
    sift(situation.sieve, sheet.values, alive)
  }

  /** Appends the indexes of the rules that match what the sheet has been turned to, in ascending order. */
  match(sheet: FactSheet, situation: Situation, matched: number[]): void {
    const alive = this.#alive
    for (let word = 0; word < alive.length; word += 1) alive[word] = this.#ofRequest[word]! & situation.alive[word]!
    sheet.fill(situation.reads)
    sift(situation.sieve, sheet.values, alive)
    let last = -1
    for (let word = 0; word < alive.length; word += 1) {
      for (let rest = alive[word]!; rest !== 0; rest &= rest - 1) {
        const rule = this.#ruleOfTerm[word * WORD + 31 - Math.clz32(rest & -rest)]!
        if (rule !== last) matched.push(rule)
        last = rule
      }
    }
  }
}

/** Clears the terms that the numbers rule out. */
function sift({ heads, cuts, words, masks }: Sieve, values: Float64Array, alive: Int32Array): void {
  for (let head = 0; head < heads.length; head += HEAD) {
    const value = values[heads[head]!]!
    const firstCut = heads[head + 1]!
    const endOfCuts = heads[head + 2]!
    let low = firstCut
    let high = endOfCuts
    while (low < high) {
      const middle = (low + high) >>> 1
      if (cuts[middle]! < value) low = middle + 1
      else high = middle
    }
    const region = 2 * (low - firstCut) + (low < endOfCuts && cuts[low] === value ? 1 : 0)
    const firstWord = heads[head + 3]!
    const wordCount = heads[head + 4]! - firstWord
    const row = heads[head + 5]! + region * wordCount
    for (let i = 0; i < wordCount; i += 1) alive[words[firstWord + i]!]! &= masks[row + i]!
  }
}

function columnOf(slot: number, asked: readonly Literal[]): Column {
  const cuts = Float64Array.from(new Set(asked.flatMap(({ leaf }) => leaf.constants))).sort()
  const words = Int32Array.from(new Set(asked.map(({ term }) => Math.floor(term / WORD)))).sort()
  const regions = 2 * cuts.length + 1
  const masks = new Int32Array(regions * words.length).fill(-1)
  for (const { term, leaf, wanted } of asked) {
    const bit = words.indexOf(Math.floor(term / WORD)) * WORD + (term % WORD)
    // Regions are in the order of the values in them: the leaf asks of the region what it asks of the value.
    const ofRegion = { ...leaf, constants: leaf.constants.map((constant) => 2 * cuts.indexOf(constant) + 1) }
    for (let region = 0; region < regions; region += 1) {
      if (holdsFor(region, ofRegion) !== wanted) clearBit(masks, region * words.length * WORD + bit)
    }
  }
  return { slot, cuts, words, masks }
}

function layOut(columns: readonly Column[]): Sieve {
  const [heads, cuts, words, masks]: [number[], number[], number[], number[]] = [[], [], [], []]
  for (const column of columns) {
    heads.push(column.slot, cuts.length, cuts.length + column.cuts.length, words.length, words.length + column.words.length, masks.length)
    for (const cut of column.cuts) cuts.push(cut)
    for (const word of column.words) words.push(word)
    for (const mask of column.masks) masks.push(mask)
  }
  return { heads: Int32Array.from(heads), cuts: Float64Array.from(cuts), words: Int32Array.from(words), masks: Int32Array.from(masks) }
}

function holdsFor(value: number, { relation, constants, negated }: Comparison): boolean {
  const [constant = 0] = constants
  const holds = relation === 'equal' ? constants.includes(value) : relation === 'below' ? value < constant : value <= constant
  return holds !== negated
}

function hasBit(words: Int32Array, bit: number): boolean {
  return ((words[bit >>> 5]! >>> (bit & 31)) & 1) === 1
}

function setBit(words: Int32Array, bit: number): void {
  words[bit >>> 5]! |= 1 << (bit & 31)
}

function clearBit(words: Int32Array, bit: number): void {
  words[bit >>> 5]! &= ~(1 << (bit & 31))
}

import type { FactDefinition } from './facts.ts'

/** The number of every text that no rule mentions: it equals none that a rule does mention. */
const UNMENTIONED = -1

/** What stands in one place of the array of numbers that rules are evaluated on. */
export type Slot =
  /** A fact; of a text, its number. */
  | { readonly kind: 'fact'; readonly name: string; readonly definition: FactDefinition }
  /** 1 while the request carries the tag, else 0. */
  | { readonly kind: 'tag'; readonly tag: string; readonly definition: { readonly per: 'request' } }
  /** Two facts compared: below, at or above 0 as the left one is less than, equal to or greater than the right one. Of texts: 0 where they are equal, else 1. */
  | { readonly kind: 'pair'; readonly left: string; readonly right: string; readonly definition: Pick<FactDefinition, 'type' | 'per'> }

/** Gives facts their slots and texts their numbers. The facts of the catalogue come first, in its order; tags and pairs follow as rules ask for them. */
export class FactLayout {
  readonly #catalogue: ReadonlyMap<string, FactDefinition>
  readonly #slots: Slot[]
  readonly #index = new Map<string, number>()
  readonly #texts = new Map<string, number>()

  constructor(catalogue: ReadonlyMap<string, FactDefinition>) {
    this.#catalogue = catalogue
    this.#slots = [...catalogue].map(([name, definition]) => ({ kind: 'fact', name, definition }))
    for (const [index, name] of [...catalogue.keys()].entries()) this.#index.set(name, index)
  }

  get slots(): readonly Slot[] {
    return this.#slots
  }

  /** @throws RangeError where there is no such fact. */
  factSlot(name: string): number {
    const index = this.#index.get(name)
    if (index === undefined) throw new RangeError(`no fact ${name}`)
    return index
  }

  tagSlot(tag: string): number {
    return this.#findOrAdd({ kind: 'tag', tag, definition: { per: 'request' } })
  }

  pairSlot(left: string, right: string): number {
    const [one, other] = [this.#definitionOf(left), this.#definitionOf(right)]
    const per = one.per === 'candidate' || other.per === 'candidate' ? 'candidate' : 'request'
    return this.#findOrAdd({ kind: 'pair', left, right, definition: { type: one.type, per } })
  }

  /** Gives a text a number of its own, from 0. */
  mention(text: string): number {
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    this.#texts.set(text, this.#texts.size)
    return this.#texts.size - 1
  }

  numberOf(text: string): number {
    return this.#texts.get(text) ?? UNMENTIONED
  }

  /** How many texts have a number. */
  get textCount(): number {
    return this.#texts.size
  }

  #definitionOf(name: string): FactDefinition {
    const definition = this.#catalogue.get(name)
    if (definition === undefined) throw new RangeError(`no fact ${name}`)
    return definition
  }

  #findOrAdd(slot: Slot): number {
    const key = JSON.stringify(slot)
    const known = this.#index.get(key)
    if (known !== undefined) return known
    this.#index.set(key, this.#slots.length)
    return this.#slots.push(slot) - 1
  }
}

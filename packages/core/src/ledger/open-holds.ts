import type { Hold } from './record.ts'

/** Holds by their ids. */
export interface HoldIndex {
  readonly size: number
  get(id: string): Hold | undefined
  has(id: string): boolean
  keys(): Iterable<string>
  /** In the order in which they were made. */
  values(): Iterable<Hold>
}

/** As many as two digits in base 36 can say: a number's slot is its last two. */
const SLOTS = 36 ** 2

/**
 * The holds of calls under way. Thousands come and go in a second, which a `Map` takes badly: it grows a new table every few hundred entries,
 * and the old ones keep each other and all that was in them alive until a full garbage collection. Ids end in a number that counts up, so a ring
 * of slots does; what is still open when its slot comes round again is rare and moves to a map.
 */
export class OpenHolds implements HoldIndex {
  readonly #slots: (Hold | undefined)[] = Array.from({ length: SLOTS })
  readonly #older = new Map<string, Hold>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get(id: string): Hold | undefined {
    const hold = this.#slots[slotOf(id)]
    return hold?.id === id ? hold : this.#older.get(id)
  }

  has(id: string): boolean {
    return this.get(id) !== undefined
  }

  /** @param hold one whose id is not here yet. */
  add(hold: Hold): void {
    const slot = slotOf(hold.id)
    const before = this.#slots[slot]
    if (before !== undefined) this.#older.set(before.id, before)
    this.#slots[slot] = hold
    this.#size += 1
  }

  /** @returns whether it was here. */
  delete(id: string): boolean {
    const slot = slotOf(id)
    if (this.#slots[slot]?.id === id) this.#slots[slot] = undefined
    else if (!this.#older.delete(id)) return false
    this.#size -= 1
    return true
  }

  clear(): void {
    this.#slots.fill(undefined)
    this.#older.clear()
    this.#size = 0
  }

  keys(): Iterable<string> {
    return this.values().map(({ id }) => id)
  }

  values(): readonly Hold[] {
    const holds = [...this.#older.values(), ...this.#slots.filter((hold) => hold !== undefined)]
    return holds.sort((left, right) => numberOf(left.id) - numberOf(right.id))
  }
}

/** Told by the last two characters alone; any text has some slot. */
function slotOf(id: string): number {
  return ((digitAt(id, id.length - 2) * 36 + digitAt(id, id.length - 1)) >>> 0) % SLOTS
}

function digitAt(id: string, index: number): number {
  const code = id.charCodeAt(index)
  return code < 58 ? code - 48 : code - 87
}

/** Ids are `<session>-<number in base 36>`. */
function numberOf(id: string): number {
  return Number.parseInt(id.slice(id.lastIndexOf('-') + 1), 36)
}

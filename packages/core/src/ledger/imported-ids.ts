import { quarterOf } from '../windows.ts'

/** The ids of each quarter-hour, its start in ms since the epoch. */
export type ImportedIdsSnapshot = readonly (readonly [quarterMs: number, ids: readonly string[]])[]

/** What was imported, as far back as the cells reach: so that it counts once, however often it is imported. */
export class ImportedIds {
  readonly #quarters = new Map<string, number>()
  /** Routers import nothing, and write a checkpoint each minute. */
  #snapshot: ImportedIdsSnapshot | undefined

  static restore(snapshot: ImportedIdsSnapshot): ImportedIds {
    const ids = new ImportedIds()
    for (const [quarterMs, own] of snapshot) for (const id of own) ids.#quarters.set(id, quarterMs)
    return ids
  }

  has(id: string): boolean {
    return this.#quarters.has(id)
  }

  /** @returns whether it is new. */
  add(id: string, atMs: number): boolean {
    if (this.#quarters.has(id)) return false
    this.#quarters.set(id, quarterOf(atMs))
    this.#snapshot = undefined
    return true
  }

  merge(other: ImportedIds): void {
    for (const [id, quarterMs] of other.#quarters) this.add(id, quarterMs)
  }

  /** Forgets those of quarter-hours that begin before `beforeMs`. */
  prune(beforeMs: number): void {
    for (const [id, quarterMs] of this.#quarters) {
      if (quarterMs >= beforeMs) continue
      this.#quarters.delete(id)
      this.#snapshot = undefined
    }
  }

  /** Equal for equal ids, in whatever order they came. */
  snapshot(): ImportedIdsSnapshot {
    if (this.#snapshot !== undefined) return this.#snapshot
    const groups = new Map<number, string[]>()
    for (const [id, quarterMs] of this.#quarters) {
      const group = groups.get(quarterMs)
      if (group === undefined) groups.set(quarterMs, [id])
      else group.push(id)
    }
    this.#snapshot = [...groups].sort(([left], [right]) => left - right).map(([quarterMs, ids]) => [quarterMs, ids.sort()] as const)
    return this.#snapshot
  }
}

import { quarterOf } from '../windows.ts'

/** The ids of each quarter-hour, its start in ms since the epoch. */
export type ImportedIdsSnapshot = readonly (readonly [quarterMs: number, ids: readonly string[]])[]

/** What was imported, as far back as the cells reach: so that it counts once, however often it is imported. */
export class ImportedIds {
  readonly #ids = new Set<string>()
  readonly #quarters = new Map<number, string[]>()
  /** Routers import nothing, and write a checkpoint each minute. */
  #snapshot: ImportedIdsSnapshot | undefined

  static restore(snapshot: ImportedIdsSnapshot): ImportedIds {
    const ids = new ImportedIds()
    for (const [quarterMs, own] of snapshot) for (const id of own) ids.add(id, quarterMs)
    return ids
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }

  /** @returns whether it is new. */
  add(id: string, atMs: number): boolean {
    if (this.#ids.has(id)) return false
    this.#ids.add(id)
    const quarterMs = quarterOf(atMs)
    const own = this.#quarters.get(quarterMs)
    if (own === undefined) this.#quarters.set(quarterMs, [id])
    else own.push(id)
    this.#snapshot = undefined
    return true
  }

  merge(other: ImportedIds): void {
    for (const [quarterMs, ids] of other.#quarters) for (const id of ids) this.add(id, quarterMs)
  }

  /** Forgets those of quarter-hours that begin before `beforeMs`. By quarter-hours, since there may be a hundred thousand ids. */
  prune(beforeMs: number): void {
    for (const [quarterMs, ids] of this.#quarters) {
      if (quarterMs >= beforeMs) continue
      for (const id of ids) this.#ids.delete(id)
      this.#quarters.delete(quarterMs)
      this.#snapshot = undefined
    }
  }

  /** Equal for equal ids, in whatever order they came. */
  snapshot(): ImportedIdsSnapshot {
    this.#snapshot ??= [...this.#quarters].sort(([left], [right]) => left - right).map(([quarterMs, ids]) => [quarterMs, ids.toSorted()] as const)
    return this.#snapshot
  }
}

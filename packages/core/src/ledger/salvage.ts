import { isoInstant } from '../instant.ts'
import { nanoToUsd } from '../money.ts'
import type { BackendKind } from '../limit.ts'
import { Books, type BooksSnapshot } from './books.ts'
import type { Adjustment, LedgerEntry, LedgerRecord } from './record.ts'
import { cellDifferences } from './snapshot-differences.ts'

/** Why a correction or a release was made by a repair. */
const REASON = 'repair: known from the checkpoint alone, its line is lost'

/**
 * What becomes of the records of a damaged journal: the books as of those that could be verified, and what is to be written for each that stood after the damage.
 * A settlement whose reservation is lost becomes an import, so that it still counts.
 */
export class Salvage {
  readonly books = new Books()
  /** Settlements that became imports. */
  imported = 0
  readonly #kinds = new Map<string, BackendKind>()
  /** Ids whose reservation is missing between two others of its session. */
  readonly #lost = new Set<string>()

  /** A record from before the damage. @throws Error where it contradicts those before it. */
  keep(record: LedgerRecord): void {
    if (record.type === 'reserve') this.#kinds.set(record.hold.backend, record.hold.kind)
    this.books.apply(record)
  }

  /** A record from after the damage. @returns what to write in its place. @throws Error where it contradicts those before it. */
  rescue(record: LedgerRecord): LedgerRecord {
    if (record.type === 'reserve') this.#noteLost(record.hold.id)
    const rescued = record.type === 'settle' && this.#isOrphan(record.entry.id) ? this.#importOf(record.entry) : record
    this.keep(rescued)
    if (rescued !== record) this.imported += 1
    return rescued
  }

  /**
   * Records that make the books say what a checkpoint said as of this line: it had seen what is lost. Holds that it no longer had were ended, its totals have what they came to.
   *
   * @param session of the ids of corrections, new
   */
  restore(checkpoint: BooksSnapshot, session: string, time: string): readonly LedgerRecord[] {
    const known = new Set([...checkpoint.holds, ...checkpoint.presumed].map(({ id }) => id))
    const ended = [...this.books.openHolds.keys(), ...this.books.presumedHolds.keys()].filter((id) => !known.has(id))
    const records: LedgerRecord[] = ended.map((id) => ({ type: 'release', id, time, reason: REASON }))
    const mine = this.books.snapshot()
    for (const { call, atMs, costNano, tokens, requests } of cellDifferences(checkpoint.cells, mine.cells, checkpoint.sinceMs)) {
      const adjustment: Adjustment = {
        timestamp: isoInstant(atMs),
        backend: call.backend,
        kind: call.kind,
        model: call.model,
        // Totals do not know which were which.
        prompt_tokens: tokens,
        completion_tokens: 0,
        cost_usd: nanoToUsd(costNano),
        task_id: null,
        task_type: call.taskType === '' ? null : call.taskType,
        requests,
        id: `${session}-${(records.length + 1).toString(36)}`,
        policy: checkpoint.policy?.version ?? '',
      }
      records.push({ type: 'adjust', time, reason: REASON, adjustment })
    }
    if (mine.policy === null && checkpoint.policy !== null) records.push({ type: 'policy', time, ...checkpoint.policy })
    for (const record of records) this.keep(record)
    return records
  }

  /** Ids of a session are numbered without a gap. */
  #noteLost(id: string): void {
    const end = id.lastIndexOf('-')
    const session = id.slice(0, end)
    const number = Number.parseInt(id.slice(end + 1), 36)
    for (let missing = this.books.sessions.number(session) + 1; missing < number; missing += 1) this.#lost.add(`${session}-${missing.toString(36)}`)
  }

  #isOrphan(id: string): boolean {
    if (this.books.openHolds.has(id) || this.books.presumedHolds.has(id)) return false
    return this.#lost.has(id) || !this.books.sessions.has(id)
  }

  #importOf(entry: LedgerEntry): LedgerRecord {
    const kind = this.#kinds.get(entry.backend) ?? 'cloud'
    return { type: 'import', time: entry.timestamp, source: 'repair: its reservation is lost', kind, entry }
  }
}

import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { Books } from '../../packages/core/src/ledger/books.ts'
import { scanJournal, START } from '../../packages/core/src/ledger/journal-scan.ts'
import type { LedgerRecord } from '../../packages/core/src/ledger/record.ts'
import { Reference } from '../contract/ledger-reference.ts'
import { order } from '../contract/ledger-samples.ts'
import { CALLS, keyOf, POLICY, viewOf, type Attempt, type View } from './workload.ts'

/** What a process attempted in one life, in order, and which of it was acknowledged. */
export interface Life {
  readonly session: string
  readonly attempts: readonly Attempt[]
  /** Indexes of attempts. */
  readonly acknowledged: ReadonlySet<number>
  /** No attempt was later, ms since the epoch. */
  readonly nowMs: number
}

export interface Recovered {
  /** How many of the attempts were found. */
  readonly attempts: number
  /** Whether the journal ends in something that has to be cut. */
  readonly torn: boolean
}

/** What the books must be, from the attempts that were recovered alone: a list of calls, and sums over it. */
export class Model {
  readonly #reference = new Reference(POLICY)

  take(attempt: Attempt): void {
    switch (attempt.op) {
      case 'reserve': {
        const { id, call, atMs, costNano, tokens } = attempt
        return this.#reference.reserve(id, order({ ...CALLS[call], atMs, estimate: { costNano, tokens, requests: 1 } }))
      }
      case 'settle':
        return this.#reference.settle(attempt.id, attempt.costNano, attempt.tokens)
      case 'release':
        return this.#reference.release(attempt.id)
      case 'notice':
    }
  }

  /** Ids of the holds that are open. */
  get open(): readonly string[] {
    return this.#reference.ids('held')
  }

  /** Another process has opened the ledger: what is open is presumed spent. */
  restart(): void {
    this.#reference.restart()
  }

  view(nowMs: number): View {
    return {
      meters: POLICY.limits.map((limit) => ({ name: limit.name, ...this.#reference.sums(limit, nowMs) })),
      ...this.#reference.spentSince(0),
      openHolds: this.open,
    }
  }
}

/**
 * Checks what a life has left on disk: acknowledged ⊆ recovered ⊆ attempted, in the order of the attempts, nothing damaged,
 * and books that equal the model's, which takes what was recovered.
 *
 * @throws AssertionError
 */
export async function checkDeath(folder: string, life: Life, model: Model): Promise<Recovered> {
  const records: LedgerRecord[] = []
  // A process that died before it made the folder has left nothing to look at.
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { ending } = await scanJournal(folder, START, undefined, (record) => records.push(record))
  assert.notEqual(ending.kind, 'damaged', `${life.session}: ${ending.kind === 'whole' ? '' : ending.reason}`)
  const begin = records.findIndex((record) => record.type === 'open' && record.session === life.session)
  const recovered = begin < 0 ? [] : records.slice(begin).flatMap((record) => keyOf(record) ?? [])
  const count = recovered.length
  assert.deepEqual(recovered, life.attempts.slice(0, count).map(keyOf), `${life.session}: recovered is not a prefix of what was attempted`)
  const lost = [...life.acknowledged].filter((index) => index >= count)
  assert.deepEqual(lost, [], `${life.session}: acknowledged and gone`)
  const numbers = records.flatMap((record) => (record.type === 'notice' ? [record.notice.number] : []))
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index + 1),
    'notices are numbered without a gap',
  )

  const books = new Books()
  for (const record of records) books.apply(record)
  // A process that died too early has opened nothing.
  if (begin >= 0) model.restart()
  for (const attempt of life.attempts.slice(0, count)) model.take(attempt)
  books.usePolicy(POLICY, life.nowMs)
  assert.deepEqual(viewOf(books), model.view(books.nowMs), `${life.session}: the books are not the model's`)
  assert.deepEqual(books.audit(), [])
  return { attempts: count, torn: ending.kind === 'torn' }
}

import { isoInstant } from '../instant.ts'
import type { CallScope, Quantities } from '../limit.ts'
import { QUARTER_MS } from '../windows.ts'
import type { BooksSnapshot } from './books.ts'
import type { SeriesSnapshot } from './cells.ts'

/** What one quarter-hour of a kind of call has in one place more than in another; negative where it has less. */
export interface CellDifference extends Quantities {
  readonly call: CallScope
  readonly atMs: number
}

/** By how much `left` is above `right`, in the quarter-hours from `sinceMs` on. Empty where every total agrees to the nano. */
export function cellDifferences(left: readonly SeriesSnapshot[], right: readonly SeriesSnapshot[], sinceMs: number): readonly CellDifference[] {
  const sums = new Map<string, { call: CallScope; atMs: number; costNano: number; tokens: number; requests: number }>()
  const add = (all: readonly SeriesSnapshot[], sign: 1 | -1): void => {
    for (const { backend, kind, model, taskType, quarters, costNano, tokens, requests } of all) {
      const call = { backend, kind, model, taskType }
      let quarter = 0
      quarters.forEach((step, index) => {
        quarter += step
        const atMs = quarter * QUARTER_MS
        if (atMs < sinceMs) return
        const key = JSON.stringify([kind, backend, model, taskType, quarter])
        const sum = sums.get(key) ?? { call, atMs, costNano: 0, tokens: 0, requests: 0 }
        sum.costNano += sign * (costNano[index] ?? 0)
        sum.tokens += sign * (tokens[index] ?? 0)
        sum.requests += sign * (requests[index] ?? 0)
        sums.set(key, sum)
      })
    }
  }
  add(left, 1)
  add(right, -1)
  return [...sums.values()].filter(({ costNano, tokens, requests }) => costNano !== 0 || tokens !== 0 || requests !== 0)
}

/** What a checkpoint says otherwise than the replayed journal as of the same line: one line of text each. */
export function snapshotDifferences(checkpoint: BooksSnapshot, replayed: BooksSnapshot): readonly string[] {
  const sinceMs = Math.max(checkpoint.sinceMs, replayed.sinceMs)
  const found = cellDifferences(checkpoint.cells, replayed.cells, sinceMs).map(
    ({ call, atMs, costNano, tokens, requests }) =>
      `${[call.backend, call.model, call.taskType || '-'].join(' ')} at ${isoInstant(atMs)}: ${signed(costNano)} nano-USD, ${signed(tokens)} tokens, ${signed(requests)} requests`,
  )
  const compare = (what: string, of: (snapshot: BooksSnapshot) => unknown): void => {
    const [left, right] = [JSON.stringify(of(checkpoint)), JSON.stringify(of(replayed))]
    if (left !== right) found.push(`${what}: ${shortened(left)} in the checkpoint, ${shortened(right)} in the journal`)
  }
  compare('ledger', ({ ledger }) => ledger)
  compare('last record', ({ lastMs }) => lastMs)
  compare('policy', ({ policy }) => policy?.version)
  compare('open holds', ({ holds }) => holds.map(({ id }) => id).sort())
  compare('presumed holds', ({ presumed }) => presumed.map(({ id }) => id).sort())
  compare('last notice', ({ notices }) => notices.last)
  compare('imported', ({ imported }) => imported.filter(([quarterMs]) => quarterMs >= sinceMs))
  compare('repairs', ({ repairs }) => repairs)
  return found
}

function signed(quantity: number): string {
  return quantity < 0 ? String(quantity) : `+${quantity}`
}

function shortened(text: string | undefined): string {
  return text === undefined ? 'nothing' : text.length <= 120 ? text : `${text.slice(0, 117)}...`
}

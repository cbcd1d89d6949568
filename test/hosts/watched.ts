import { openManciple } from '@manciple/core'
import type { DecideRequest, Dispatch, LedgerEntry, Manciple } from '@manciple/core'
import type { FetchManciple } from '@manciple/router-plugin/fetch'

/** A real Manciple with its ledger in memory, and all that a host told it. */
export interface Watched extends FetchManciple {
  readonly open: Manciple
  readonly requests: DecideRequest[]
  readonly entries: LedgerEntry[]
  readonly releases: string[]
  readonly observed: unknown[]
  /** The next entry that is made. */
  entry(): Promise<LedgerEntry>
}

export async function watch(policy: string): Promise<Watched> {
  const open = await openManciple({ config: { text: policy }, ledger: 'memory', onError: () => {} })
  const [requests, entries, releases, observed]: [DecideRequest[], LedgerEntry[], string[], unknown[]] = [[], [], [], []]
  let taken = 0
  const waiting: (() => void)[] = []
  return {
    open,
    requests,
    entries,
    releases,
    observed,
    async decide(request) {
      requests.push(request)
      const dispatch = await open.decide(request)
      return {
        decision: dispatch.decision,
        async settle(outcome) {
          const entry = await dispatch.settle(outcome)
          entries.push(entry)
          for (const wake of waiting.splice(0)) wake()
          return entry
        },
        async release(reason) {
          await dispatch.release(reason)
          releases.push(reason)
        },
        [Symbol.asyncDispose]: () => dispatch[Symbol.asyncDispose](),
      } satisfies Dispatch
    },
    async observe(backend, reading) {
      observed.push({ backend, ...reading })
      await open.observe(backend, reading)
    },
    async entry() {
      while (entries.length <= taken) {
        await new Promise<void>((resolve) => {
          waiting.push(resolve)
        })
      }
      taken += 1
      return entries[taken - 1] as LedgerEntry
    },
  }
}

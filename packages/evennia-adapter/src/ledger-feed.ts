import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { followNotices, journalEnd, MancipleError, openOutsideView, type JournalEnd, type Notice, type OutsideView } from '@manciple/core'
import { itemOf } from './messages.ts'
import type { SessionInput, Source } from './session-state.ts'
import { DAY_MS, DAYS, snapshotOf, type SnapshotData } from './snapshot.ts'

export interface LedgerFeedOptions {
  readonly ledger: string
  /** Figures as of the last record, for a router that runs on a clock of its own. */
  readonly latest: boolean
  readonly hear: (input: SessionInput) => void
  /** Resolves when another notice may come. */
  readonly room: () => Promise<void>
  readonly say: (text: string) => void
}

/** At least between two looks at the ledger. */
const LOOK_MS = 500
/** Figures are taken anew this often even where nothing was written: time passes. It is the heartbeat as well. */
const REFRESH_MS = 25_000
/** Taking figures shall cost at most this share of the time. */
const SHARE = 1 / 20
const RETRY_MS = 5_000
/** A router that has written nothing for so long is said to be silent. */
const SILENT_MS = 900_000
/** How far back a game that is new to a stream begins: as many notices as it surely still knows where it had them from another stream. */
const REACH_MS = 30 * DAY_MS
const REACH_NOTICES = 400

/** What a ledger folder says to a game: figures when they have changed, and the notices from any number on. Reads beside the router, and never writes. */
export class LedgerFeed {
  readonly #options: LedgerFeedOptions
  readonly #signal: AbortSignal
  #following = new AbortController()
  #stream = ''
  #asked = false
  #trouble: string | undefined

  constructor(options: LedgerFeedOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
    signal.addEventListener('abort', () => this.#following.abort())
  }

  /** Takes figures until the signal aborts. Errors are said, and tried again. */
  async run(): Promise<void> {
    let last: { readonly end: JournalEnd | undefined; readonly atMs: number; readonly tookMs: number } | undefined
    while (!this.#signal.aborted) {
      const end = await journalEnd(this.#options.ledger)
      const nowMs = performance.now()
      const changed = last === undefined || end?.bytes !== last.end?.bytes || end?.segment !== last.end?.segment
      const due = last === undefined || nowMs >= last.atMs + Math.max(LOOK_MS, last.tookMs / SHARE)
      if (this.#asked || (due && (changed || nowMs >= (last?.atMs ?? 0) + REFRESH_MS))) {
        await this.#look(end)
        last = { end, atMs: nowMs, tookMs: performance.now() - nowMs }
      }
      await this.#pause(LOOK_MS, this.#signal)
    }
  }

  /** Takes figures anew, whether or not anything was written. */
  lookSoon(): void {
    this.#asked = true
  }

  /** Hands out the notices after this number, instead of those that it handed out so far. */
  follow(after: number): void {
    this.#following.abort()
    this.#following = new AbortController()
    if (this.#signal.aborted) return
    void this.#follow(after, this.#following.signal)
  }

  async #look(end: JournalEnd | undefined): Promise<void> {
    const asked = this.#asked
    this.#asked = false
    try {
      const view = await this.#view()
      const data = await this.#figures(view, end)
      if (this.#signal.aborted) return
      this.#hearSource(view, asked)
      this.#options.hear({ type: 'snapshot', data })
      this.#trouble = undefined
    } catch (error) {
      this.#sayOnce(`The ledger cannot be read yet: ${messageOf(error)}`)
    }
  }

  #view(): Promise<OutsideView> {
    return openOutsideView(this.#options.ledger, this.#options.latest ? { at: 'latest' } : {})
  }

  async #figures(view: OutsideView, end: JournalEnd | undefined): Promise<SnapshotData> {
    const nowMs = Date.parse(view.asOf)
    // A day more than is shown, and a quarter-hour, for days of 25 hours and the call of this very moment.
    const { rows } = await view.history({ from: new Date(nowMs - (DAYS + 1) * DAY_MS), to: new Date(nowMs + 900_000), by: ['day', 'backend'] })
    return snapshotOf({
      costs: view.costs(),
      budget: view.budget(),
      kinds: new Map(view.policy.backends.map(({ name, kind }) => [name, kind])),
      history: rows,
      fault: view.fault,
      alive: end !== undefined && Date.now() - end.writtenMs < SILENT_MS,
      lastRecord: view.lastRecord,
    })
  }

  async #follow(after: number, signal: AbortSignal): Promise<void> {
    let number = after
    while (!signal.aborted) {
      try {
        for await (const notice of followNotices(this.#options.ledger, number, signal)) {
          for (const one of [...missingBefore(notice, number), notice]) {
            await this.#options.room()
            if (signal.aborted) return
            this.#options.hear({ type: 'notice', item: itemOf(one, this.#idOf(one)) })
          }
          number = notice.number
        }
      } catch (error) {
        if (signal.aborted) return
        this.#sayOnce(`Notices after number ${number} cannot be read: ${messageOf(error)}`)
        await this.#pause(RETRY_MS, signal)
        if (!signal.aborted && error instanceof MancipleError && (await this.#isAnother())) return
      }
    }
  }

  /** Whether the journal is not the one that was followed: repaired, put back from a copy, or without its older parts. Then the session has been told. */
  async #isAnother(): Promise<boolean> {
    const before = this.#stream
    const view = await this.#view().catch(() => undefined)
    if (view === undefined || view.fault !== undefined) return false
    const source = this.#hearSource(view, false)
    if (source.stream === before) this.#options.hear({ type: 'gap', first: source.oldest })
    return true
  }

  #hearSource(view: OutsideView, asked: boolean): Source {
    const source = sourceOf(view)
    this.#stream = source.stream
    this.#options.hear({ type: 'source', source, asked })
    return source
  }

  /** The same for the same notice, also when the ledger is repaired and its stream another one. */
  #idOf({ kind, episode, time }: Notice): string {
    return createHash('sha256')
      .update(JSON.stringify([this.#stream.split('.', 1), kind, episode, time]))
      .digest('hex')
      .slice(0, 24)
  }

  #sayOnce(text: string): void {
    if (this.#trouble !== text) this.#options.say(text)
    this.#trouble = text
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    await sleep(ms, undefined, { signal }).catch(() => undefined)
  }
}

function sourceOf({ stream, notices, asOf }: OutsideView): Source {
  const next = (notices.at(-1)?.number ?? 0) + 1
  const oldest = notices.slice(-REACH_NOTICES).find(({ time }) => Date.parse(time) >= Date.parse(asOf) - REACH_MS)?.number ?? next
  return { stream, oldest, next }
}

/** A repair may have lost lines. What stands for them says so, for the numbers of a stream have no gap. */
function missingBefore(notice: Notice, number: number): readonly Notice[] {
  return Array.from({ length: notice.number - number - 1 }, (_, index): Notice => {
    const lost = number + 1 + index
    return {
      number: lost,
      time: notice.time,
      severity: 'warning',
      kind: 'notices-lost',
      scope: 'ledger',
      episode: `lost ${lost}`,
      text: `Notice ${lost} was lost when the ledger was damaged.`,
      data: {},
    }
  })
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? ''
}

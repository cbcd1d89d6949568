import { MAX_BYTES, MAX_ITEMS, type BatchLimits, type Inbound, type NoticeItem } from './messages.ts'
import type { SnapshotData } from './snapshot.ts'

/** The notices of a ledger, as a follower knows them. */
export interface Source {
  readonly stream: string
  /** The lowest number still at hand. */
  readonly oldest: number
  /** The number of the next notice. */
  readonly next: number
}

/** Where the conversation with the game stands. Times in ms of any clock that does not go back. */
export type Phase =
  | { readonly at: 'away'; readonly untilMs: number }
  | { readonly at: 'connecting' }
  /** The socket is open; the password waits for a sign of life, so that silence is not taken for a refusal. */
  | { readonly at: 'open'; readonly sinceMs: number; readonly heard: boolean }
  | { readonly at: 'login'; readonly sinceMs: number; readonly heard: boolean }
  | { readonly at: 'hello'; readonly sentMs: number | undefined; readonly tries: number }
  | { readonly at: 'ready'; readonly sinceMs: number }

/** The one request that waits for an answer. */
export type Flight = { readonly id: number; readonly sentMs: number } & (
  | { readonly lane: 'snapshot'; readonly snapshot: SnapshotData }
  | { readonly lane: 'notices'; readonly count: number }
)

/** All that the bridge knows. Nothing of it outlives the process: the game keeps the cursor. */
export interface Session {
  readonly phase: Phase
  /** Attempts without a steady connection. */
  readonly failures: number
  /** Logins refused in a row. */
  readonly refused: number
  readonly source: Source | undefined
  /** How often the stream was begun anew because what the game needs cannot be had; 0 while it is the ledger's own. */
  readonly renewed: number
  /** The first number of a stream that was begun anew. */
  readonly begins: number
  /** Whether the game has been heard to know more than the ledger: then the ledger is looked at once more before that is believed. */
  readonly doubt: 'none' | 'looking' | 'looked'
  /** The last number that the game has. */
  readonly cursor: number
  /** The last number that the ledger handed out; {@link NOT_FED} while it is not asked. */
  readonly fed: number
  readonly rev: number
  readonly limits: BatchLimits
  readonly flight: Flight | undefined
  /** Above the cursor, gap-free. */
  readonly pending: readonly NoticeItem[]
  /** The latest that has not been sent. */
  readonly snapshot: SnapshotData | undefined
  readonly snapshotMs: number
  /** Nothing is sent before. */
  readonly restUntilMs: number
  /** Answers in a row that brought nothing forward. */
  readonly stuck: number
  readonly lastId: number
}

export type SessionInput =
  | { readonly type: 'tick' }
  | { readonly type: 'opened' }
  | { readonly type: 'closed'; readonly reason: string }
  | { readonly type: 'heard' }
  | { readonly type: 'logged-in' }
  | { readonly type: 'message'; readonly message: Inbound }
  /** `asked`: it was looked for after the last {@link Effect} that asked for a look. */
  | { readonly type: 'source'; readonly source: Source; readonly asked: boolean }
  | { readonly type: 'snapshot'; readonly data: SnapshotData }
  | { readonly type: 'notice'; readonly item: NoticeItem }
  /** The ledger cannot hand out what is asked of it; the first that it can is this. */
  | { readonly type: 'gap'; readonly first: number }

export type Effect =
  | { readonly do: 'connect' }
  | { readonly do: 'disconnect' }
  | { readonly do: 'login' }
  | { readonly do: 'send'; readonly frame: string }
  /** Hand out the notices after this number, instead of those before. */
  | { readonly do: 'follow'; readonly after: number }
  | { readonly do: 'look' }
  | { readonly do: 'say'; readonly text: string }

/** Time, chance, and who speaks. */
export interface Circumstances {
  readonly nowMs: number
  /** 0 to 1. */
  readonly random: number
  readonly account: string
}

export interface Advance {
  readonly session: Session
  readonly effects: readonly Effect[]
}

/** How long is waited, in ms. A message goes out only on a tick, and one at most: with ten ticks a second that is the limit of rate. */
export const TIMING = {
  tick: 100,
  /** For a sign of life before the password is sent. */
  greeting: 3_000,
  answer: 8_000,
  backoffLeast: 1_000,
  backoffMost: 30_000,
  /** After two wrong passwords, or where the account is not the bridge's. */
  refused: 300_000,
  betweenSnapshots: 1_000,
  /** A connection that has held for this long was a good one. */
  steady: 60_000,
} as const

/** Pending notices beyond which the ledger is not read on. */
export const MAX_PENDING = 2 * MAX_ITEMS
export const NOT_FED = -1

export const NEW_SESSION: Session = {
  phase: { at: 'away', untilMs: 0 },
  failures: 0,
  refused: 0,
  source: undefined,
  renewed: 0,
  begins: 1,
  doubt: 'none',
  cursor: 0,
  fed: NOT_FED,
  rev: 0,
  limits: { items: MAX_ITEMS, bytes: MAX_BYTES },
  flight: undefined,
  pending: [],
  snapshot: undefined,
  snapshotMs: Number.NEGATIVE_INFINITY,
  restUntilMs: 0,
  stuck: 0,
  lastId: 0,
}

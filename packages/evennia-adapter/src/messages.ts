import type { Notice } from '@manciple/core'
import { z } from 'zod'

/** Version of the messages between a router and a game. */
export const PROTOCOL_VERSION = 1

/** What one message may hold, unless the game asks for less. */
export const MAX_ITEMS = 50
export const MAX_BYTES = 65_536
/** Room that any single notice needs: {@link itemOf} bounds it. */
const LEAST_BYTES = 16_384

const MAX_NAME = 200
const MAX_TEXT = 600
const MAX_KIND = 60
const MAX_DATA_ENTRIES = 10
const MAX_DATA_KEY = 40
const MAX_DATA_TEXT = 120

const counter = z.int().nonnegative()
const name = z.string().max(MAX_NAME)
const requestId = z.int().nullable()

const MESSAGES = {
  costs_welcome: z.object({
    v: z.int(),
    stream: name,
    cursor: counter,
    rev: counter,
    game: name,
    max_batch: z.int().min(1),
    max_bytes: z.int().min(LEAST_BYTES),
  }),
  costs_ack: z.object({ id: requestId, cursor: counter, rev: counter }),
  costs_nak: z.object({ id: requestId.optional(), code: z.string().max(40), cursor: counter.optional(), detail: z.string().max(2_000).optional() }),
  costs_resync: z.object({ cursor: counter, rev: counter, why: name }),
}

/** What the game says, by the name of the message. */
export type Inbound = {
  readonly [Name in keyof typeof MESSAGES]: { readonly name: Name; readonly body: z.infer<(typeof MESSAGES)[Name]> }
}[keyof typeof MESSAGES]

/** A frame from the game, as far as the bridge cares. `heard`: anything else, which shows that somebody is there. */
export type Heard =
  | { readonly kind: 'heard' }
  | { readonly kind: 'logged-in' }
  | { readonly kind: 'message'; readonly message: Inbound }
  | { readonly kind: 'malformed'; readonly found: string }

/** Reads one websocket frame. What players are shown is not even parsed. */
export function readFrame(text: string): Heard {
  if (/^\s*\[\s*"logged_in"/.test(text)) return { kind: 'logged-in' }
  if (!/^\s*\[\s*"costs_/.test(text)) return { kind: 'heard' }
  const frame = frameSchema.safeParse(parseJson(text))
  if (!frame.success) return { kind: 'malformed', found: 'a frame that is not ["name", [], {…}]' }
  const [command, , body] = frame.data
  if (!isMessage(command)) return { kind: 'heard' }
  const parsed = MESSAGES[command].safeParse(body)
  if (parsed.success) return { kind: 'message', message: { name: command, body: parsed.data } as Inbound }
  const [issue] = parsed.error.issues
  return { kind: 'malformed', found: `${command}.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}` }
}

const frameSchema = z.tuple([z.string(), z.array(z.unknown()), z.record(z.string(), z.unknown())])

function isMessage(command: string): command is keyof typeof MESSAGES {
  return Object.hasOwn(MESSAGES, command)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What the bridge says. */
export type Outbound = 'login' | 'costs_hello' | 'costs_snapshot' | 'costs_notices'

/** A frame for the game, in ASCII alone: as many bytes as characters, on both sides. */
export function writeFrame(command: Outbound, body: object): string {
  return JSON.stringify([command, [], body]).replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A notice as the game gets it. */
export interface NoticeItem {
  /** Gap-free within a stream. */
  readonly seq: number
  /** The same for the same notice in any stream. */
  readonly nid: string
  /** ISO 8601 UTC. */
  readonly ts: string
  readonly severity: Notice['severity']
  readonly kind: string
  readonly text: string
  readonly data: Notice['data']
  /** Shown again at each login until it is cleared. */
  readonly sticky: boolean
  /** Kinds that this one ends. */
  readonly clears: readonly string[] | null
}

/** Two of them tell of a state rather than of an event: the last one is true. */
const CLEARS: Readonly<Record<string, readonly string[]>> = { restored: ['local-only'] }
const STICKY: ReadonlySet<string> = new Set(['local-only'])

/** Bounded: one line of text, few and short data. */
export function itemOf(notice: Notice, nid: string): NoticeItem {
  const { number, time, severity, kind, text, data } = notice
  return {
    seq: number,
    nid,
    ts: time,
    severity,
    kind: oneLine(kind, MAX_KIND),
    text: oneLine(text, MAX_TEXT),
    data: Object.fromEntries(
      Object.entries(data)
        .slice(0, MAX_DATA_ENTRIES)
        .map(([key, value]) => [oneLine(key, MAX_DATA_KEY), typeof value === 'string' ? oneLine(value, MAX_DATA_TEXT) : value]),
    ),
    sticky: STICKY.has(kind),
    clears: CLEARS[kind] ?? null,
  }
}

/** For a game that refuses a notice: the same, with nothing but its text. */
export function bareItem(item: NoticeItem): NoticeItem {
  return { ...item, text: item.text.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_DATA_TEXT), data: {}, sticky: false, clears: null }
}

function oneLine(text: string, length: number): string {
  return text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .slice(0, length)
    .toWellFormed()
}

export interface BatchLimits {
  readonly items: number
  /** Of the whole frame. */
  readonly bytes: number
}

export interface NoticeBatch {
  readonly items: readonly NoticeItem[]
  readonly frame: string
}

/** As many of the first items as one message may hold, at least one. */
export function batchOf(items: readonly NoticeItem[], envelope: { readonly stream: string; readonly id: number }, limits: BatchLimits): NoticeBatch {
  const frameOf = (taken: readonly NoticeItem[]): string => writeFrame('costs_notices', { v: PROTOCOL_VERSION, ...envelope, items: taken })
  let taken = items.slice(0, limits.items)
  let frame = frameOf(taken)
  while (frame.length > limits.bytes && taken.length > 1) {
    // All items are alike in size: this comes out within a few rounds.
    taken = taken.slice(0, Math.max(1, Math.min(taken.length - 1, Math.floor((taken.length * limits.bytes) / frame.length))))
    frame = frameOf(taken)
  }
  return { items: taken, frame }
}

import { bareItem, batchOf, MAX_BYTES, MAX_ITEMS, PROTOCOL_VERSION, writeFrame, type Inbound, type NoticeItem } from './messages.ts'
import {
  NOT_FED,
  TIMING,
  type Advance,
  type Circumstances,
  type Effect,
  type Flight,
  type Phase,
  type Session,
  type SessionInput,
  type Source,
} from './session-state.ts'
import { snapshotFrame, type SnapshotData } from './snapshot.ts'

const MAX_HELLOS = 3

/** One step of the conversation: what happened → what is known now, and what is to be done. Pure. */
export function advance(session: Session, input: SessionInput, around: Circumstances): Advance {
  switch (input.type) {
    case 'tick':
      return tick(session, around)
    case 'opened':
      return session.phase.at === 'connecting' ? plain({ ...session, phase: { at: 'open', sinceMs: around.nowMs, heard: false } }) : plain(session)
    case 'closed':
      return session.phase.at === 'away' ? plain(session) : away(session, around, [], input.reason)
    case 'heard':
      return plain(heard(session))
    case 'logged-in':
      return session.phase.at === 'login' ? plain({ ...session, refused: 0, phase: { at: 'hello', sentMs: undefined, tries: 0 } }) : plain(session)
    case 'message':
      return isTalking(session) ? onMessage(session, input.message, around) : plain(session)
    case 'source':
      return plain(onSource(session, input.source, input.asked))
    case 'snapshot':
      return plain({ ...session, snapshot: input.data })
    case 'notice':
      return plain(onNotice(session, input.item))
    case 'gap':
      return plain(beginAnew(session, input.first))
  }
}

function plain(session: Session): Advance {
  return { session, effects: [] }
}

function isTalking({ phase }: Session): boolean {
  return phase.at === 'hello' || phase.at === 'ready'
}

function heard(session: Session): Session {
  const { phase } = session
  return phase.at === 'open' || phase.at === 'login' ? { ...session, phase: { ...phase, heard: true } } : session
}

// What is due.

function tick(session: Session, around: Circumstances): Advance {
  const { phase } = session
  const { nowMs } = around
  switch (phase.at) {
    case 'away':
      return nowMs < phase.untilMs ? plain(session) : { session: { ...session, phase: { at: 'connecting' } }, effects: [{ do: 'connect' }] }
    case 'connecting':
      return plain(session)
    case 'open':
      if (!phase.heard && nowMs < phase.sinceMs + TIMING.greeting) return plain(session)
      return { session: { ...session, phase: { at: 'login', sinceMs: nowMs, heard: false } }, effects: [{ do: 'login' }] }
    case 'login':
      return nowMs < phase.sinceMs + TIMING.answer ? plain(session) : notLoggedIn(session, phase.heard, around)
    case 'hello':
      return hello(session, phase, around)
    case 'ready':
      return converse(session, around)
  }
}

/** A refusal is nothing but text for people. Who says nothing at all has no server behind the portal just now. */
function notLoggedIn(session: Session, answered: boolean, around: Circumstances): Advance {
  if (!answered) return away(session, around, [{ do: 'disconnect' }], 'the game does not answer the login')
  const refused = session.refused + 1
  if (refused < 2) return away({ ...session, refused }, around, [{ do: 'disconnect' }], `the game refused the login of ${around.account}`)
  return shutOut({ ...session, refused }, around, `The game refused the login of ${around.account} twice: is the password right? The next try is in 5 minutes.`)
}

function hello(session: Session, phase: Extract<Phase, { readonly at: 'hello' }>, around: Circumstances): Advance {
  const { source } = session
  const { nowMs } = around
  if (source === undefined || session.doubt === 'looking' || nowMs < session.restUntilMs) return plain(session)
  if (phase.sentMs !== undefined && nowMs < phase.sentMs + TIMING.answer) return plain(session)
  if (phase.tries >= MAX_HELLOS) return away(session, around, [{ do: 'disconnect' }], 'the game does not answer')
  const body = { v: PROTOCOL_VERSION, stream: streamOf(session), oldest: oldestOf(session), next: source.next, rev: session.rev }
  const next: Session = { ...session, flight: undefined, phase: { at: 'hello', sentMs: nowMs, tries: phase.tries + 1 } }
  return { session: next, effects: [{ do: 'send', frame: writeFrame('costs_hello', body) }] }
}

function converse(session: Session, around: Circumstances): Advance {
  const { flight, snapshot, pending } = session
  const { nowMs } = around
  if (flight !== undefined) {
    if (nowMs < flight.sentMs + TIMING.answer) return plain(session)
    return hello(greetAgain(session), { at: 'hello', sentMs: undefined, tries: 0 }, around)
  }
  if (nowMs < session.restUntilMs) return plain(session)
  const id = session.lastId + 1
  const stream = streamOf(session)
  if (snapshot !== undefined && nowMs >= session.snapshotMs + TIMING.betweenSnapshots) {
    const frame = snapshotFrame(snapshot, { stream, rev: session.rev + 1, id }, session.limits.bytes)
    const next: Session = { ...session, lastId: id, snapshot: undefined, snapshotMs: nowMs, flight: { id, sentMs: nowMs, lane: 'snapshot', snapshot } }
    return { session: next, effects: [{ do: 'send', frame }] }
  }
  if (pending.length === 0) return plain(session)
  const { items, frame } = batchOf(pending, { stream, id }, session.limits)
  return { session: { ...session, lastId: id, flight: { id, sentMs: nowMs, lane: 'notices', count: items.length } }, effects: [{ do: 'send', frame }] }
}

// What the game says.

function onMessage(session: Session, { name, body }: Inbound, around: Circumstances): Advance {
  switch (name) {
    case 'costs_welcome':
      return session.phase.at === 'hello' && session.phase.sentMs !== undefined ? onWelcome(session, body, around) : plain(session)
    case 'costs_ack':
      return body.id !== null && session.flight?.id === body.id ? onAck(session, session.flight, body, around) : plain(session)
    case 'costs_nak':
      return onNak(session, body, around)
    case 'costs_resync':
      return plain(greetAgain(session))
  }
}

type BodyOf<Name extends Inbound['name']> = Extract<Inbound, { readonly name: Name }>['body']

function onWelcome(session: Session, welcome: BodyOf<'costs_welcome'>, around: Circumstances): Advance {
  if (welcome.v !== PROTOCOL_VERSION) return wrongVersion(session, around, `it speaks version ${welcome.v}`)
  const { source } = session
  // A late answer to a hello of before.
  if (welcome.stream !== streamOf(session) || source === undefined) return plain(session)
  if (welcome.cursor >= source.next) return ahead(session, around)
  const limits = { items: Math.min(MAX_ITEMS, welcome.max_batch), bytes: Math.min(MAX_BYTES, welcome.max_bytes) }
  const ready: Session = { ...session, doubt: 'none', phase: { at: 'ready', sinceMs: around.nowMs }, limits, rev: welcome.rev, flight: undefined }
  const moved = moveTo(ready, welcome.cursor, around)
  return {
    session: moved.session,
    effects: [...moved.effects, { do: 'say', text: `Connected to ${welcome.game}, which has notices up to ${welcome.cursor}.` }],
  }
}

function onAck(session: Session, flight: Flight, { cursor, rev }: BodyOf<'costs_ack'>, around: Circumstances): Advance {
  const landed: Session = { ...session, flight: undefined, rev }
  if (flight.lane === 'notices' && cursor <= session.cursor) return moveTo(rest(landed, around), cursor, around)
  return moveTo({ ...landed, stuck: flight.lane === 'notices' || session.pending.length === 0 ? 0 : session.stuck }, cursor, around)
}

function onNak(session: Session, { id = null, code, cursor, detail = '' }: BodyOf<'costs_nak'>, around: Circumstances): Advance {
  const about = session.flight !== undefined && session.flight.id === id ? session.flight : undefined
  switch (code) {
    case 'denied':
      return shutOut(
        session,
        around,
        `The game does not take ${around.account} for its bridge (${detail}): run \`evennia costs_setup\`. The next try is in 5 minutes.`,
      )
    case 'version':
      return wrongVersion(session, around, detail)
    case 'stream':
      return session.phase.at === 'hello' ? ahead(session, around) : plain(rest(greetAgain(session), around))
    default:
      // To a hello, or late.
      if (about === undefined) return plain(session.phase.at === 'hello' ? rest(session, around) : session)
      return onRefusal({ ...session, flight: undefined }, about, { code, cursor, detail }, around)
  }
}

interface Refusal {
  readonly code: string
  readonly cursor: number | undefined
  readonly detail: string
}

/** The game took nothing of the last request. */
function onRefusal(session: Session, flight: Flight, { code, cursor, detail }: Refusal, around: Circumstances): Advance {
  const said: Effect = { do: 'say', text: `The game refused ${flight.lane === 'snapshot' ? 'a snapshot' : 'notices'}: ${code} ${detail}`.trimEnd() }
  if (code === 'busy') return plain({ ...rest(session, around), snapshot: session.snapshot ?? snapshotIn(flight) })
  if (code === 'gap' && cursor !== undefined) return moveTo(rest(session, around), cursor, around)
  const limits = code === 'too_big' ? { ...session.limits, bytes: Math.max(4_096, session.limits.bytes >> 1) } : session.limits
  // The next snapshot says all that this one did; where its form is refused, it can wait.
  if (flight.lane === 'snapshot') {
    const snapshotMs = code === 'too_big' ? session.snapshotMs : session.snapshotMs + TIMING.backoffMost
    return { session: { ...session, limits, snapshotMs }, effects: [said] }
  }
  if (flight.count > 1) return { session: { ...rest(session, around), limits: { ...limits, items: flight.count >> 1 } }, effects: [said] }
  // This very notice: without its data it can hardly be refused.
  const [first, ...others] = session.pending
  return { session: { ...rest(session, around), limits, pending: first === undefined ? [] : [bareItem(first), ...others] }, effects: [said] }
}

/** The game's word on what it has. Notices that it has forgotten are read from the ledger again. */
function moveTo(session: Session, cursor: number, { nowMs }: Circumstances): Advance {
  const pending = session.pending.filter(({ seq }) => seq > cursor)
  const goesOn = pending.length === 0 ? session.fed === cursor : pending[0]?.seq === cursor + 1
  if (goesOn) return plain({ ...session, cursor, pending })
  const { renewed, begins } = session
  if (renewed > 0 && cursor < begins - 1) {
    const told = { ...session, cursor, pending: [gapNotice(session, nowMs)], fed: begins - 1 }
    return { session: told, effects: [{ do: 'follow', after: begins - 1 }] }
  }
  return { session: { ...session, cursor, pending: [], fed: cursor }, effects: [{ do: 'follow', after: cursor }] }
}

// What the ledger says.

function onSource(session: Session, source: Source, asked: boolean): Session {
  const doubt = asked && session.doubt === 'looking' ? 'looked' : session.doubt
  if (session.source === undefined || session.source.stream === source.stream) return { ...session, source, doubt }
  // Repaired, or another one: its numbers mean other notices.
  return greetAgain({ ...session, source, renewed: 0, doubt: 'none', pending: [], fed: NOT_FED, snapshot: undefined })
}

function onNotice(session: Session, item: NoticeItem): Session {
  return item.seq === session.fed + 1 ? { ...session, fed: item.seq, pending: [...session.pending, item] } : session
}

/** The game has more than there is, as far as is known: more may have come since. Else the ledger was put back from an older copy, and gives out numbers anew. */
function ahead(session: Session, around: Circumstances): Advance {
  if (session.doubt === 'looked') return plain(rest(beginAnew(session, session.source?.oldest ?? 1), around))
  return { session: rest(greetAgain({ ...session, doubt: 'looking' }), around), effects: [{ do: 'look' }] }
}

/**
 * Another stream: part of the journal was put away, or the ledger was put back from an older copy, so that it gives out numbers anew that the game has seen.
 * It begins with a notice in place of the one before `first`. The game keeps a cursor for each stream: a bridge that is started again comes to the same one, where it was.
 */
function beginAnew(session: Session, first: number): Session {
  return greetAgain({ ...session, renewed: session.renewed + 1, begins: first, doubt: 'none', pending: [], fed: NOT_FED })
}

function streamOf({ source, renewed }: Session): string {
  return `${source?.stream ?? ''}${renewed === 0 ? '' : `~${renewed}`}`
}

function oldestOf({ source, renewed, begins }: Session): number {
  return renewed === 0 ? (source?.oldest ?? 1) : Math.max(1, begins - 1)
}

function gapNotice(session: Session, nowMs: number): NoticeItem {
  const { begins } = session
  return {
    seq: begins - 1,
    nid: `gap ${streamOf(session)}`,
    ts: new Date(nowMs).toISOString(),
    severity: 'warning',
    kind: 'notices-lost',
    text: `Notices before number ${begins} cannot be had any more: the ledger was put back from an older copy, or parts of its journal were put away.`,
    data: { first: begins },
    sticky: false,
    clears: null,
  }
}

// Getting away, and back.

function greetAgain(session: Session): Session {
  if (!isTalking(session)) return session
  return { ...session, snapshot: session.snapshot ?? snapshotIn(session.flight), flight: undefined, phase: { at: 'hello', sentMs: undefined, tries: 0 } }
}

function snapshotIn(flight: Flight | undefined): SnapshotData | undefined {
  return flight?.lane === 'snapshot' ? flight.snapshot : undefined
}

/** Longer each time that nothing has come forward. */
function rest(session: Session, { nowMs, random }: Circumstances): Session {
  const stuck = session.stuck + 1
  return { ...session, stuck, restUntilMs: nowMs + (stuck === 1 ? 0 : backoffMs(stuck - 1, random)) }
}

function away(session: Session, around: Circumstances, effects: readonly Effect[], reason: string): Advance {
  const steady = session.phase.at === 'ready' && around.nowMs - session.phase.sinceMs >= TIMING.steady
  const failures = steady ? 1 : session.failures + 1
  const waitMs = backoffMs(failures, around.random)
  // Once, and again when it lasts.
  const worthSaying = failures === 1 || failures % 20 === 0 || session.phase.at === 'ready'
  const said: readonly Effect[] = worthSaying ? [{ do: 'say', text: `Not connected: ${reason}. Trying again.` }] : []
  return leave({ ...session, failures }, around.nowMs + waitMs, [...effects, ...said])
}

function shutOut(session: Session, { nowMs }: Circumstances, text: string): Advance {
  return leave(session, nowMs + TIMING.refused, [{ do: 'disconnect' }, { do: 'say', text }])
}

function wrongVersion(session: Session, around: Circumstances, detail: string): Advance {
  return shutOut(session, around, `The game speaks another version of the protocol (${detail}; the bridge ${PROTOCOL_VERSION}). The next try is in 5 minutes.`)
}

/** A snapshot that waits would be an old one by the time of the next connection. */
function leave(session: Session, untilMs: number, effects: readonly Effect[]): Advance {
  return { session: { ...session, phase: { at: 'away', untilMs }, flight: undefined, snapshot: undefined, stuck: 0, restUntilMs: 0 }, effects }
}

/** 1 s, 2 s, 4 s … 30 s, of which half is by chance: many bridges must not come back at once. */
function backoffMs(failures: number, random: number): number {
  const whole = Math.min(TIMING.backoffMost, 2 * TIMING.backoffLeast * 2 ** (failures - 1))
  return Math.max(TIMING.backoffLeast, Math.round(whole * (0.5 + 0.5 * random)))
}

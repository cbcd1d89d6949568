import { expect } from 'vitest'
import { itemOf, MAX_BYTES, type Inbound, type NoticeItem } from '../../packages/evennia-adapter/src/messages.ts'
import { advance } from '../../packages/evennia-adapter/src/session.ts'
import { MAX_PENDING, NEW_SESSION, TIMING, type Session, type SessionInput } from '../../packages/evennia-adapter/src/session-state.ts'
import type { SnapshotData } from '../../packages/evennia-adapter/src/snapshot.ts'
import { GameModel } from './game-model.ts'

export const SNAPSHOT: SnapshotData = {
  at: '2026-11-20T12:00:00.000Z',
  timezone: 'UTC',
  policy: 'v1',
  source: { alive: true, last_record: '2026-11-20T12:00:00.000Z' },
  local_only: null,
  spent: { today_nano: 1, week_nano: 2, month_nano: 3, today_calls: 1, month_calls: 1 },
  limits: [],
  backends: [],
  quotas: [],
  total: { utilization: 0, elapsed: 0, pace: null, floor: 0 },
  days: [],
}

export interface Frame {
  readonly name: string
  readonly body: Record<string, unknown>
}

/** A game behind a wire that loses, repeats and delays; a ledger; and the session between them. Time passes in ticks of 100 ms. */
export class Simulation {
  session: Session = NEW_SESSION
  readonly game = new GameModel()
  readonly sent: Frame[] = []
  readonly said: string[] = []
  nowMs = 1_000_000
  ledger: NoticeItem[] = []
  stream = 'L'
  /** The first notice that the journal still has. */
  first = 1
  portal: 'up' | 'down' = 'up'
  server: 'up' | 'down' = 'up'
  password: 'right' | 'wrong' = 'right'
  loses = false
  doubles = false
  /** Ticks that an answer takes. */
  delay = 1
  random = 0.5
  #after: number | undefined
  #coming: { readonly atMs: number; readonly input: SessionInput }[] = []
  #connected = false
  #asked = false

  notices(count: number, text = 'x'): void {
    for (let index = 0; index < count; index++) {
      const number = this.ledger.length + 1
      const notice = { number, time: '2026-11-20T12:00:00.000Z', severity: 'info', kind: 'rule', scope: '', episode: String(number), text, data: {} } as const
      this.ledger.push(itemOf(notice, `n${number}`))
    }
  }

  look(asked = false): void {
    this.take({ type: 'source', source: { stream: this.stream, oldest: this.first, next: this.ledger.length + 1 }, asked })
    this.take({ type: 'snapshot', data: SNAPSHOT })
  }

  close(): void {
    this.#connected = false
    this.#coming = []
    this.take({ type: 'closed', reason: 'gone' })
  }

  say(frame: Frame): void {
    this.#soon({ type: 'message', message: frame as unknown as Inbound })
  }

  take(input: SessionInput): void {
    const { session, effects } = advance(this.session, input, { nowMs: this.nowMs, random: this.random, account: 'bridge' })
    this.session = session
    for (const effect of effects) {
      if (effect.do === 'say') this.said.push(effect.text)
      if (effect.do === 'follow') this.#after = effect.after
      if (effect.do === 'look') this.#asked = true
      if (effect.do === 'disconnect') this.#connected = false
      if (effect.do === 'connect') this.#connect()
      if (effect.do === 'login' && this.#connected && this.server === 'up') this.#soon(this.password === 'right' ? { type: 'logged-in' } : { type: 'heard' })
      if (effect.do === 'send') this.#send(effect.frame)
    }
  }

  run(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end;) {
      this.nowMs += TIMING.tick
      if (this.#asked) this.look(true)
      this.#asked = false
      const due = this.#coming.filter(({ atMs }) => atMs <= this.nowMs)
      this.#coming = this.#coming.filter(({ atMs }) => atMs > this.nowMs)
      for (const { input } of due) this.take(input)
      this.#feed()
      const before = this.sent.length
      this.take({ type: 'tick' })
      expect(this.sent.length - before).toBeLessThanOrEqual(1)
    }
  }

  #connect(): void {
    if (this.portal === 'down') return this.#soon({ type: 'closed', reason: 'refused' })
    this.#connected = true
    this.#soon({ type: 'opened' })
    if (this.server === 'up') this.#soon({ type: 'heard' })
  }

  #send(text: string): void {
    expect(text.length).toBeLessThanOrEqual(MAX_BYTES)
    const [name, , body] = JSON.parse(text) as [string, unknown, Record<string, unknown>]
    this.sent.push({ name, body })
    if (!this.#connected || this.server === 'down' || this.loses) return
    for (let time = 0; time < (this.doubles ? 2 : 1); time++) {
      const answer = this.game.answer(name, body)
      if (answer !== undefined) this.say(answer)
    }
  }

  #soon(input: SessionInput): void {
    this.#coming.push({ atMs: this.nowMs + this.delay * TIMING.tick, input })
  }

  #feed(): void {
    if (this.#after === undefined) return
    if (this.#after < this.first - 1) {
      this.#after = undefined
      this.look()
      return this.take({ type: 'gap', first: this.first })
    }
    while (this.session.pending.length < MAX_PENDING) {
      const item = this.ledger[this.#after]
      if (item === undefined) return
      this.#after += 1
      this.take({ type: 'notice', item })
    }
  }
}

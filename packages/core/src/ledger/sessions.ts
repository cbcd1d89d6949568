/** Sessions that are remembered; beyond it the oldest is forgotten. */
const SESSIONS_KEPT = 1_000

/** Highest number of each session. */
export type SessionsSnapshot = readonly (readonly [session: string, number: number])[]

/** An opening of the ledger. Its ids are numbered upwards, so a number that is not higher was seen before. */
interface Session {
  readonly prefix: string
  number: number
}

/** The ids of holds and corrections, `<session>-<number in base 36>`: which of them there were, so that a record that comes twice counts once. */
export class Sessions {
  readonly #sessions = new Map<string, Session>()
  /** The one of the latest id: nearly always that of the next. */
  #latest: Session | undefined

  static restore(snapshot: SessionsSnapshot): Sessions {
    const sessions = new Sessions()
    for (const [name, number] of snapshot) sessions.#sessionOf(name).number = number
    return sessions
  }

  snapshot(): SessionsSnapshot {
    return [...this.#sessions].map(([name, session]) => [name, session.number])
  }

  /** @returns whether it is new. */
  begin(session: string): boolean {
    if (this.#sessions.has(session)) return false
    this.#sessionOf(session)
    return true
  }

  /** The highest number of a session, 0 before its first. */
  number(session: string): number {
    return this.#sessions.get(session)?.number ?? 0
  }

  has(id: string): boolean {
    const end = id.lastIndexOf('-')
    const number = Number.parseInt(id.slice(end + 1), 36)
    return end !== -1 && number > 0 && number <= this.number(id.slice(0, end))
  }

  /** @returns whether it is new. */
  add(id: string): boolean {
    const session = this.#latest !== undefined && id.startsWith(this.#latest.prefix) ? this.#latest : this.#sessionOf(id.slice(0, id.lastIndexOf('-')))
    this.#latest = session
    const number = Number.parseInt(id.slice(session.prefix.length), 36)
    if (number <= session.number) return false
    session.number = number
    return true
  }

  #sessionOf(name: string): Session {
    let session = this.#sessions.get(name)
    if (session === undefined) {
      session = { prefix: `${name}-`, number: 0 }
      this.#sessions.set(name, session)
      const [oldest = name] = this.#sessions.keys()
      if (this.#sessions.size > SESSIONS_KEPT) this.#sessions.delete(oldest)
    }
    return session
  }
}

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { createConnection, type Connection } from './connection.ts'
import { LedgerFeed } from './ledger-feed.ts'
import { readPassword } from './password.ts'
import { advance } from './session.ts'
import { MAX_PENDING, NEW_SESSION, TIMING, type Effect, type Session, type SessionInput } from './session-state.ts'
import type { BridgeSettings } from './settings.ts'

/** Told what an operator should know: connections, refusals, a ledger that cannot be read. Never a password. */
export type Say = (text: string) => void

/**
 * Carries a ledger's notices and figures into a game, in this thread, until `signal` aborts: for a process of its own beside the router.
 * Nothing that the game or the ledger does ends it; it says so and tries again.
 *
 * @throws BridgeError `BRIDGE_PASSWORD_MISSING`, `BRIDGE_PASSWORD_EXPOSED`, before anything is begun.
 */
export async function runBridge(settings: BridgeSettings, signal: AbortSignal, say: Say): Promise<void> {
  readPassword(settings.password, process.env)
  if (signal.aborted) return
  await new Conversation(settings, signal, say).run()
}

class Conversation {
  readonly #signal: AbortSignal
  readonly #say: Say
  readonly #account: string
  readonly #connection: Connection
  readonly #feed: LedgerFeed
  #session: Session = NEW_SESSION
  #room: PromiseWithResolvers<void> | undefined
  #malformed = 0

  constructor(settings: BridgeSettings, signal: AbortSignal, say: Say) {
    const { url, account, password, ledger, latest } = settings
    this.#signal = signal
    this.#say = say
    this.#account = account
    this.#connection = createConnection({
      url,
      account,
      password: () => readPassword(password, process.env),
      hear: (event) => {
        if (event.type !== 'frame') return this.#take(event)
        const { heard } = event
        if (heard.kind === 'message') return this.#take({ type: 'message', message: heard.message })
        if (heard.kind === 'malformed') this.#saw(heard.found)
        this.#take({ type: heard.kind === 'logged-in' ? 'logged-in' : 'heard' })
      },
    })
    this.#feed = new LedgerFeed({ ledger, latest, hear: (input) => this.#take(input), room: () => this.#whenRoom(), say }, signal)
  }

  async run(): Promise<void> {
    const ticking = setInterval(() => this.#take({ type: 'tick' }), TIMING.tick)
    try {
      await this.#feed.run()
    } finally {
      clearInterval(ticking)
      this.#connection.disconnect()
    }
  }

  #take(input: SessionInput): void {
    if (this.#signal.aborted) return
    // Does not go back, and is near enough to the time of day.
    const nowMs = performance.timeOrigin + performance.now()
    const { session, effects } = advance(this.#session, input, { nowMs, random: Math.random(), account: this.#account })
    this.#session = session
    if (session.pending.length < MAX_PENDING) {
      this.#room?.resolve()
      this.#room = undefined
    }
    for (const effect of effects) this.#do(effect)
  }

  #do(effect: Effect): void {
    switch (effect.do) {
      case 'connect':
        return this.#connection.connect()
      case 'disconnect':
        return this.#connection.disconnect()
      case 'login':
        return this.#connection.login()
      case 'send':
        return this.#connection.send(effect.frame)
      case 'follow':
        return this.#feed.follow(effect.after)
      case 'look':
        return this.#feed.lookSoon()
      case 'say':
        return this.#say(effect.text)
    }
  }

  #whenRoom(): Promise<void> {
    if (this.#session.pending.length < MAX_PENDING) return Promise.resolve()
    this.#room ??= Promise.withResolvers()
    return this.#room.promise
  }

  #saw(found: string): void {
    this.#malformed += 1
    if (this.#malformed === 1 || this.#malformed % 1_000 === 0) this.#say(`The game sent ${this.#malformed} malformed answers: ${found}`)
  }
}

/** A bridge that runs inside a router. */
export interface Bridge {
  /** Resolves when it has ended. What it had not delivered yet, the next one will. */
  close(): Promise<void>
}

const THREAD = new URL(`./bridge-thread${extname(import.meta.url)}`, import.meta.url)
const RESTART_MS = 10_000

/**
 * Starts {@link runBridge} inside a router, in a thread of its own: neither a game that floods, hangs or is gone, nor a ledger of many gigabytes, can hold up a dispatch.
 * Keeps no process alive. A thread that fails is started again after 10 s.
 *
 * @param say writes to stderr unless given
 * @throws BridgeError `BRIDGE_PASSWORD_MISSING`, `BRIDGE_PASSWORD_EXPOSED`.
 * @example
 * const manciple = await openManciple({ config: 'configs/budgets.yaml', ledger: 'data/ledger' })
 * const bridge = openBridge(readBridgeSettings('configs/evennia.yaml'))
 */
export function openBridge(settings: BridgeSettings, say: Say = (text) => console.error(`manciple evennia: ${text}`)): Bridge {
  readPassword(settings.password, process.env)
  let worker: Worker | undefined
  let restart: NodeJS.Timeout | undefined
  let closing: Promise<void> | undefined
  const start = (): void => {
    // From source, imports must come from source there as well.
    const execArgv = THREAD.pathname.endsWith('.ts') ? ['--conditions=manciple-source', '--no-warnings'] : []
    worker = new Worker(THREAD, { workerData: settings, name: 'manciple evennia', execArgv, resourceLimits: { maxOldGenerationSizeMb: 256 } })
    worker.unref()
    worker.on('message', (text: unknown) => say(String(text)))
    worker.on('error', (error) => say(`The bridge's thread has failed, and begins anew in 10 s: ${String(error)}`))
    worker.on('exit', () => {
      worker = undefined
      if (closing === undefined) restart = setTimeout(start, RESTART_MS).unref()
    })
  }
  const stop = async (): Promise<void> => {
    clearTimeout(restart)
    if (worker === undefined) return
    const exited = new Promise((resolve) => worker?.once('exit', resolve))
    worker.ref()
    worker.postMessage('close')
    await exited
  }
  start()
  return { close: () => (closing ??= stop()) }
}

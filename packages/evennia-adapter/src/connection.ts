import { WebSocket, type RawData } from 'ws'
import { readFrame, writeFrame, type Heard } from './messages.ts'

/** One websocket at a time to a game's webclient port. Never throws: what goes wrong is a `closed`. */
export interface Connection {
  connect(): void
  login(): void
  send(frame: string): void
  disconnect(): void
}

export interface ConnectionOptions {
  readonly url: string
  readonly account: string
  /** Read for each login, so that a new password needs no restart. */
  readonly password: () => string
  readonly hear: (
    event: { readonly type: 'opened' } | { readonly type: 'closed'; readonly reason: string } | { readonly type: 'frame'; readonly heard: Heard },
  ) => void
}

const HANDSHAKE_MS = 10_000
const PING_MS = 25_000
const MAX_FRAME_BYTES = 2 ** 20
/** A game that says more than this in a second is not listened to. */
const MAX_FRAMES = 1_000

export function createConnection(options: ConnectionOptions): Connection {
  let current: Socket | undefined
  return {
    connect() {
      current?.drop()
      current = new Socket(options)
    },
    login() {
      current?.login()
    },
    send(frame) {
      current?.send(frame)
    },
    disconnect() {
      current?.drop()
      current = undefined
    },
  }
}

class Socket {
  readonly #options: ConnectionOptions
  readonly #socket: WebSocket | undefined
  #pinging: NodeJS.Timeout | undefined
  #alive = true
  #gone = false
  #second = 0
  #frames = 0

  constructor(options: ConnectionOptions) {
    this.#options = options
    try {
      this.#socket = new WebSocket(options.url, {
        handshakeTimeout: HANDSHAKE_MS,
        maxPayload: MAX_FRAME_BYTES,
        perMessageDeflate: false,
        followRedirects: false,
      })
    } catch (error) {
      queueMicrotask(() => this.#end(String(error)))
      return
    }
    this.#socket.on('open', () => this.#opened())
    this.#socket.on('message', (data, isBinary) => this.#message(data, isBinary))
    this.#socket.on('pong', () => (this.#alive = true))
    this.#socket.on('error', (error) => this.#end(error.message))
    this.#socket.on('close', (code) => this.#end(`the game closed the connection (${code})`))
  }

  /** Says nothing more, not even that it has closed. */
  drop(): void {
    this.#gone = true
    clearInterval(this.#pinging)
    this.#socket?.terminate()
  }

  login(): void {
    let password: string
    try {
      password = this.#options.password()
    } catch (error) {
      return this.#end(error instanceof Error ? error.message : String(error))
    }
    this.send(writeFrame('login', { name: this.#options.account, password }))
  }

  send(frame: string): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(frame)
  }

  #opened(): void {
    if (this.#gone) return
    this.#pinging = setInterval(() => this.#ping(), PING_MS)
    this.#options.hear({ type: 'opened' })
  }

  #ping(): void {
    if (!this.#alive) return this.#end('the game has not answered a ping')
    this.#alive = false
    this.#socket?.ping()
  }

  #message(data: RawData, isBinary: boolean): void {
    if (this.#gone) return
    this.#alive = true
    const second = Math.floor(performance.now() / 1_000)
    this.#frames = second === this.#second ? this.#frames + 1 : 1
    this.#second = second
    if (this.#frames > MAX_FRAMES) return this.#end(`the game sent more than ${MAX_FRAMES} messages in a second`)
    if (!isBinary && Buffer.isBuffer(data)) this.#options.hear({ type: 'frame', heard: readFrame(data.toString()) })
  }

  #end(reason: string): void {
    if (this.#gone) return
    this.drop()
    this.#options.hear({ type: 'closed', reason })
  }
}

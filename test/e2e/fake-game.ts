import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocketServer, type WebSocket } from 'ws'
import { GameModel } from './game-model.ts'

/** A websocket that behaves as a game's portal and server do, well or badly. */
export interface FakeGame {
  readonly url: string
  readonly model: GameModel
  /** What it does with what it hears. `mute`: nothing. `flood`: answers, and says a lot besides. */
  behave(manner: 'well' | 'mute' | 'flood' | 'deny'): void
  /** Before each answer. */
  delayMs: number
  /** Names of the messages that it has heard, in order. */
  readonly heard: readonly string[]
  readonly logins: number
  readonly connections: number
  /** Ends all connections. */
  drop(): void
  /** Sends a frame to all, as it stands. */
  shout(frame: string): void
  close(): Promise<void>
}

const FLOOD = JSON.stringify(['text', ['<span>somebody says something at great length</span>'.repeat(20)], {}])

export async function startFakeGame(password: string, model = new GameModel()): Promise<FakeGame> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  const heard: string[] = []
  let manner = 'well'
  let logins = 0
  let connections = 0
  const game = {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    model,
    delayMs: 0,
    heard,
    behave: (next: string) => void (manner = next),
    get logins() {
      return logins
    },
    get connections() {
      return connections
    },
    drop: () => server.clients.forEach((client) => client.terminate()),
    shout: (frame: string) => server.clients.forEach((client) => client.send(frame)),
    close: () => {
      server.clients.forEach((client) => client.terminate())
      return new Promise<void>((resolve) => void server.close(() => resolve()))
    },
  }
  server.on('connection', (socket: WebSocket) => {
    connections += 1
    let loggedIn = false
    const say = (name: string, body: object): void => socket.send(JSON.stringify([name, [], body]))
    const flooding = setInterval(() => {
      if (manner === 'flood') for (let frame = 0; frame < 40; frame++) socket.send(FLOOD)
    }, 100)
    socket.on('close', () => clearInterval(flooding))
    socket.on('error', () => undefined)
    if (manner !== 'mute') say('text', {})
    socket.on('message', (data) => {
      void (async () => {
        const [name, , body] = JSON.parse(String(data)) as [string, unknown, Record<string, unknown>]
        heard.push(name)
        if (manner === 'mute') return
        if (game.delayMs > 0) await sleep(game.delayMs)
        if (name === 'login') {
          logins += 1
          loggedIn = body['password'] === password
          return say(loggedIn ? 'logged_in' : 'text', {})
        }
        if (!loggedIn || manner === 'deny') return say('costs_nak', { id: body['id'] ?? null, code: 'denied', detail: 'no' })
        const answer = model.answer(name, body)
        if (answer !== undefined) say(answer.name, answer.body)
      })()
    })
  })
  return game
}

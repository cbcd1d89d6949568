import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import { WebSocket } from 'ws'

const root = join(import.meta.dirname, '..', '..')

/** What the accounts of a test's game have for a password. */
export const PLAYER_PASSWORD = 'a-long-password-1'

/**
 * The interpreter of `.venv-evennia`, made where it is missing, or the one that `MANCIPLE_EVENNIA_PYTHON` names;
 * undefined, and said, where there is no fitting Python.
 */
export function evenniaPython(): string | undefined {
  const given = process.env['MANCIPLE_EVENNIA_PYTHON'] ?? join(root, '.venv-evennia', 'bin', 'python')
  if (existsSync(given)) return given
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts', 'evennia.mjs'), 'python'], { encoding: 'utf8' })
  if (status === 0) return stdout.trim()
  process.stderr.write(`SKIPPED: tests against a real Evennia server: ${stderr.trim()}\n`)
  if (process.env['MANCIPLE_REQUIRE_EVENNIA'] !== undefined) throw new Error(stderr)
  return undefined
}

/** A real game on 127.0.0.1, in a folder and on ports of its own. */
export interface Game {
  readonly folder: string
  readonly telnetPort: number
  readonly webUrl: string
  readonly websocketUrl: string
  /** With the password of the bridge's account, as `evennia costs_setup` leaves it. */
  readonly passwordFile: string
  /** Runs `evennia …` in the game's folder, and says what it said. */
  evennia(...args: readonly string[]): Promise<string>
  /** Runs Python in the game's folder, with Evennia ready. */
  python(code: string): Promise<string>
  /** Starts what does not run of Portal and Server. */
  start(): Promise<void>
  /** Of the Server alone. */
  reload(): Promise<void>
  /** Of Portal and Server. */
  reboot(): Promise<void>
  stop(): Promise<void>
  /** Kills the Server, not the Portal. */
  killServer(): void
  serverLog(): string
  /** Ends both processes, and removes the folder. */
  destroy(): Promise<void>
}

/** As the README of the Python package has it: init, settings, migrate, start, costs_setup, reload. */
export async function startGame(python: string, accounts: Readonly<Record<string, string>>): Promise<Game> {
  const base = mkdtempSync(join(tmpdir(), 'manciple-game-'))
  const folder = join(base, 'game')
  const [telnetPort = 0, webPort = 0, webInternal = 0, websocketPort = 0, ampPort = 0] = await freePorts(5)
  const passwordFile = join(base, 'bridge-password')
  const pidOf = (name: string): number => {
    const file = join(folder, 'server', `${name}.pid`)
    return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
  }
  const kill = (): void => {
    for (const name of ['portal', 'server']) killQuietly(pidOf(name))
  }
  process.once('exit', kill)
  const inFolder = (where: string, args: readonly string[]): Promise<string> => runEvennia(python, where, args)
  /** The one line that every start of the Server ends with, of whatever kind. */
  const ups = (): number => game.serverLog().split('Webserver starting on').length
  const untilUp = async (begin: () => Promise<unknown>): Promise<void> => {
    const before = ups()
    await begin()
    await waitFor('the start of the server', () => ups() > before, 90_000)
  }
  const game: Game = {
    folder,
    telnetPort,
    webUrl: `http://127.0.0.1:${webPort}`,
    websocketUrl: `ws://127.0.0.1:${websocketPort}/`,
    passwordFile,
    evennia: (...args) => inFolder(folder, ['-m', 'evennia', ...args]),
    python: (code) => inFolder(folder, ['-c', `${DJANGO}\n${code}`]),
    start: () =>
      untilUp(async () => {
        // On a busy machine the launcher gives up before the Portal has come up; asked again, it starts the Server.
        for (let time = 0; time < 5 && pidOf('server') === 0; time++) await game.evennia('start')
      }),
    reload: () => untilUp(() => game.evennia('reload')),
    reboot: () =>
      untilUp(async () => {
        await game.evennia('reboot')
        if (pidOf('server') === 0) await game.evennia('start')
      }),
    stop: async () => {
      await game.evennia('stop')
      await waitFor('the end of the game', () => pidOf('portal') === 0 && pidOf('server') === 0)
    },
    killServer: () => {
      killQuietly(pidOf('server'))
      // What it left would have the launcher believe that it runs.
      rmSync(join(folder, 'server', 'server.pid'), { force: true })
    },
    serverLog: () => {
      const file = join(folder, 'server', 'logs', 'server.log')
      return existsSync(file) ? readFileSync(file, 'utf8') : ''
    },
    destroy: async () => {
      await game.stop().catch(() => undefined)
      kill()
      process.off('exit', kill)
      rmSync(base, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
    },
  }
  try {
    await inFolder(base, ['-m', 'evennia', '--init', 'game'])
    appendFileSync(
      join(folder, 'server', 'conf', 'settings.py'),
      `${readmeBlock(/```python\n# in mygame\/server\/conf\/settings\.py\n([\s\S]*?)```/)}
SERVERNAME = "Testgame"
TELNET_PORTS = [${telnetPort}]
TELNET_INTERFACES = ["127.0.0.1"]
WEBSERVER_PORTS = [(${webPort}, ${webInternal})]
WEBSERVER_INTERFACES = ["127.0.0.1"]
WEBSOCKET_CLIENT_PORT = ${websocketPort}
WEBSOCKET_CLIENT_INTERFACE = "127.0.0.1"
AMP_PORT = ${ampPort}
AMP_INTERFACE = "127.0.0.1"
# Five minutes in a real game.
LOGIN_THROTTLE_TIMEOUT = 15
`,
    )
    const templates = join(folder, 'web', 'templates', 'webclient')
    mkdirSync(templates, { recursive: true })
    writeFileSync(join(templates, 'webclient.html'), readmeBlock(/```html\n([\s\S]*?)```/).trimStart())
    await game.evennia('migrate')
    // The first start restarts itself once after it has said that it runs.
    await game.start()
    await waitFor("the first start's own restart", () => game.serverLog().includes("restarted in 'reset' mode"), 90_000)
    await game.evennia('costs_setup', '--observatory', '--password-file', passwordFile)
    await game.python(accountsCode(accounts))
    await game.reload()
    return game
  } catch (error) {
    const log = game.serverLog().slice(-4_000)
    await game.destroy()
    throw new Error(`the game did not start; its log ends with\n${log}`, { cause: error })
  }
}

const DJANGO = `import os, sys
sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "server.conf.settings"
import django
django.setup()
import evennia
evennia._init()`

/** Accounts with a character each, as players make them. */
function accountsCode(accounts: Readonly<Record<string, string>>): string {
  return `from django.conf import settings
from evennia.utils.utils import class_from_module
Account = class_from_module(settings.BASE_ACCOUNT_TYPECLASS)
for name, permission in ${JSON.stringify(Object.entries(accounts))}:
    account, errors = Account.create(username=name, password="${PLAYER_PASSWORD}", permissions=[permission])
    assert account, errors`
}

/** A block that the Python package's README asks to be copied. */
function readmeBlock(pattern: RegExp): string {
  const readme = readFileSync(join(root, 'packages', 'evennia-adapter', 'evennia', 'README.md'), 'utf8')
  const block = pattern.exec(readme)?.[1]
  if (block === undefined) throw new Error(`The README of the Python package has nothing like ${String(pattern)}.`)
  return `\n${block}`
}

async function runEvennia(python: string, cwd: string, args: readonly string[]): Promise<string> {
  const env = {
    ...process.env,
    PATH: `${dirname(python)}${delimiter}${process.env['PATH'] ?? ''}`,
    EVENNIA_SUPERUSER_USERNAME: 'admin',
    EVENNIA_SUPERUSER_PASSWORD: PLAYER_PASSWORD,
    EVENNIA_SUPERUSER_EMAIL: 'admin@example.com',
  }
  // Nothing may read from its pipes to the end: the daemons that it starts keep them open.
  const child = spawn(python, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  const take = (part: Buffer): void => void (said += part.toString())
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const [code] = (await once(child, 'exit')) as [number | null]
  await sleep(50)
  child.stdout.destroy()
  child.stderr.destroy()
  if (code !== 0) throw new Error(`evennia ${args.join(' ').slice(-200)} ended with ${code}:\n${said}`)
  return said
}

function killQuietly(pid: number): void {
  try {
    if (pid > 0) process.kill(pid, 'SIGKILL')
  } catch {
    // It has gone already.
  }
}

export async function waitFor(what: string, isSo: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<void> {
  for (const deadline = Date.now() + limitMs; !(await isSo()); await sleep(50)) {
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`)
  }
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => void server.close(resolve))))
  return ports
}

/** Somebody at a client. */
export interface Player {
  /** All that the client was shown, as plain text. */
  shown(): string
  say(line: string): void
  /** What is shown after a line is said, until `end` is in it. */
  ask(line: string, end: RegExp): Promise<string>
  sees(text: RegExp | string, limitMs?: number): Promise<void>
  /** Whether the game has ended the connection. */
  gone(): boolean
  leave(): void
}

function playerOf(text: () => string, say: (line: string) => void, gone: () => boolean, leave: () => void): Player {
  const player: Player = {
    shown: text,
    say,
    gone,
    leave,
    sees: async (wanted, limitMs = 20_000) => {
      const found = (): boolean => (typeof wanted === 'string' ? text().includes(wanted) : wanted.test(text()))
      await waitFor('what is to be shown', found, limitMs).catch(() => {
        throw new Error(`the player has not been shown ${String(wanted)} within ${limitMs} ms, but\n${text().slice(-2_000)}`)
      })
    },
    ask: async (line, end) => {
      const before = text().length
      say(line)
      await waitFor('an answer', () => end.test(text().slice(before))).catch(() => {
        throw new Error(`${line} was not answered with ${String(end)}, but\n${text().slice(before)}`)
      })
      return text().slice(before)
    },
  }
  return player
}

/** Over telnet, as a client that negotiates nothing. */
export async function telnetPlayer(game: Game, name: string): Promise<Player> {
  const socket: Socket = connect(game.telnetPort, '127.0.0.1')
  let bytes: Buffer = Buffer.alloc(0)
  let ended = false
  socket.on('data', (part: Buffer) => (bytes = Buffer.concat([bytes, part])))
  socket.on('error', () => undefined)
  socket.on('close', () => (ended = true))
  await once(socket, 'connect')
  const player = playerOf(
    () => stripVTControlCharacters(withoutTelnet(bytes)),
    (line) => void socket.write(`${line}\r\n`),
    () => ended,
    () => socket.destroy(),
  )
  return logIn(player, name)
}

/** Telnet's own commands are three bytes from 255 on, or a subnegotiation up to 255 240. */
function withoutTelnet(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replace(/\u00FF\u00FA[^]*?\u00FF\u00F0|\u00FF[\u00FB-\u00FE][^]|\u00FF[\u00F0-\u00F9]/g, '')
    .replaceAll(/[\u0080-\u00FF]+/g, (part) => Buffer.from(part, 'latin1').toString())
    .replaceAll('\r', '')
}

/** A websocket to the webclient's port that says what it is told to. */
export interface RawSocket {
  readonly frames: readonly (readonly [string, readonly unknown[], Readonly<Record<string, unknown>>])[]
  send(frame: string): void
  gone(): boolean
  close(): void
}

export async function rawSocket(game: Game): Promise<RawSocket> {
  const socket = new WebSocket(game.websocketUrl)
  const frames: [string, unknown[], Record<string, unknown>][] = []
  let ended = false
  socket.on('message', (data) => void frames.push(JSON.parse(String(data))))
  socket.on('error', () => undefined)
  socket.on('close', () => (ended = true))
  await once(socket, 'open')
  // Of many that come at once the portal lets two in a second; what is said before is lost.
  await waitFor('the connection screen', () => frames.length > 0)
  return { frames, send: (frame) => socket.send(frame), gone: () => ended, close: () => socket.terminate() }
}

/** Over the webclient's websocket: what is shown there is HTML, of which the text is taken. */
export async function webPlayer(game: Game, name: string): Promise<Player & { readonly socket: RawSocket }> {
  const socket = await rawSocket(game)
  const html = (): string => socket.frames.map(([kind, args]) => (kind === 'text' ? `${String(args[0])}\n` : '')).join('')
  const player = playerOf(
    () =>
      html()
        .replaceAll(/<br ?\/?>/g, '\n')
        .replaceAll(/<[^>]*>/g, '')
        .replaceAll('&nbsp;', ' ')
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&quot;', '"')
        .replaceAll('&amp;', '&'),
    (line) => socket.send(JSON.stringify(['text', [line], {}])),
    socket.gone,
    socket.close,
  )
  return Object.assign(await logIn(player, name), { socket })
}

async function logIn(player: Player, name: string): Promise<Player> {
  await player.sees(/connect/)
  player.say(`connect ${name} ${PLAYER_PASSWORD}`)
  await player.sees(/You become|Account/)
  return player
}

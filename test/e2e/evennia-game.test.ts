import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openJsonLedger } from '../../packages/core/src/ledger/json-ledger.ts'
import type { Ledger } from '../../packages/core/src/ledger/ledger.ts'
import {
  evenniaPython,
  PLAYER_PASSWORD,
  rawSocket,
  startGame,
  telnetPlayer,
  waitFor,
  webPlayer,
  type Game,
  type Player,
  type RawSocket,
} from './evennia-support.ts'
import { freshFolder, removeFolder } from './support.ts'

const python = evenniaPython()
const START = Date.UTC(2026, 10, 20, 15)
const POLICY = { version: 'v1', text: 'timezone: UTC\nbudgets: { daily_limit_usd: 5.00 }', timezone: 'UTC', limits: [] }
const PATIENCE_MS = 120_000
const RUN = `run ${Date.now().toString(36)}`

let game: Game
let base = ''
let ledger: Ledger
let raised = 0
const bridges = new Set<ChildProcess>()

beforeAll(async () => {
  if (python === undefined) return
  base = freshFolder()
  ledger = await openJsonLedger({ folder: join(base, 'ledger'), nowMs: START, fsync: 'never' })
  await ledger.usePolicy(POLICY, START)
  game = await startGame(python, { teller: 'Player', weaver: 'Player', sleeper: 'Player', reader: 'Player', builder: 'Builder' })
}, 400_000)

afterAll(async () => {
  await Promise.all([...bridges].map(endBridge))
  await ledger?.close()
  await game?.destroy()
  if (base !== '') removeFolder(base)
}, 60_000)

interface BridgeProcess {
  readonly process: ChildProcess
  said(): string
}

/** Where none runs. */
function ensureBridge(): void {
  if (bridges.size === 0) startBridge()
}

/** `manciple evennia` beside the router, a process of its own. */
function startBridge(): BridgeProcess {
  const main = join(import.meta.dirname, '..', '..', 'packages', 'cli', 'src', 'main.ts')
  const args = ['evennia', '--url', game.websocketUrl, '--password-file', game.passwordFile, '--ledger', join(base, 'ledger'), '--latest']
  const child = spawn(process.execPath, ['--conditions=manciple-source', '--no-warnings', main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  const take = (part: Buffer): void => void (said += part.toString())
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  bridges.add(child)
  return { process: child, said: () => said }
}

async function endBridge(child: ChildProcess): Promise<void> {
  bridges.delete(child)
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** Raises the next notices, some at a time, so that they come while other things happen. */
async function raise(count: number, { everyMs = 0 } = {}): Promise<void> {
  for (let one = 0; one < count; one++) {
    raised += 1
    const number = raised
    await ledger.notice({ severity: 'info', kind: 'rule', scope: 's', episode: `e${number}`, text: `${RUN} no. ${number}.`, data: {} }, START)
    if (everyMs > 0) await sleep(everyMs)
  }
}

/** The numbers of the notices in what somebody was shown. */
function toldIn(text: string): readonly number[] {
  return [...text.matchAll(new RegExp(`${RUN} no\\. (\\d+)\\.`, 'g'))].map(([, number]) => Number(number))
}

/** `1-100 90-95`: what is in order and without a gap, as one span. */
function spansIn(text: string): string {
  const spans: [number, number][] = []
  for (const number of toldIn(text)) {
    const last = spans.at(-1)
    if (last !== undefined && number === last[1] + 1) last[1] = number
    else spans.push([number, number])
  }
  return spans.map(([first, last]) => `${first}-${last}`).join(' ')
}

/** Somebody who comes back when the connection is lost, and keeps all that was shown. */
class Regular {
  readonly #enter: () => Promise<Player>
  #before = ''
  #player: Player | undefined

  constructor(enter: () => Promise<Player>) {
    this.#enter = enter
  }

  async enter(): Promise<void> {
    this.leave()
    await waitFor(
      'a login',
      async () => {
        const player = await Promise.race([this.#enter().catch(() => undefined), sleep(15_000)])
        if (player === undefined) return false
        this.#player = player
        return true
      },
      PATIENCE_MS,
    )
  }

  leave(): void {
    this.#before = this.shown()
    this.#player?.leave()
    this.#player = undefined
  }

  shown(): string {
    return this.#before + (this.#player?.shown() ?? '')
  }

  async isTold(number: number): Promise<void> {
    await waitFor(
      `notice ${number}`,
      async () => {
        if (this.#player?.gone() === true) await this.enter()
        return toldIn(this.shown()).includes(number)
      },
      PATIENCE_MS,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; told were ${String(toldIn(this.shown()))}\n${game.serverLog().slice(-2_000)}`)
    })
  }
}

describe.skipIf(python === undefined)('a real game', { timeout: 4 * PATIENCE_MS }, () => {
  let copied = 0

  test('600 notices reach players on telnet and in the webclient over a reload, a kill -9, a stop and a reboot: none lost, none twice, in order', async () => {
    const bridge = startBridge()
    const teller = new Regular(() => telnetPlayer(game, 'teller'))
    const weaver = new Regular(() => webPlayer(game, 'weaver'))
    const bothAreTold = async (): Promise<void> => {
      await Promise.all([teller.isTold(raised), weaver.isTold(raised)])
    }
    await Promise.all([teller.enter(), weaver.enter()])
    await raise(100)
    await bothAreTold()

    await Promise.all([game.reload(), raise(120, { everyMs: 60 })])
    await bothAreTold()

    const flow = raise(120, { everyMs: 60 })
    await sleep(1_500)
    game.killServer()
    await sleep(1_000)
    await game.start()
    await flow
    await bothAreTold()

    const [, ended] = [await raise(20), game.stop()]
    await raise(60, { everyMs: 20 })
    await ended
    copied = raised
    copyFileSync(join(game.folder, 'server', 'evennia.db3'), join(base, 'copy.db3'))
    await raise(40)
    await game.start()
    await bothAreTold()

    await Promise.all([game.reboot(), raise(140, { everyMs: 60 })])
    await bothAreTold()

    expect(raised).toBe(600)
    expect(spansIn(teller.shown()), bridge.said()).toBe('1-600')
    expect(spansIn(weaver.shown()), bridge.said()).toBe('1-600')
    teller.leave()
    weaver.leave()
    await endBridge(bridge.process)
  })

  test('a database that was put back from an older copy gets the notices that it lacks again, in order', async () => {
    await game.stop()
    copyFileSync(join(base, 'copy.db3'), join(game.folder, 'server', 'evennia.db3'))
    await game.start()
    const teller = new Regular(() => telnetPlayer(game, 'teller'))
    await teller.enter()
    startBridge()
    await teller.isTold(raised)
    const [first = 0] = toldIn(teller.shown())
    expect(first).toBeGreaterThan(0)
    expect(first).toBeLessThanOrEqual(copied + 1)
    expect(spansIn(teller.shown())).toBe(`${first}-${raised}`)
    teller.leave()
  })

  test('who was away is shown at login what came meanwhile, once', async () => {
    ensureBridge()
    const sleeper = new Regular(() => telnetPlayer(game, 'sleeper'))
    await sleeper.enter()
    sleeper.leave()
    await sleep(1_000)
    const before = sleeper.shown().length
    const awake = new Regular(() => webPlayer(game, 'weaver'))
    await awake.enter()
    await raise(3)
    await awake.isTold(raised)
    awake.leave()
    await sleeper.enter()
    await sleeper.isTold(raised)
    sleeper.leave()
    await sleep(1_000)
    await sleeper.enter()
    await raise(1)
    await sleeper.isTold(raised)
    expect(spansIn(sleeper.shown().slice(before))).toBe(`${raised - 3}-${raised}`)
    expect(sleeper.shown()).toContain('While you were away')
    sleeper.leave()
  })

  test('a narrow window is kept to, and a screen reader gets plain lines', async () => {
    ensureBridge()
    const reader = await telnetPlayer(game, 'reader')
    await reader.ask('option screenwidth = 40', /screenwidth/i)
    const pages = async (): Promise<string> =>
      (await reader.ask('costs', /As of/)) +
      (await reader.ask('budget', /As of/)) +
      (await reader.ask('costs/history', /As of/)) +
      (await reader.ask('observatory', /As of/))
    const narrow = await pages()
    const dashboard = narrow.slice(narrow.indexOf('Brass instruments'))
    expect(narrow).toMatch(/all\.day/)
    for (const line of narrow.split('\n')) if (!dashboard.startsWith(line)) expect(line.length, line).toBeLessThanOrEqual(40)
    await reader.ask('out', /Limbo/)
    await reader.ask('option screenreader = on', /screenreader/i)
    const plain = await pages()
    expect(plain).toMatch(/all\.day/)
    expect(plain).not.toMatch(/[\u2500-\u259F|]|##|--/)
    await reader.ask('out', /Limbo/)
    reader.leave()
  })

  describe('refuses or makes harmless', () => {
    let admin: Player

    beforeAll(async () => {
      if (python === undefined) return
      await Promise.all([...bridges].map(endBridge))
      admin = await telnetPlayer(game, 'admin')
    }, PATIENCE_MS)

    /** What the game has stored, by the eyes of its superuser. */
    async function stored(): Promise<string> {
      const digest = "__import__('hashlib').md5(__import__('json').dumps([s.log, s.figures], sort_keys=True).encode()).hexdigest()"
      // The game repeats what it is asked: the words that are waited for must not stand in it.
      const code = `(lambda s: 'STA' + 'TE %s %s %s %s E' % (s.stream, s.cursor, s.rev, ${digest}) + 'ND')(__import__('manciple_evennia.store').store.get_store())`
      const answer = await admin.ask(`py ${code}`, /STATE .* END/)
      return /STATE .* END/.exec(answer)?.[0] ?? ''
    }

    /** Messages that would all be taken from the bridge itself. */
    async function attacks(): Promise<readonly string[]> {
      const [, stream = '', cursor = ''] = (await stored()).split(' ')
      const next = Number(cursor) + 1
      const item = {
        seq: next,
        nid: 'forged',
        ts: '2026-11-20T15:00:00Z',
        severity: 'alert',
        kind: 'rule',
        text: 'forged',
        data: {},
        sticky: false,
        clears: null,
      }
      return [
        frame('costs_hello', { v: 1, stream, oldest: 1, next, rev: 0 }),
        frame('costs_hello', { v: 1, stream: 'forged', oldest: 1, next: 1, rev: 0 }),
        frame('costs_notices', { v: 1, stream, id: 1, items: [item] }),
        frame('costs_notices', { v: 1, stream, id: 1, items: [{ ...item, seq: next + 1_000 }] }),
        frame('costs_snapshot', { v: 1, stream, id: 1, rev: 1_000_000, data: FIGURES }),
        frame('Costs_Notices', { v: 1, stream, id: 1, items: [item] }),
        JSON.stringify(['costs_notices', ['positional'], {}]),
      ]
    }

    const answers = (socket: RawSocket): readonly string[] =>
      socket.frames.filter(([name]) => name.startsWith('costs_')).map(([name, , body]) => `${name} ${String(body['code'])}`)

    test.each([
      ['nobody yet, before a login', undefined],
      ['a player', 'teller'],
      ['a builder', 'builder'],
      ['the superuser', 'admin'],
    ])('what comes from %s', async (_, name) => {
      const frames = await attacks()
      const before = await stored()
      const attacker = name === undefined || name === 'admin' ? await rawSocket(game) : (await webPlayer(game, name)).socket
      if (name === 'admin') attacker.send(frame('login', { name: 'admin', password: PLAYER_PASSWORD }))
      if (name === 'admin') await waitFor('the login', () => attacker.frames.some(([kind]) => kind === 'logged_in'))
      for (const one of frames) attacker.send(one)
      await waitFor('a refusal', () => answers(attacker).length > 0)
      attacker.send(frame('echo', {}))
      await sleep(500)
      expect(answers(attacker)).toEqual(['costs_nak denied'])
      attacker.close()
      if (name === 'admin') admin = await telnetPlayer(game, 'admin')
      expect(await stored()).toBe(before)
      expect(game.serverLog()).toMatch(
        name === undefined ? /costs: costs_hello denied to session \d+ \(not logged in/ : new RegExp(`costs_hello denied to session \\d+ \\(${name}`),
      )
    })

    /** A session with the bridge's own account and password. */
    async function insider(): Promise<{
      readonly socket: RawSocket
      readonly stream: string
      readonly cursor: number
      ask(name: string, body: object): Promise<Answer>
    }> {
      const [, stream = '', cursor = ''] = (await stored()).split(' ')
      const socket = await rawSocket(game)
      socket.send(frame('login', { name: 'manciple', password: readFileSync(game.passwordFile, 'utf8').trim() }))
      await waitFor('the login', () => socket.frames.some(([name]) => name === 'logged_in'))
      const ask = async (name: string, body: object): Promise<Answer> => {
        const before = socket.frames.length
        socket.send(frame(name, { v: 1, stream, ...body }))
        const found = (): Answer | undefined => socket.frames.slice(before).find(([kind]) => kind.startsWith('costs_'))
        await waitFor(`an answer to ${name}`, () => found() !== undefined)
        return found() as Answer
      }
      return { socket, stream, cursor: Number(cursor), ask }
    }
    type Answer = readonly [string, readonly unknown[], Readonly<Record<string, unknown>>]

    test('what the bridge itself says and means otherwise: gaps, other streams and versions, too much, malformed', async () => {
      const { socket, cursor, ask } = await insider()
      const before = await stored()
      const item = (seq: number, more: object = {}): object => ({
        seq,
        nid: `n${seq}`,
        ts: '2026-11-20T15:00:00Z',
        severity: 'info',
        kind: 'rule',
        text: 'x',
        data: {},
        sticky: false,
        clears: null,
        ...more,
      })
      const code = async (name: string, body: object): Promise<unknown> => (await ask(name, body))[2]['code']
      expect(await code('costs_notices', { id: 1, items: [item(cursor + 2)] })).toBe('gap')
      expect(await code('costs_notices', { id: 2, items: [item(cursor + 1), item(cursor + 3)] })).toBe('gap')
      expect(await code('costs_notices', { id: 3, stream: 'other', items: [item(cursor + 1)] })).toBe('stream')
      expect(await code('costs_hello', { oldest: 1, next: 1, rev: 0 })).toBe('stream')
      expect(await code('costs_notices', { id: 4, v: 2, items: [] })).toBe('version')
      expect(await code('costs_notices', { id: 5, items: Array.from({ length: 51 }, (_, index) => item(cursor + 1 + index)) })).toBe('too_big')
      for (const wrong of [
        { seq: String(cursor + 1) },
        { seq: -1 },
        { seq: 1e308 },
        { seq: true },
        { severity: 'panic' },
        { text: '' },
        { text: ['a'] },
        { text: 'x'.repeat(5_000) },
        { ts: 'now' },
        { data: [] },
        { data: { deep: { er: 1 } } },
        { sticky: 1 },
        { clears: 'all' },
        { nid: null },
      ])
        expect(await code('costs_notices', { id: 6, items: [item(cursor + 1, wrong)] }), JSON.stringify(wrong)).toBe('schema')
      expect(await code('costs_snapshot', { id: 7, rev: 1, data: { ...FIGURES, spent: { ...FIGURES.spent, today_nano: 0.5 } } })).toBe('schema')
      // What is known is acknowledged and dropped.
      expect(await ask('costs_notices', { id: 8, items: [item(cursor)] })).toMatchObject(['costs_ack', [], { id: 8, cursor }])
      // 64 KB, and one byte more, of a message as the bridge writes it.
      const full = (bytes: number): object => {
        const body = { id: 9, items: [item(cursor)], padding: '' }
        const empty = frame('costs_notices', { v: 1, stream: STREAM, ...body }).length - STREAM.length + streamLength
        return { ...body, padding: 'p'.repeat(bytes - empty) }
      }
      const streamLength = (await stored()).split(' ')[1]?.length ?? 0
      expect((await ask('costs_notices', full(65_536)))[0]).toBe('costs_ack')
      expect(await code('costs_notices', full(65_537))).toBe('too_big')
      for (const malformed of ['', 'no json', '[]', '{}', 'null', '["costs_notices"]', '["costs_notices", {}]', '["costs_notices", [], []]', '\u0000'])
        socket.send(malformed)
      await ask('costs_notices', { id: 10, items: [item(cursor)] })
      await waitFor('the answer to what was well formed', () => socket.frames.some(([name, , body]) => name === 'costs_ack' && body['id'] === 10))
      // What even the portal cannot read ends that one connection.
      for (const malformed of ['[1, [], {}]', '['.repeat(20_000)]) {
        const other = await rawSocket(game)
        other.send(malformed)
        await waitFor('the end of the connection', other.gone)
      }
      expect(await stored()).toBe(before)
      socket.close()
    })

    test('a burst of 200: some are dropped by the portal, none is half taken, and the game goes on', async () => {
      const { socket, cursor, ask } = await insider()
      const before = await stored()
      for (let one = 0; one < 200; one++) socket.send(frame('costs_notices', { v: 1, stream: 'burst', id: one, items: [] }))
      await sleep(2_000)
      expect((await ask('costs_notices', { id: 1_000, items: [] }))[2]).toMatchObject({ cursor })
      expect(await stored()).toBe(before)
      socket.close()
    })

    test('markup, inline functions, HTML and line breaks in texts and names: shown as they stand', async () => {
      const { socket, cursor, ask } = await insider()
      const evil = '|rred|n {x} $You() $py(1) <b onclick="x()">bold</b> &amp; \r\nsecond \u001b[31m |/ line'
      const shown = '|rred|n {x} $You() $py(1) <b onclick="x()">bold</b> &amp; second [31m |/ line'
      const [teller, weaver] = await Promise.all([telnetPlayer(game, 'teller'), webPlayer(game, 'weaver')])
      const data = {
        ...FIGURES,
        backends: [{ name: evil, kind: 'cloud', ...FIGURES.spent }],
        limits: [{ ...FIGURES.limits[0], name: `${evil}.day` }],
        local_only: { since: '2026-11-20T15:00:00Z', until: null, text: evil },
      }
      expect((await ask('costs_snapshot', { id: 1, rev: 1, data }))[0]).toBe('costs_ack')
      const item = {
        seq: cursor + 1,
        nid: evil,
        ts: '2026-11-20T15:00:00Z',
        severity: 'warning',
        kind: evil,
        text: evil,
        data: { limit: evil },
        sticky: true,
        clears: null,
      }
      expect((await ask('costs_notices', { id: 2, items: [item] }))[0]).toBe('costs_ack')
      for (const player of [teller, weaver]) {
        await player.sees(`Costs, Warning: ${shown}`)
        expect((await player.ask('costs', /As of/)).replaceAll(/\s+/g, ' ')).toContain('|rred|n {x} $You()')
        expect((await player.ask('budget/notices', /second/)).replaceAll(/\s+/g, ' ')).toContain('<b onclick="x()">bold</b>')
      }
      expect(weaver.socket.frames.some(([, args]) => /<b onclick/.test(String(args[0])))).toBe(false)
      teller.leave()
      weaver.leave()
      socket.close()
      // The game has a notice of this number now, and would take the ledger's own for it.
      await raise(1)
    })
  })

  test('a second bridge with the same account takes turns with the first, ever more rarely, and every notice still comes once', async () => {
    const [first, second] = [startBridge(), startBridge()]
    const teller = new Regular(() => telnetPlayer(game, 'teller'))
    await teller.enter()
    await raise(1)
    await teller.isTold(raised)
    const before = teller.shown().length
    const from = raised + 1
    await raise(40, { everyMs: 200 })
    await teller.isTold(raised)
    expect(spansIn(teller.shown().slice(before)), first.said() + second.said()).toBe(`${from}-${raised}`)
    expect(first.said() + second.said()).toMatch(/Not connected: the game closed the connection/)
    await endBridge(second.process)
    await raise(1)
    await teller.isTold(raised)
    teller.leave()
  })

  test('wrong passwords, five of them, shut out who comes from there for a while, and harm nobody who is in', async () => {
    ensureBridge()
    const teller = new Regular(() => telnetPlayer(game, 'teller'))
    await teller.enter()
    for (let attempt = 0; attempt < 6; attempt++) {
      const socket = await rawSocket(game)
      socket.send(frame('login', { name: 'manciple', password: attempt === 5 ? readFileSync(game.passwordFile, 'utf8').trim() : `guess ${attempt}` }))
      await sleep(1_000)
      expect(socket.frames.some(([name]) => name === 'logged_in')).toBe(false)
      socket.close()
    }
    await raise(2)
    await teller.isTold(raised)
    teller.leave()
  })
})

function frame(name: string, body: object): string {
  return JSON.stringify([name, [], body])
}

const STREAM = 's'
const FIGURES = {
  at: '2026-11-20T15:00:00Z',
  timezone: 'UTC',
  policy: 'v1',
  source: { alive: true, last_record: null },
  local_only: null,
  spent: { today_nano: 1, week_nano: 1, month_nano: 1, today_calls: 1, month_calls: 1 },
  limits: [
    {
      name: 'all.day',
      unit: 'usd',
      window: 'day',
      quantity: 10,
      settled: 1,
      held: 0,
      presumed: 0,
      free: 9,
      standing: 'within',
      resets: null,
      hard: true,
    },
  ],
  backends: [],
  quotas: [],
  total: { utilization: 0, elapsed: 0, pace: null, floor: 0 },
  days: [],
}

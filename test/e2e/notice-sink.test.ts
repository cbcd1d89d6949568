import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '@manciple/cli'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Ledger } from '../../packages/core/src/ledger/ledger.ts'
import { deliverSurely } from '../../packages/cli/src/sinks/notice-sink.ts'
import { START_MS } from '../contract/ledger-samples.ts'
import { newFolder, openLedger } from '../faults/support.ts'

const SECRET = 'a secret that nobody may read'
const POLICY = 'budgets: { daily_limit_usd: 5.00 }'

/** What a receiver got. */
interface Received {
  readonly id: string
  readonly number: number
  readonly body: string
  readonly headers: IncomingMessage['headers']
}

async function ledgerWith(count: number): Promise<{ folder: string; ledger: Ledger; raise: (count: number) => Promise<void> }> {
  const folder = newFolder()
  const ledger = await openLedger(folder)
  await ledger.usePolicy({ version: 'v', text: POLICY, timezone: 'UTC', limits: [] }, START_MS)
  let raised = 0
  const raise = async (more: number): Promise<void> => {
    for (let i = 0; i < more; i++) {
      raised += 1
      const body = { severity: 'warning', kind: 'limit-near', scope: 'all.day', episode: `e${raised}`, text: `notice ${raised}`, data: {} } as const
      await ledger.notice(body, START_MS)
    }
  }
  await raise(count)
  return { folder, ledger, raise }
}

/** A receiver that answers as it is told. */
async function receiver(
  answer: (received: Received, response: ServerResponse) => void = (_, response) => void response.writeHead(204).end(),
  make: (listener: RequestListener) => Server = createServer,
): Promise<{ port: number; received: Received[] }> {
  const received: Received[] = []
  const server = make(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const { id, number } = JSON.parse(body) as { id: string; number: number }
    const one = { id, number, body, headers: request.headers }
    received.push(one)
    answer(one, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, received }
}

interface Running {
  readonly out: () => string
  readonly err: () => string
  readonly ended: Promise<number>
  stop(): Promise<number>
}

function follow(folder: string, ...argv: readonly string[]): Running {
  const stopped = new AbortController()
  let out = ''
  let err = ''
  const ended = run(['notices', '--ledger', folder, '--follow', ...argv], {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    env: { MANCIPLE_WEBHOOK_SECRET: SECRET, SHORT: 'short' },
    isTTY: false,
    columns: undefined,
    signal: stopped.signal,
  })
  const stop = (): Promise<number> => {
    stopped.abort()
    return ended
  }
  onTestFinished(() => void stop())
  return { out: () => out, err: () => err, ended, stop }
}

const numbers = (received: readonly Received[]): readonly number[] => received.map(({ number }) => number)

describe('manciple notices --webhook', () => {
  it('posts each notice once, in order, signed over time and body, and prints what was taken', async () => {
    const { folder, ledger, raise } = await ledgerWith(5)
    const { port, received } = await receiver()
    const running = follow(folder, '--webhook', `http://127.0.0.1:${port}/hook?key=private`, '--last', '2')
    await vi.waitFor(() => expect(numbers(received)).toEqual([4, 5]))
    await raise(2)
    await vi.waitFor(() => expect(numbers(received)).toEqual([4, 5, 6, 7]))
    await vi.waitFor(() => expect(running.out()).toMatch(/notice 4\n.*notice 5\n.*notice 6\n.*notice 7\n$/s))
    expect(await running.stop()).toBe(0)
    for (const { id, number, body, headers } of received) {
      expect(id).toBe(`${ledger.stream}:${number}`)
      expect(headers['idempotency-key']).toBe(id)
      expect(headers['content-type']).toBe('application/json')
      const timestamp = String(headers['x-manciple-timestamp'])
      expect(Math.abs(Date.now() / 1000 - Number(timestamp))).toBeLessThan(60)
      expect(headers['x-manciple-signature']).toBe(`v1=${createHmac('sha256', SECRET).update(`${timestamp}.${body}`).digest('hex')}`)
      expect(JSON.parse(body)).toMatchObject({ severity: 'warning', kind: 'limit-near', text: `notice ${number}` })
    }
    expect(running.err()).toBe('')
  })

  it('begins with the next new notice, and after a restart with the one after the last that was taken', async () => {
    const { folder, raise } = await ledgerWith(3)
    const { port, received } = await receiver()
    const address = `http://localhost:${port}/`
    const first = follow(folder, '--webhook', address)
    await sleep(300)
    await raise(1)
    await vi.waitFor(() => expect(numbers(received)).toEqual([4]))
    await vi.waitFor(() => expect(first.out()).not.toBe(''))
    await first.stop()
    await raise(2)
    const second = follow(folder, '--webhook', address, '--last', '20')
    await vi.waitFor(() => expect(numbers(received)).toEqual([4, 5, 6]))
    await second.stop()
    // Another address has a cursor of its own.
    const other = follow(folder, '--webhook', `${address}other`, '--last', '1')
    await vi.waitFor(() => expect(numbers(received)).toEqual([4, 5, 6, 6]))
    await other.stop()
  })

  it('tries a notice again until it is taken, holding the later ones back, and tells neither path nor secret', async () => {
    const { folder } = await ledgerWith(2)
    const answers = [500, 302]
    const { port, received } = await receiver((_, response) => {
      const status = answers.shift()
      response.writeHead(status ?? 204, status === 302 ? { location: 'http://127.0.0.1:1/elsewhere' } : {}).end('x'.repeat(100_000))
    })
    vi.spyOn(Math, 'random').mockReturnValue(1)
    const running = follow(folder, '--webhook', `http://127.0.0.1:${port}/private/path`, '--last', '2')
    await vi.waitFor(() => expect(numbers(received)).toEqual([1, 1, 1, 2]), 20_000)
    await running.stop()
    vi.restoreAllMocks()
    expect(running.err()).toMatch(
      /^Notice 1 was not taken: http:\/\/127\.0\.0\.1:\d+ answered 500\. Next try in 0\.8 s\.\n.*answered 302, and redirects are not followed\. Next try in 1\.5 s\.\n$/,
    )
    expect(running.err() + running.out()).not.toMatch(/private|secret/)
  })

  it('waits for a receiver that is not there', async () => {
    const { folder } = await ledgerWith(1)
    const { port } = await receiver()
    const free = createServer()
    free.listen(0, '127.0.0.1')
    await once(free, 'listening')
    const later = (free.address() as AddressInfo).port
    free.close()
    const running = follow(folder, '--webhook', `http://127.0.0.1:${later}/`, '--last', '1')
    await vi.waitFor(() => expect(running.err()).toMatch(/could not be reached: .*ECONNREFUSED/))
    expect(await running.stop()).toBe(0)
    const again = follow(folder, '--webhook', `http://127.0.0.1:${port}/`, '--last', '1')
    await vi.waitFor(() => expect(again.out()).toContain('notice 1'))
    await again.stop()
  })

  it('doubles its waits up to a bound, and ends them at Ctrl-C', async () => {
    const waits: number[] = []
    let failures = 7
    const sink = {
      name: 'x',
      target: 'x',
      deliver: async () => {
        failures -= 1
        if (failures > 0) throw new Error('no')
      },
    }
    const notice = { number: 1, time: '', severity: 'info', kind: 'restored', scope: '', episode: '', text: '', data: {} } as const
    const signal = new AbortController()
    await deliverSurely(sink, { id: 'a:1', notice }, signal.signal, (_, waitMs) => waits.push(waitMs), { firstMs: 8, lastMs: 32 })
    expect(waits.map((wait) => [8, 16, 32].find((most) => wait <= most && wait >= most * 0.7))).toEqual([8, 16, 32, 32, 32, 32])
    failures = 99
    const broken = deliverSurely(sink, { id: 'a:1', notice }, signal.signal, () => signal.abort(), { firstMs: 60_000, lastMs: 60_000 })
    expect(await broken).toBe(false)
  })

  it.each([
    ['a plain address', ['--webhook', 'http://example.com/'], 'https, or http on this machine'],
    ['an address that only looks like this machine', ['--webhook', 'http://127.0.0.1.example.com/'], 'https, or http on this machine'],
    ['a password in the address', ['--webhook', 'https://user:pass@example.com/'], 'a user or a password'],
    ['no address', ['--webhook', 'ops'], 'no URL'],
    ['no secret', ['--webhook', 'https://example.com/', '--secret-env', 'NONE'], 'The environment has no NONE'],
    ['a secret that can be guessed', ['--webhook', 'https://example.com/', '--secret-env', 'SHORT'], 'SHORT is too short'],
    ['two sinks', ['--webhook', 'https://example.com/', '--exec', 'true'], 'cannot be used with'],
  ])('refuses %s', async (_, argv, message) => {
    const { folder } = await ledgerWith(0)
    const running = follow(folder, ...argv)
    expect(await running.ended).toBe(2)
    expect(running.err()).toContain(message)
    expect(running.err()).not.toMatch(/pass@|secret that nobody/)
  })

  it('goes on from a whole cursor only', async () => {
    const { folder } = await ledgerWith(1)
    const cursor = join(dirname(folder), 'my.cursor')
    writeFileSync(cursor, '{"stream":')
    const running = follow(folder, '--exec', 'true', '--cursor', cursor)
    expect(await running.ended).toBe(2)
    expect(running.err()).toContain('my.cursor is no cursor')
  })
})

const certificate = (() => {
  const made = spawnSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-keyout',
      '-',
      '-out',
      '-',
      '-days',
      '2',
      '-subj',
      '/CN=localhost',
      '-addext',
      'subjectAltName=IP:127.0.0.1',
    ],
    { encoding: 'utf8' },
  )
  return made.status === 0 ? made.stdout : undefined
})()

/** The command as a process of its own. */
function command(folder: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess & { readonly said: () => string } {
  const main = join(import.meta.dirname, '..', '..', 'packages', 'cli', 'src', 'main.ts')
  const args = ['--conditions=manciple-source', '--no-warnings', main, 'notices', '--ledger', folder, '--follow', ...argv]
  const child = spawn(process.execPath, args, { env: { ...process.env, MANCIPLE_WEBHOOK_SECRET: SECRET, ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  return Object.assign(child, { said: () => said })
}

describe('manciple notices --webhook, as a process', () => {
  it.skipIf(certificate === undefined)('speaks https, and to nobody whose certificate it cannot verify', async () => {
    const { folder } = await ledgerWith(1)
    const file = join(dirname(folder), 'ca.pem')
    writeFileSync(file, certificate ?? '')
    const { port, received } = await receiver(undefined, (listener) => createSecureServer({ key: certificate ?? '', cert: certificate ?? '' }, listener))
    const stranger = command(folder, ['--webhook', `https://127.0.0.1:${port}/`, '--last', '1'])
    await vi.waitFor(() => expect(stranger.said()).toMatch(/could not be reached: .*certificate/), 10_000)
    stranger.kill('SIGINT')
    expect(received).toEqual([])
    const friend = command(folder, ['--webhook', `https://127.0.0.1:${port}/`], { NODE_EXTRA_CA_CERTS: file })
    await vi.waitFor(() => expect(numbers(received)).toEqual([1]), 10_000)
    await vi.waitFor(() => expect(friend.said()).toContain('notice 1'), 10_000)
    friend.kill('SIGINT')
    expect((await once(friend, 'exit'))[0]).toBe(0)
  })

  it('killed while a notice is on its way, loses none, and repeats only that one, under the same id', async () => {
    const { folder, raise } = await ledgerWith(0)
    const held: ServerResponse[] = []
    let hold = 0
    const { port, received } = await receiver((one, response) => {
      if (one.number === hold) held.push(response)
      else response.writeHead(200).end()
    })
    const argv = ['--webhook', `http://127.0.0.1:${port}/`, '--last', '0']
    await raise(2)
    for (hold = 3; hold <= 6; hold += 3) {
      const child = command(folder, argv)
      if (hold === 3) await vi.waitFor(() => expect(hasCursor(folder)).toBe(true), 10_000)
      await raise(3)
      await vi.waitFor(() => expect(held).toHaveLength(hold / 3), 10_000)
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    hold = -1
    const last = command(folder, argv)
    await vi.waitFor(() => expect(numbers(received).at(-1)).toBe(8), 10_000)
    last.kill('SIGINT')
    await once(last, 'exit')
    const got = numbers(received)
    expect([...new Set(got)]).toEqual([3, 4, 5, 6, 7, 8])
    expect(got.toSorted((a, b) => a - b)).toEqual(got)
    expect(new Set(received.map(({ id }) => id)).size).toBe(6)
    expect(got.filter((number) => number % 3 === 0)).toEqual([3, 3, 6, 6])
    expect(got).toHaveLength(8)
  })
})

function hasCursor(folder: string): boolean {
  return readdirSync(dirname(folder)).some((name) => name.endsWith('.cursor.json'))
}

describe('manciple notices --exec', () => {
  it('runs a command for each, with the notice on its standard input, and tries again while it fails', async () => {
    const { folder } = await ledgerWith(3)
    const log = join(dirname(folder), 'log.jsonl')
    const failed = join(dirname(folder), 'failed')
    const script = `test -e ${failed} || { touch ${failed}; echo "no $((1 + 1))" >&2; exit 4; }; cat >> ${log}`
    const running = follow(folder, '--exec', script, '--last', '3', '--json')
    await vi.waitFor(() => expect(running.out().trim().split('\n')).toHaveLength(3), 10_000)
    expect(await running.stop()).toBe(0)
    const lines = readFileSync(log, 'utf8').trim().split('\n')
    const notices = lines.map((line) => JSON.parse(line) as { number: number; id: string })
    expect(notices.map(({ number }) => number)).toEqual([1, 2, 3])
    expect(notices[0]?.id).toMatch(/:1$/)
    expect(running.err()).toMatch(/^Notice 1 was not taken: the command ended with 4: no 2\. Next try in /)
  })

  it('does not mind a command that reads nothing', async () => {
    const { folder } = await ledgerWith(1)
    const done = join(dirname(folder), 'done')
    const running = follow(folder, '--exec', `touch ${done}`, '--last', '1')
    await vi.waitFor(() => expect(running.out()).toContain('notice 1'), 10_000)
    expect(existsSync(done)).toBe(true)
    await running.stop()
  })
})

import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { START_MS } from '../contract/ledger-samples.ts'
import { checkDeath, Model, type Life } from './model.ts'
import { LIFE_MS, MOST_STEPS, seeded, type Attempt } from './workload.ts'
import type { FoundOpen, WriterOptions } from './writer.ts'

const WRITER = fileURLToPath(new URL('writer.ts', import.meta.url))
/** A ledger outlives so many of its writers; then another one is begun, or every check would take longer than the one before. */
const LIVES = 25
/** The system calls by which a ledger gets to disk: data, their syncs, names, cuts. */
const CALLS = ['pwrite64', 'fdatasync', 'rename', 'fsync', 'ftruncate'] as const
const STRACE_STEPS = 20
/** So many writers in a row make fewer calls of a kind than it would take to hit them: all of that kind have been tried. */
const MISSES = 2

export interface Tally {
  kills: number
  attempted: number
  acknowledged: number
  recovered: number
  /** Deaths that left a line half written. */
  torn: number
  /** Kills by the system call that they came at; `any` for those at a random moment. */
  readonly at: Record<string, number>
}

export interface KillOptions {
  readonly kills: number
  /** At a random moment, or at the nth of each kind of system call. */
  readonly how: 'random' | 'strace'
  readonly seed: number
  readonly onKill?: (tally: Tally) => void
}

/** Whether a process can be run under strace here. */
export const HAS_STRACE = spawnSync('strace', ['-qqq', '-e', 'trace=none', 'true']).status === 0
/** Whether strace can be attached to a process that runs: for root alone, on most systems. */
export const MAY_ATTACH = HAS_STRACE && process.getuid?.() === 0

/**
 * Kills writers, two at a time on ledgers of their own, and checks what each has left: by the model, and by what the next writer finds.
 * @throws AssertionError as soon as a single acknowledged record is lost, or a number differs.
 */
export async function killAndCheck({ kills, how, seed, onKill }: KillOptions): Promise<Tally> {
  const tally: Tally = { kills: 0, attempted: 0, acknowledged: 0, recovered: 0, torn: 0, at: {} }
  const base = mkdtempSync(join(tmpdir(), 'kills-'))
  const env = { ...process.env, NODE_COMPILE_CACHE: join(base, 'compiled') }
  const random = seeded(seed)
  const aim = how === 'random' ? randomAims(random) : straceAims()
  try {
    // Only a process that ends of its own accord keeps what it compiled.
    await new Ledger(join(base, 'first'), env, tally).live({ kind: 'never' }, 0, seed)
    const line = async (number: number): Promise<void> => {
      for (let ledger = 0; tally.kills < kills; ledger++) {
        const folder = join(base, `${number}-${ledger}`)
        const lineage = new Ledger(folder, env, tally)
        for (let life = 0; life < LIVES && tally.kills < kills; life++) {
          const shot = aim.next()
          if (await lineage.live(shot, how === 'random' ? MOST_STEPS : STRACE_STEPS, Math.floor(random() * 2 ** 32))) onKill?.(tally)
          else aim.missed()
        }
        await lineage.live({ kind: 'never' }, 0, seed)
        assert.deepEqual(
          readdirSync(folder).filter((name) => name.endsWith('.tmp')),
          [],
        )
        rmSync(folder, { recursive: true })
      }
    }
    const lines = await Promise.allSettled(Array.from({ length: Math.min(2, cpus().length) }, (_, number) => line(number)))
    for (const one of lines) if (one.status === 'rejected') throw one.reason
    return tally
  } finally {
    rmSync(base, { recursive: true, force: true })
  }
}

type Shot =
  | { readonly kind: 'never' }
  /** After so many ms, or so many acknowledgements and then so many ms. */
  | { readonly kind: 'random'; readonly acknowledged: number | undefined; readonly afterMs: number }
  | { readonly kind: 'call'; readonly call: string; readonly nth: number }

interface Aims {
  next(): Shot
  /** The writer ended before it was hit. */
  missed(): void
}

function randomAims(random: () => number): Aims {
  return {
    next: () =>
      random() < 0.15
        ? { kind: 'random', acknowledged: undefined, afterMs: 40 + random() * 120 }
        : { kind: 'random', acknowledged: Math.floor(random() ** 2 * 40), afterMs: random() * 2 },
    missed: () => undefined,
  }
}

/** The first, second, third … call of a kind, until writers get by unharmed; then of the next kind. */
function straceAims(): Aims {
  let kind = 0
  let nth = 0
  let misses = 0
  return {
    next: () => ({ kind: 'call', call: CALLS[kind % CALLS.length] ?? CALLS[0], nth: ++nth }),
    missed() {
      if (++misses < MISSES) return
      kind++
      nth = 0
      misses = 0
    },
  }
}

/** A ledger, and what it must say whenever it is opened. */
class Ledger {
  readonly #folder: string
  readonly #env: NodeJS.ProcessEnv
  readonly #tally: Tally
  readonly #model = new Model()
  #lives = 0

  constructor(folder: string, env: NodeJS.ProcessEnv, tally: Tally) {
    this.#folder = folder
    this.#env = env
    this.#tally = tally
  }

  /** One life of a writer. @returns whether it was killed. */
  async live(shot: Shot, steps: number, seed: number): Promise<boolean> {
    const number = this.#lives++
    const options: WriterOptions = {
      folder: this.#folder,
      session: `life${number}`,
      seed,
      nowMs: START_MS + number * LIFE_MS,
      steps,
      fsync: number % 5 === 4 ? 'never' : 'always',
    }
    const { notes, killed } = await run(options, shot, this.#env)
    const { found, life } = parse(notes, options)
    if (found !== undefined) {
      assert.equal(found.fault, undefined)
      assert.deepEqual(found.presumed, this.#model.open, `${options.session}: what was found open`)
      this.#model.restart()
      assert.deepEqual(found.view, this.#model.view(options.nowMs), `${options.session}: the books that were opened are not the model's`)
    }
    const { attempts, torn } = await checkDeath(this.#folder, life, this.#model)
    if (!killed) return false
    const tally = this.#tally
    tally.kills++
    tally.attempted += life.attempts.length
    tally.acknowledged += life.acknowledged.size
    tally.recovered += attempts
    tally.torn += Number(torn)
    const at = shot.kind === 'call' ? shot.call : 'any'
    tally.at[at] = (tally.at[at] ?? 0) + 1
    return true
  }
}

async function run(options: WriterOptions, shot: Shot, env: NodeJS.ProcessEnv): Promise<{ notes: string; killed: boolean }> {
  const args = ['--conditions=manciple-source', '--no-warnings', WRITER, JSON.stringify(options)]
  // With one thread the nth call is the nth of the whole pool: strace counts for each thread.
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...env, UV_THREADPOOL_SIZE: '1' } })
  // A writer that is dead reads no more.
  child.stdin.on('error', () => undefined)
  let notes = ''
  let aimed = false
  child.stdout.on('data', (bytes: Buffer) => {
    notes += bytes.toString()
    if (aimed || !isTime(shot, notes)) return
    aimed = true
    if (shot.kind === 'call') inject(shot, child)
    else setTimeout(() => child.kill('SIGKILL'), shot.afterMs)
  })
  if (shot.kind !== 'call') child.stdin.end('go')
  if (shot.kind === 'random' && shot.acknowledged === undefined) setTimeout(() => child.kill('SIGKILL'), shot.afterMs)
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  assert.ok(code === 0 || signal === 'SIGKILL', `the writer ended with code ${code}, signal ${signal}`)
  return { notes, killed: signal === 'SIGKILL' }
}

function isTime(shot: Shot, notes: string): shot is Exclude<Shot, { kind: 'never' }> {
  if (shot.kind === 'call') return notes.startsWith('ready\n')
  return shot.kind === 'random' && shot.acknowledged !== undefined && notes.split('\n= ').length > shot.acknowledged
}

/** Attaches strace to a writer that waits, and lets it go on. To start the writer by strace would trace all that Node does to begin with. */
function inject({ call, nth }: Extract<Shot, { kind: 'call' }>, child: ChildProcessByStdio<Writable, Readable, null>): void {
  const rules = ['-e', `trace=${call}`, '-e', `inject=${call}:signal=SIGKILL:when=${nth}`]
  const strace = spawn('strace', ['-f', '-o', '/dev/null', ...rules, '-p', String(child.pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  strace.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString()
    if (said.includes(' attached')) child.stdin.end('go')
  })
  strace.on('close', () => {
    // Nobody will let the writer go on: its end tells.
    if (!said.includes(' attached')) child.kill('SIGTERM')
  })
}

function parse(notes: string, { session, nowMs }: WriterOptions): { found: FoundOpen | undefined; life: Life } {
  let found: FoundOpen | undefined
  const attempts: Attempt[] = []
  const acknowledged = new Set<number>()
  for (const line of notes.split('\n').slice(0, -1)) {
    const rest = line.slice(line.indexOf(' ') + 1)
    if (line.startsWith('open ')) found = JSON.parse(rest) as FoundOpen
    else if (line.startsWith('+ ')) attempts.push(JSON.parse(rest) as Attempt)
    else if (line.startsWith('= ')) acknowledged.add(Number(rest))
  }
  return { found, life: { session, attempts, acknowledged, nowMs } }
}

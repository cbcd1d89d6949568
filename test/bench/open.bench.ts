/**
 * Opening a ledger with a long past, and what the ledger costs while it runs. Prints JSON.
 *
 *     node --conditions=manciple-source test/bench/open.bench.ts [entries, 1000000 unless given] [folder]
 */
import { execFile } from 'node:child_process'
import { createHash, type Hash } from 'node:crypto'
import { closeSync, createReadStream, fdatasync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, write, writeSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { encodeLines } from '../../packages/core/src/ledger/journal-lines.ts'
import { segmentPath } from '../../packages/core/src/ledger/journal-scan.ts'
import type { JournalRecord } from '../../packages/core/src/ledger/journal-fields.ts'
import { openJsonLedger } from '../../packages/core/src/ledger/json-ledger.ts'
import type { Ledger } from '../../packages/core/src/ledger/ledger.ts'
import type { ReserveOrder } from '../../packages/core/src/ledger/record.ts'
import { policy, settlement } from './ledger-samples.ts'

const ENTRIES = 1_000_000
const SEGMENT_BYTES = 64 * 2 ** 20
const BATCH = 500
const YEAR_MS = 365 * 86_400_000
const OPENINGS = 5
const ROUNDS = 2_000
const STALL_MS = 10_000
const CALLERS = 64
const SESSION = 'generate'
const MODELS: readonly (readonly [backend: string, model: string, kind: 'cloud' | 'local'])[] = [
  ['claude', 'claude-sonnet-4-20250514', 'cloud'],
  ['claude', 'claude-opus-4-8', 'cloud'],
  ['gpt', 'gpt-5.1', 'cloud'],
  ['gemini', 'gemini-2.5-pro', 'cloud'],
  ['kimi', 'kimi-k2', 'cloud'],
  ['local', 'llama3.1:8b', 'local'],
]
const TASK_TYPES = ['chat', 'reasoning', 'bulk']

export interface OpenFigures {
  readonly entries: number
  readonly journal_megabytes: number
  /** Reading every byte of the journal and doing nothing with it. */
  readonly bare_read_megabytes_per_second: number
  readonly rebuild_megabytes_per_second: number
  readonly checkpoint_megabytes: number
  /** Median of five processes; the import of modules is not counted. Goal at ten million: 500. */
  readonly open_ms: number
  readonly open_empty_ms: number
  /** Of the process, after garbage collection, above that of one with an empty ledger. Goal: 30. */
  readonly memory_megabytes: { readonly heap: number; readonly resident: number }
  /** One caller; alternating with a bare write and fdatasync of as many bytes. Goal: at most 2 × the bare p99 + 1. */
  readonly reserve_p99_ms: number
  readonly bare_p99_ms: number
  /** 64 callers for ten seconds, and a loop that does nothing, which tells what the machine itself adds. Goal: p99.9 of 5. */
  readonly loop_stall_ms: { readonly p99_9: number; readonly max: number; readonly idle_p99_9: number; readonly pairs_per_second: number }
}

interface Opened {
  readonly ms: number
  readonly heapBytes: number
  readonly residentBytes: number
}

function orderAt(index: number, atMs: number): ReserveOrder {
  const [backend, model, kind] = MODELS[index % MODELS.length] ?? ['local', 'llama3.1:8b', 'local']
  return {
    atMs,
    backend,
    kind,
    model,
    taskId: `task-${Math.floor(index / 20)}`,
    taskType: TASK_TYPES[Math.floor(index / 7) % TASK_TYPES.length] ?? null,
    requestedBackend: backend,
    inputTokens: 1500,
    maxOutputTokens: 8192,
    estimate: { costNano: 127_380_000, tokens: 9692, requests: 1 },
    priceSource: kind === 'local' ? 'free' : 'list',
    policy: policy.version,
    candidates: [
      { backend, model, estimate_nano: 127_380_000, score: 1 },
      { backend: 'local', model: 'llama3.1:8b', estimate_nano: 0, score: 0.5, out: 'outscored' },
    ],
  }
}

/** The two lines of one call. */
function callAt(index: number, atMs: number): readonly JournalRecord[] {
  const order = orderAt(index, atMs)
  const id = `${SESSION}-${(index + 1).toString(36)}`
  return [
    { type: 'reserve', hold: { ...order, id } },
    {
      type: 'settle',
      entry: {
        timestamp: new Date(atMs).toISOString(),
        backend: order.backend,
        model: order.model,
        prompt_tokens: 1500,
        completion_tokens: 800,
        cost_usd: 0.0165,
        task_id: order.taskId,
        task_type: order.taskType,
        duration_ms: 1834,
        id,
        requested_backend: order.requestedBackend,
        status: 'ok',
        usage_source: 'reported',
        cache_read_tokens: 0,
        cache_write_tokens: 0,
        reasoning_tokens: 0,
        price_source: order.priceSource,
        policy: order.policy,
      },
    },
  ]
}

/** Writes the journal that a year of calls leaves, without going through a ledger: ten million of them in minutes. */
function generate(folder: string, entries: number): void {
  const startMs = Date.now() - YEAR_MS
  let segment = 1
  let fd = openSync(segmentPath(folder, segment), 'wx', 0o600)
  let hash: Hash = createHash('sha256')
  let chain = { seq: 0, crc: 0 }
  let size = 0
  const append = (records: readonly JournalRecord[]): void => {
    const { bytes, last } = encodeLines(records, chain, chain.seq)
    hash.update(bytes)
    writeSync(fd, bytes)
    chain = last
    size += bytes.length
  }
  append([
    { type: 'open', ledger: 'bench', session: SESSION, time: new Date(startMs).toISOString(), format: 1 },
    { type: 'policy', time: new Date(startMs).toISOString(), version: policy.version, text: policy.text },
  ])
  for (let index = 0; index < entries;) {
    const records: JournalRecord[] = []
    for (const end = Math.min(entries, index + BATCH); index < end; index++) {
      records.push(...callAt(index, startMs + Math.floor((YEAR_MS * index) / entries)))
    }
    append(records)
    if (size < SEGMENT_BYTES) continue
    append([{ type: 'seal', sha256: hash.copy().digest('hex') }])
    closeSync(fd)
    segment++
    fd = openSync(segmentPath(folder, segment), 'wx', 0o600)
    hash = createHash('sha256')
    size = 0
  }
  closeSync(fd)
}

function journalBytes(folder: string): number {
  return segments(folder).reduce((sum, path) => sum + statSync(path).size, 0)
}

function segments(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith('journal-'))
    .map((name) => join(folder, name))
}

async function bareReadSeconds(folder: string): Promise<number> {
  const startMs = performance.now()
  for (const path of segments(folder)) {
    let bytes = 0
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 18 }) as AsyncIterable<Buffer>) bytes += chunk.length
    if (bytes === 0) throw new Error(`${path} is empty`)
  }
  return (performance.now() - startMs) / 1000
}

async function openedLedger(folder: string): Promise<Ledger> {
  const ledger = await openJsonLedger({ folder, onWarning: (text) => process.stderr.write(`${text}\n`) })
  if (ledger.fault !== undefined) throw new Error(ledger.fault.reason)
  await ledger.usePolicy(policy, Date.now())
  return ledger
}

/** In a process of its own: opens, measures, and ends without closing, so that each finds the same checkpoint. */
async function openInChild(folder: string): Promise<Opened> {
  const path = fileURLToPath(import.meta.url)
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=manciple-source', '--no-warnings', '--expose-gc', path, '--open', folder])
  return JSON.parse(stdout) as Opened
}

async function openAndTell(folder: string): Promise<void> {
  const startMs = performance.now()
  await openedLedger(folder)
  const ms = performance.now() - startMs
  for (let round = 0; round < 4; round++) globalThis.gc?.()
  const { heapUsed, rss } = process.memoryUsage()
  writeSync(1, JSON.stringify({ ms, heapBytes: heapUsed, residentBytes: rss } satisfies Opened))
  process.exit()
}

async function openings(folder: string): Promise<Opened> {
  const found: Opened[] = []
  for (let opening = 0; opening < OPENINGS; opening++) found.push(await openInChild(folder))
  return {
    ms: quantile(
      found.map(({ ms }) => ms),
      0.5,
    ),
    heapBytes: quantile(
      found.map(({ heapBytes }) => heapBytes),
      0.5,
    ),
    residentBytes: quantile(
      found.map(({ residentBytes }) => residentBytes),
      0.5,
    ),
  }
}

/** Reservations one at a time, each followed by a bare write and sync of as many bytes: both meet the same disk. */
async function reserveLatency(folder: string): Promise<{ reserve: number; bare: number }> {
  const ledger = await openedLedger(folder)
  const fd = openSync(join(folder, 'bare'), 'w', 0o600)
  const line = encodeLines([callAt(0, Date.now())[0] ?? { type: 'seal', sha256: '' }], { seq: 0, crc: 0 }, 0).bytes
  const reserve: number[] = []
  const bare: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    reserve.push(
      await timed(async () => {
        const reserved = ledger.reserve(orderAt(0, Date.now()))
        if (reserved.ok) await reserved.durable
      }),
    )
    bare.push(await timed(() => promisify(write)(fd, line, 0, line.length, round * line.length).then(() => promisify(fdatasync)(fd))))
  }
  closeSync(fd)
  await ledger.close()
  return { reserve: quantile(reserve, 0.99), bare: quantile(bare, 0.99) }
}

async function loopStall(folder: string): Promise<OpenFigures['loop_stall_ms']> {
  const ledger = await openedLedger(folder)
  const idle = await stallOf(() => sleep(STALL_MS))
  let untilMs = 0
  let pairs = 0
  const caller = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      const reserved = ledger.reserve(orderAt(pairs++, Date.now()))
      if (!reserved.ok) throw new Error('refused')
      await reserved.durable
      await ledger.settle(reserved.hold.id, settlement).durable
    }
  }
  const busy = await stallOf(() => {
    untilMs = performance.now() + STALL_MS
    return Promise.all(Array.from({ length: CALLERS }, caller))
  })
  await ledger.close()
  return { ...busy, idle_p99_9: idle.p99_9, pairs_per_second: Math.round(pairs / (STALL_MS / 1000)) }
}

async function stallOf(work: () => Promise<unknown>): Promise<{ p99_9: number; max: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await work()
  delay.disable()
  // The histogram counts the resolution itself.
  return { p99_9: ms(delay.percentile(99.9) / 1e6 - 1), max: ms(delay.max / 1e6 - 1) }
}

async function timed(step: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await step()
  return performance.now() - startMs
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((left, right) => left - right)[Math.floor((values.length - 1) * share)] ?? Number.NaN
}

function ms(value: number): number {
  return Number(value.toFixed(2))
}

function megabytes(bytes: number): number {
  return Number((bytes / 1e6).toFixed(1))
}

/** In the working folder unless told otherwise, so that it meets the disk that a ledger would. Ten million entries take 12 GB. */
export async function measureOpen(entries = ENTRIES, base = '.'): Promise<OpenFigures> {
  const root = mkdtempSync(join(resolve(base), 'open-bench-'))
  try {
    const folder = join(root, 'long')
    mkdirSync(folder, { mode: 0o700 })
    generate(folder, entries)
    const bytes = journalBytes(folder)
    const bareSeconds = await bareReadSeconds(folder)
    const startMs = performance.now()
    const rebuilt = await openedLedger(folder)
    const rebuildSeconds = (performance.now() - startMs) / 1000
    await rebuilt.close()
    const empty = join(root, 'empty')
    await (await openedLedger(empty)).close()
    const long = await openings(folder)
    const short = await openings(empty)
    const latency = await reserveLatency(folder)
    return {
      entries,
      journal_megabytes: megabytes(bytes),
      bare_read_megabytes_per_second: Math.round(bytes / 1e6 / bareSeconds),
      rebuild_megabytes_per_second: Math.round(bytes / 1e6 / rebuildSeconds),
      checkpoint_megabytes: megabytes(statSync(join(folder, 'checkpoint.json')).size),
      open_ms: ms(long.ms),
      open_empty_ms: ms(short.ms),
      memory_megabytes: { heap: megabytes(long.heapBytes - short.heapBytes), resident: megabytes(long.residentBytes - short.residentBytes) },
      reserve_p99_ms: ms(latency.reserve),
      bare_p99_ms: ms(latency.bare),
      loop_stall_ms: await loopStall(folder),
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [first = String(ENTRIES), second] = process.argv.slice(2)
  if (first === '--open') await openAndTell(second ?? '')
  else process.stdout.write(`${JSON.stringify(await measureOpen(Number(first), second), null, 2)}\n`)
}

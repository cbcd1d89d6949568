import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { logNormal, mulberry32, pick } from './random.ts'
import type { Random } from './random.ts'
import type { WantedUsage } from './upstreams.ts'

/** One call of the traffic. */
export interface Call {
  /** Since the beginning of the span, in ledger time. */
  readonly atMs: number
  readonly id: string
  readonly taskType: string
  /** What the client asks the gateway for. */
  readonly model: string
  readonly stream: boolean
  readonly maxOutputTokens: number
  readonly usage: WantedUsage
}

/** Names, each with its weight. */
export type Weighted = readonly (readonly [string, number])[]

/** Which models and tasks the traffic asks for. */
export interface Mix {
  readonly models: Weighted
  readonly taskTypes: Weighted
}

export interface Span {
  readonly seed: number
  readonly mix: Mix
  /** How long the traffic lasts, in ledger time. */
  readonly spanMs: number
}

const HOUR_MS = 3_600_000
/**
 * Share of calls that stream. Few, for the gateway formats every log entry before it looks at its level,
 * and the one of a stream holds the whole connection: about 20 ms of its time each.
 */
const STREAMED = 0.05
/** Share of calls that read from a cache, and that think. */
const CACHED = 0.3
const REASONED = 0.2
/** How busy each hour of a day is: a working day with a lunch, and a few machines at night. */
const HOURS = [2, 1, 1, 1, 1, 2, 3, 6, 10, 14, 16, 15, 11, 13, 16, 16, 14, 11, 8, 7, 6, 5, 4, 3] as const

/** Seeded traffic: the same seed makes the same calls. */
export function synthesize(count: number, { seed, mix, spanMs }: Span): readonly Call[] {
  const random = mulberry32(seed)
  const times = Array.from({ length: count }, () => arrival(random, spanMs)).sort((a, b) => a - b)
  return times.map((atMs, index) =>
    callOf(random, mix, { atMs, id: `task-${index + 1}`, prompt: logNormal(random, 1000, 0.8), completion: logNormal(random, 200, 0.7) }),
  )
}

interface TraceRow {
  readonly atMs: number
  readonly id: string
  readonly taskType?: string | undefined
  readonly prompt: number
  readonly completion: number
  readonly maxOutputTokens?: number | undefined
}

/**
 * The first `limit` requests of a trace, stretched over the span: a CSV with `TIMESTAMP,ContextTokens,GeneratedTokens`,
 * or JSON lines `{t, id, task_type, prompt_tokens, completion_tokens, max_output_tokens}`.
 * @throws Error that names the file and the line.
 */
export async function readTrace(file: string, limit: number, { seed, mix, spanMs }: Span): Promise<readonly Call[]> {
  const text = await readFile(file, 'utf8')
  const rows = parseTrace(text, file, limit)
  const first = rows.at(0)?.atMs ?? 0
  const length = Math.max(1, (rows.at(-1)?.atMs ?? 0) - first)
  const random = mulberry32(seed)
  return rows.map((row) => callOf(random, mix, { ...row, atMs: Math.floor(((row.atMs - first) / length) * (spanMs - 1)) }))
}

/** @throws Error that names the file and the line. */
export function parseTrace(text: string, file: string, limit: number): readonly TraceRow[] {
  const lines = text.split('\n').map((line) => line.trim())
  const csv = !text.startsWith('{')
  if (csv && lines[0] !== 'TIMESTAMP,ContextTokens,GeneratedTokens') {
    throw new Error(`${file}:1: expected the columns TIMESTAMP,ContextTokens,GeneratedTokens, or JSON lines`)
  }
  const rows: TraceRow[] = []
  for (const [index, line] of lines.entries()) {
    if (rows.length === limit) break
    if (line === '' || (csv && index === 0)) continue
    const row = csv ? csvRow(line, index) : jsonRow(line)
    if (row === undefined || !Number.isFinite(row.atMs) || !isCount(row.prompt) || !isCount(row.completion)) {
      throw new Error(`${file}:${index + 1}: expected a time and two whole token counts; found ${line.slice(0, 80)}`)
    }
    rows.push(row)
  }
  if (rows.length === 0) throw new Error(`${file}: holds no requests`)
  return rows
}

function csvRow(line: string, index: number): TraceRow {
  const [time = '', prompt, completion] = line.split(',')
  // Seven decimals of a second: more than Date.parse takes.
  const atMs = Date.parse(`${time.slice(0, 23).replace(' ', 'T')}Z`)
  return { atMs, id: `row-${index}`, prompt: Number(prompt), completion: Number(completion) }
}

function jsonRow(line: string): TraceRow | undefined {
  try {
    const row: Readonly<Record<string, unknown>> = JSON.parse(line)
    const max = row['max_output_tokens']
    return {
      atMs: Date.parse(String(row['t'])),
      id: String(row['id']),
      taskType: typeof row['task_type'] === 'string' ? row['task_type'] : undefined,
      prompt: Number(row['prompt_tokens']),
      completion: Number(row['completion_tokens']),
      maxOutputTokens: typeof max === 'number' ? max : undefined,
    }
  } catch {
    return undefined
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

/** A time of day by its business, on any day of the span. */
function arrival(random: Random, spanMs: number): number {
  const day = Math.floor(random() * Math.max(1, Math.round(spanMs / (24 * HOUR_MS))))
  const hour = pick(
    random,
    HOURS.map((weight, index) => [index, weight] as const),
  )
  return Math.min(spanMs - 1, Math.floor((day * 24 + hour + random()) * HOUR_MS))
}

function callOf(random: Random, mix: Mix, row: TraceRow): Call {
  const { prompt, completion } = row
  const usage = {
    prompt_tokens: prompt,
    completion_tokens: completion,
    ...(random() < CACHED ? { cached_tokens: Math.floor(prompt * random()) } : {}),
    ...(random() < REASONED ? { reasoning_tokens: Math.floor(completion * random()) } : {}),
  }
  return {
    atMs: row.atMs,
    id: row.id,
    taskType: row.taskType ?? pick(random, mix.taskTypes),
    model: pick(random, mix.models),
    stream: random() < STREAMED,
    maxOutputTokens: row.maxOutputTokens ?? roomFor(completion),
    usage,
  }
}

/** What a careful client allows: the next power of two that leaves room, 256 at least. */
function roomFor(completion: number): number {
  return Math.max(256, 2 ** Math.ceil(Math.log2(completion + 1)))
}

/** What the clients saw. */
export interface Tally {
  readonly total: number
  sent: number
  answered: number
  refused: number
  failed: number
  /** Of the first answers that were no success, for people. */
  readonly complaints: string[]
}

export interface DriveOptions {
  /** Of the gateway. */
  readonly url: string
  /** Ledger time ÷ real time. */
  readonly rate: number
  /** Calls under way at once. */
  readonly concurrency: number
  readonly clientKey?: string
  readonly signal?: AbortSignal
}

const COMPLAINTS_KEPT = 5

export function newTally(total: number): Tally {
  return { total, sent: 0, answered: 0, refused: 0, failed: 0, complaints: [] }
}

/** Sends every call at its time, as an OpenAI client would, and resolves when all have been answered. */
export async function drive(calls: readonly Call[], tally: Tally, options: DriveOptions): Promise<void> {
  const startMs = performance.now()
  const underWay = new Set<Promise<void>>()
  for (const call of calls) {
    const waitMs = call.atMs / options.rate - (performance.now() - startMs)
    if (waitMs > 1) await sleep(waitMs)
    if (underWay.size >= options.concurrency) await Promise.race(underWay)
    if (options.signal?.aborted === true) break
    tally.sent += 1
    const done = send(call, options).then(
      (answer) => {
        count(tally, answer.status, answer.complaint)
      },
      (error: unknown) => {
        count(tally, 0, String(error))
      },
    )
    const tracked: Promise<void> = done.finally(() => underWay.delete(tracked))
    underWay.add(tracked)
  }
  await Promise.all(underWay)
}

function count(tally: Tally, status: number, complaint: string | undefined): void {
  if (status === 200) tally.answered += 1
  else if (status === 429) tally.refused += 1
  else tally.failed += 1
  if (complaint !== undefined && tally.complaints.length < COMPLAINTS_KEPT) tally.complaints.push(`${status}: ${complaint.slice(0, 300)}`)
}

async function send(call: Call, { url, clientKey }: DriveOptions): Promise<{ status: number; complaint: string | undefined }> {
  const response = await fetch(`${url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${clientKey ?? 'demo'}`,
      'x-manciple-task-id': call.id,
      'x-manciple-task-type': call.taskType,
      'x-manciple-input-tokens': String(call.usage.prompt_tokens),
    },
    body: JSON.stringify({
      model: call.model,
      stream: call.stream,
      max_tokens: call.maxOutputTokens,
      messages: [{ role: 'user', content: JSON.stringify(call.usage) }],
    }),
  })
  const text = await response.text()
  const whole = call.stream ? text.trimEnd().endsWith('data: [DONE]') : text.includes('"usage"')
  if (response.status !== 200) return { status: response.status, complaint: text }
  return whole ? { status: 200, complaint: undefined } : { status: 0, complaint: `cut short: ${text.slice(-100)}` }
}

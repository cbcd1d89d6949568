import { createReadStream, type Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { MancipleError } from '../errors.ts'
import { parseTime } from '../ledger/history-period.ts'
import { readSpend } from '../ledger/spend-files.ts'
import type { ImportRow } from '../ledger/import-rows.ts'
import type { OnProgress } from '../ledger/verify.ts'
import { azureCallOf, isAzureHead } from './azure-csv.ts'
import { callOfLine, type TimeOf } from './json-lines.ts'
import { readLedgerTrace } from './ledger-trace.ts'
import type { TraceCall, TraceIssue } from './trace-call.ts'

/** A trace as it is read. */
export interface TraceReading {
  /** In order of time, some at a time. @throws MancipleError `TRACE_INVALID` at its end, with every mistake. */
  readonly calls: AsyncIterable<readonly TraceCall[]>
  /** What is in the files and is not replayed, and how often. Complete when all calls have been read. */
  readonly leftOut: ReadonlyMap<string, number>
}

/** Mistakes that a message lists. */
const LISTED = 20
const CHUNK_BYTES = 1 << 18

/**
 * Reads a trace: JSON lines with `t`, the CSV of Azure's public traces, a ledger's folder, or whatever `manciple ledger import` reads: CSV with a head, an export, a file or
 * folder of Claude Code's logs. Which it is shows in the file. The first three are read as they are replayed and must be in order of time; the rest is gathered and sorted first.
 *
 * @param zone of times that do not say theirs.
 * @throws MancipleError `TRACE_INVALID`, `LEDGER_DAMAGED`.
 */
export async function readTrace(path: string, zone: string, onProgress: OnProgress): Promise<TraceReading> {
  const timeOf: TimeOf = (text) => parseTime(text, zone)?.startMs
  const found = await statOf(path)
  if (found.isDirectory()) return (await isLedger(path)) ? readLedgerTrace(path, onProgress) : gathered(path, timeOf, onProgress)
  const head = await firstLine(path)
  if (isAzureHead(head)) return lines(path, found.size, 1, azureCallOf, onProgress)
  if (isTraceLine(head)) return lines(path, found.size, 0, (text, line) => callOfLine(text, line, timeOf), onProgress)
  return gathered(path, timeOf, onProgress)
}

type Parse = (text: string, line: number) => TraceCall | string

function lines(path: string, totalBytes: number, headLines: number, parse: Parse, onProgress: OnProgress): TraceReading {
  const reader = new LineReader(path, headLines, parse)
  return { calls: reader.read(totalBytes, onProgress), leftOut: new Map() }
}

/** After the first mistake no more calls are handed out, and the rest is read for further ones. */
class LineReader {
  readonly #path: string
  readonly #headLines: number
  readonly #parse: Parse
  readonly #issues: TraceIssue[] = []
  #wrong = 0
  #line = 0
  #calls = 0
  #lastMs = Number.NEGATIVE_INFINITY

  constructor(path: string, headLines: number, parse: Parse) {
    this.#path = path
    this.#headLines = headLines
    this.#parse = parse
  }

  async *read(totalBytes: number, onProgress: OnProgress): AsyncGenerator<readonly TraceCall[], void, undefined> {
    let rest = ''
    let doneBytes = 0
    const stream = createReadStream(this.#path, { encoding: 'utf8', highWaterMark: CHUNK_BYTES })
    for await (const chunk of stream) {
      const text = rest + String(chunk)
      const end = text.lastIndexOf('\n') + 1
      rest = text.slice(end)
      doneBytes = stream.bytesRead
      const calls = this.#take(text.slice(0, end))
      if (this.#wrong === 0) yield calls
      onProgress({ doneBytes, totalBytes })
    }
    const calls = this.#take(rest)
    if (this.#wrong > 0) throw invalid(this.#issues, this.#wrong)
    if (this.#calls === 0) throw new MancipleError('TRACE_INVALID', `${this.#path} holds no call`, { path: this.#path })
    yield calls
  }

  #take(text: string): readonly TraceCall[] {
    const calls: TraceCall[] = []
    for (let from = 0; from < text.length;) {
      const newline = text.indexOf('\n', from)
      const to = newline === -1 ? text.length : newline
      this.#line += 1
      if (this.#line > this.#headLines && to > from) this.#takeLine(text.slice(from, text[to - 1] === '\r' ? to - 1 : to), calls)
      from = to + 1
    }
    return calls
  }

  #takeLine(text: string, calls: TraceCall[]): void {
    const plain = this.#line === 1 && text.startsWith('\uFEFF') ? text.slice(1) : text
    if (plain === '') return
    const call = this.#parse(plain, this.#line)
    if (typeof call === 'string') return this.#note(call)
    if (call.atMs < this.#lastMs)
      return this.#note(`t: expected lines in order of time, found ${timeText(call.atMs)} after ${timeText(this.#lastMs)}; sort the file by \`t\``)
    this.#lastMs = call.atMs
    this.#calls += 1
    calls.push(call)
  }

  #note(text: string): void {
    this.#wrong += 1
    if (this.#issues.length < LISTED) this.#issues.push({ file: this.#path, line: this.#line, text })
  }
}

/** Rows that may come in any order, and whose later lines may correct earlier ones: all of them are needed before the first can be replayed. */
async function gathered(path: string, timeOf: TimeOf, onProgress: OnProgress): Promise<TraceReading> {
  const { rows, issues, passedOver } = await readSpend([path], timeOf, onProgress)
  const unsized = rows.filter(({ usage, costNano }) => usage.inputTokens + usage.outputTokens === 0 && costNano !== undefined && costNano > 0)
  const wrong = [
    ...issues,
    ...unsized.map(({ file, line }) => ({ file, line, text: 'expected prompt_tokens and completion_tokens: a cost alone cannot be replayed' })),
  ]
  if (wrong.length > 0) throw invalid(wrong.slice(0, LISTED), wrong.length)
  if (rows.length === 0) throw new MancipleError('TRACE_INVALID', `${path} holds no call`, { path })
  const calls = rows.map(callOfRow).sort((left, right) => left.atMs - right.atMs)
  return { calls: once(calls), leftOut: new Map(passedOver === 0 ? [] : [['lines that tell of no call', passedOver]]) }
}

async function* once(calls: readonly TraceCall[]): AsyncGenerator<readonly TraceCall[], void, undefined> {
  yield calls
}

function callOfRow({ file, line, source, spentMs, backend, model, taskId, taskType, usage, durationMs, sourceId }: ImportRow): TraceCall {
  return {
    id: sourceId ?? `${file}:${line}`,
    atMs: spentMs,
    durationMs,
    backend,
    model: model === '' ? undefined : model,
    taskId: taskId ?? undefined,
    taskType: taskType ?? undefined,
    ...(source === 'claude-code' ? { provider: 'anthropic' } : {}),
    ...usage,
    maxOutputTokens: undefined,
  }
}

function invalid(issues: readonly TraceIssue[], count: number): MancipleError {
  const more = count > issues.length ? [`and ${count - issues.length} more`] : []
  return new MancipleError('TRACE_INVALID', [...issues.map(({ file, line, text }) => `${file}:${line}: ${text}`), ...more].join('\n'), { issues })
}

function isTraceLine(head: string): boolean {
  try {
    const value: unknown = JSON.parse(head.replace(/^\uFEFF/, ''))
    return typeof value === 'object' && value !== null && 't' in value
  } catch {
    // The first line of a trace with a mistake in it is a line of a trace all the same.
    return /^\uFEFF?\s*\{\s*"t"\s*:/.test(head)
  }
}

async function statOf(path: string): Promise<Stats> {
  try {
    return await stat(path)
  } catch (error) {
    throw new MancipleError('TRACE_INVALID', `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { path }, { cause: error })
  }
}

async function isLedger(folder: string): Promise<boolean> {
  return (await readdir(folder)).some((name) => /^journal-\d+\.jsonl$/.test(name))
}

async function firstLine(path: string): Promise<string> {
  let head = ''
  for await (const chunk of createReadStream(path, { encoding: 'utf8', end: 65_535 })) head += String(chunk)
  return head.split('\n', 1)[0] ?? ''
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}

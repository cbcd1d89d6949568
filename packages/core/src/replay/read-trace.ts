import type { Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { MancipleError } from '../errors.ts'
import { parseTime } from '../ledger/history-period.ts'
import { readSpend, textOfFile } from '../ledger/spend-files.ts'
import { hourCacheNotes, type ImportRow } from '../ledger/import-rows.ts'
import type { OnProgress } from '../ledger/verify.ts'
import { azureCallOf, isAzureHead } from './azure-csv.ts'
import { callOfLine, type TimeOf } from './json-lines.ts'
import { LEFT_OUT, readLedgerTrace } from './ledger-trace.ts'
import type { TraceCall, TraceEvent, TraceIssue } from './trace-call.ts'

/** A trace as it is read. */
export interface TraceSource {
  /** In order of time, some at a time. @throws MancipleError `TRACE_INVALID` at its end, with every mistake. */
  readonly events: AsyncIterable<readonly TraceEvent[]>
  /** What is in the files and is not replayed, and how often. Complete when all calls have been read. */
  readonly leftOut: ReadonlyMap<string, number>
  /** What is replayed less than exactly, in sentences. */
  readonly notes: readonly string[]
}

/** Mistakes that a message lists. */
const LISTED = 20

/**
 * Reads a trace: JSON lines with `t`, the CSV of Azure's public traces, a ledger's folder, or whatever `manciple ledger import` reads: CSV with a head, an export, a file or
 * folder of Claude Code's logs. Which it is shows in the file. The first three are read as they are replayed and must be in order of time; the rest is gathered and sorted first.
 *
 * @param zone of times that do not say theirs.
 * @throws MancipleError `TRACE_INVALID`, `LEDGER_DAMAGED`.
 */
export async function readTrace(path: string, zone: string, onProgress: OnProgress): Promise<TraceSource> {
  const timeOf: TimeOf = (text) => parseTime(text, zone)?.startMs
  const found = await statOf(path)
  if (found.isDirectory()) return (await isLedger(path)) ? readLedgerTrace(path, onProgress) : gathered(path, timeOf, onProgress)
  const head = await firstLine(path)
  if (isAzureHead(head)) return lines(path, found.size, 1, azureCallOf, onProgress)
  if (isTraceLine(head)) return lines(path, found.size, 0, (text, line) => callOfLine(text, line, timeOf), onProgress)
  return gathered(path, timeOf, onProgress)
}

type Parse = (text: string, line: number) => TraceCall | string

function lines(path: string, totalBytes: number, headLines: number, parse: Parse, onProgress: OnProgress): TraceSource {
  const reader = new LineReader(path, headLines, parse)
  return { events: reader.read(totalBytes, onProgress), leftOut: new Map(), notes: [] }
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
    for await (const chunk of textOfFile(this.#path, 'TRACE_INVALID', (bytes) => (doneBytes = bytes))) {
      const text = rest + chunk
      const end = text.lastIndexOf('\n') + 1
      rest = text.slice(end)
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

/** Entries of an export that are left out as they are of the ledger itself. */
const NO_CALLS_OF_LEDGERS: ReadonlyMap<string, string> = new Map([
  ['imported', LEFT_OUT.imported],
  ['adjusted', LEFT_OUT.adjusted],
])

/** Rows that may come in any order, and whose later lines may correct earlier ones: all of them are needed before the first can be replayed. */
async function gathered(path: string, timeOf: TimeOf, onProgress: OnProgress): Promise<TraceSource> {
  const { rows, issues, leftOut } = await readSpend([path], { code: 'TRACE_INVALID', timeOf, onProgress, unwanted: NO_CALLS_OF_LEDGERS })
  const unsized = rows.filter(({ usage, costNano }) => usage.inputTokens + usage.outputTokens === 0 && costNano !== undefined && costNano > 0)
  const wrong = [
    ...issues,
    ...unsized.map(({ file, line }) => ({ file, line, text: 'expected prompt_tokens and completion_tokens: a cost alone cannot be replayed' })),
  ]
  if (wrong.length > 0) throw invalid(wrong.slice(0, LISTED), wrong.length)
  if (rows.length === 0) throw new MancipleError('TRACE_INVALID', `${path} holds no call`, { path })
  const calls = rows.map(callOfRow).sort((left, right) => left.atMs - right.atMs)
  return { events: once(calls), leftOut, notes: hourCacheNotes(rows) }
}

async function* once(calls: readonly TraceCall[]): AsyncGenerator<readonly TraceCall[], void, undefined> {
  yield calls
}

/** Where a file says which backend a call asked for, as an export does, `backend` is the one that served it: it was asked for no model but that one's. */
function callOfRow({ file, line, source, spentMs, backend, requestedBackend, model, taskId, taskType, usage, durationMs, sourceId }: ImportRow): TraceCall {
  const named = requestedBackend === undefined || requestedBackend === backend
  return {
    id: sourceId ?? `${file}:${line}`,
    atMs: spentMs,
    durationMs,
    backend: named ? backend : (requestedBackend ?? undefined),
    model: named && model !== '' ? model : undefined,
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
  for await (const chunk of textOfFile(path, 'TRACE_INVALID')) return chunk.split('\n', 1)[0] ?? ''
  return ''
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}

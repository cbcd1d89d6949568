import { createReadStream } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { MancipleError } from '../errors.ts'
import { claudeCodeRow, isClaudeCodeLine, LastUsages } from './claude-code.ts'
import { parseCsv } from './csv.ts'
import { nameOfColumn, rowOf, type ImportIssue, type ImportRow, type Name, type RowContext } from './import-rows.ts'
import type { OnProgress } from './verify.ts'

const CHUNK_BYTES = 1 << 18

export interface SpendRead {
  readonly rows: readonly ImportRow[]
  readonly issues: readonly ImportIssue[]
  readonly files: number
  /** What stands in the files and is no row, and how often: other events of a log. */
  readonly leftOut: ReadonlyMap<string, number>
}

/** Whose mistake it is where a file cannot be read. */
type ReadCode = 'IMPORT_INVALID' | 'TRACE_INVALID'

export interface SpendOptions {
  readonly code: ReadCode
  /** Ms since the epoch of a time without a zone; undefined where the text is no time. */
  readonly timeOf: RowContext['timeOf']
  readonly onProgress: OnProgress
  /** By the `status` that an export gives: entries that are not wanted, and what they are. None unless given. */
  readonly unwanted?: ReadonlyMap<string, string>
}

/**
 * Reads spend from files, and from every `*.jsonl` below folders: CSV with a head, JSON lines, a journal or export of Manciple's, logs of Claude Code. Which it is shows in the file.
 * @throws MancipleError of `code` where a path cannot be read.
 */
export async function readSpend(paths: readonly string[], { code, timeOf, onProgress, unwanted = new Map() }: SpendOptions): Promise<SpendRead> {
  const folders = await Promise.all(paths.map((path) => filesBelow(path, code)))
  const files = folders.flat()
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const reader = new SpendReader(code, timeOf, unwanted)
  let doneBytes = 0
  for (const folder of folders) {
    const found: LinesFound[] = []
    for (const { path, bytes } of folder) {
      const lines = await reader.read(path)
      if (lines !== undefined) found.push(lines)
      doneBytes += bytes
      onProgress({ doneBytes, totalBytes })
    }
    reader.judge(found)
  }
  return { rows: [...reader.rows, ...reader.usages.rows], issues: reader.issues, files: files.length, leftOut: reader.leftOut }
}

/** What a file of JSON lines turned out to be. */
interface LinesFound {
  /** Whether it is a log of Claude Code. */
  isLog: boolean
  /** Lines that are rows of an import. */
  rows: number
  /** Lines that are neither: mistakes, unless the file is a log, which has lines of many other kinds. */
  readonly others: { readonly issues: readonly ImportIssue[]; readonly what: string }[]
}

const NO_CALL = 'lines that tell of no call'
const NO_JSON = 'lines that are not whole'

class SpendReader {
  readonly rows: ImportRow[] = []
  readonly usages = new LastUsages()
  readonly issues: ImportIssue[] = []
  readonly leftOut = new Map<string, number>()
  readonly #code: ReadCode
  readonly #timeOf: RowContext['timeOf']
  readonly #unwanted: ReadonlyMap<string, string>

  constructor(code: ReadCode, timeOf: RowContext['timeOf'], unwanted: ReadonlyMap<string, string>) {
    this.#code = code
    this.#timeOf = timeOf
    this.#unwanted = unwanted
  }

  /** @returns what is left to {@link judge} of a file of JSON lines. */
  async read(path: string): Promise<LinesFound | undefined> {
    return (await firstSign(path, this.#code)) === '{' ? this.#readLines(path) : this.#readCsv(path)
  }

  /**
   * Judges the lines of a folder's files that could not be read: a log shows itself in some of its lines only, and a short one of a folder of logs in none.
   * A file that has rows of its own is no such log.
   */
  judge(files: readonly LinesFound[]): void {
    const ofLogs = files.some(({ isLog }) => isLog)
    for (const { isLog, rows, others } of files) {
      for (const { issues, what } of others) {
        if (isLog || (ofLogs && rows === 0)) this.#leaveOut(what)
        else this.issues.push(...issues)
      }
    }
  }

  async #readCsv(file: string): Promise<undefined> {
    let text = ''
    for await (const chunk of textOfFile(file, this.#code)) text += chunk
    const [head, ...rows] = parseCsv(text)
    const names = head?.cells.map(nameOfColumn) ?? []
    if (head !== undefined && !names.includes('timestamp')) {
      return void this.issues.push({
        file,
        line: head.line,
        text: `expected a head with timestamp, backend, model, …; found ${headText(head.cells)}`,
      })
    }
    for (const { line, cells } of rows) {
      const fields = new Map(names.flatMap((name, index) => (name === undefined || cells[index] === undefined ? [] : [[name, cells[index]] as const])))
      this.issues.push(...this.#keep(fields, this.#context(file, line, 'csv')))
    }
    return undefined
  }

  async #readLines(file: string): Promise<LinesFound> {
    const found: LinesFound = { isLog: false, rows: 0, others: [] }
    let line = 0
    let torn: ImportIssue | undefined
    let lastSign = ''
    const text = textOfFile(file, this.#code)
    const chunks = Readable.from(watched(text, (chunk) => (lastSign = chunk.at(-1) ?? lastSign)))
    for await (const one of createInterface({ input: chunks, crlfDelay: Infinity })) {
      line += 1
      // The last line may be one that is being written.
      if (torn !== undefined) found.others.push({ issues: [torn], what: NO_JSON })
      torn = undefined
      if (one.trim() === '') continue
      const value = parse(one)
      if (value === undefined) torn = { file, line, text: 'expected a JSON object' }
      else this.#readObject(value, file, line, found)
    }
    if (torn !== undefined && lastSign === '\n') found.others.push({ issues: [torn], what: NO_JSON })
    else if (torn !== undefined) this.#leaveOut(NO_JSON)
    return found
  }

  #readObject(value: Readonly<Record<string, unknown>>, file: string, line: number, found: LinesFound): void {
    if (isClaudeCodeLine(value)) {
      found.isLog = true
      const row = claudeCodeRow(value, this.#context(file, line, 'claude-code'))
      if (row === undefined) this.#leaveOut(NO_CALL)
      else if (isIssues(row)) this.issues.push(...row)
      else this.usages.add(row)
    } else if ('seq' in value && 'crc' in value && value['type'] !== 'settle' && value['type'] !== 'import') this.#leaveOut(NO_CALL)
    else {
      const fields = new Map(
        Object.entries(value).flatMap(([column, content]) => {
          const name = nameOfColumn(column)
          // A call that asked for no backend says so.
          return name === undefined || (content === null && name !== 'requested') ? [] : [[name, content] as const]
        }),
      )
      const issues = this.#keep(fields, this.#context(file, line, 'jsonl'))
      if (issues.length === 0) found.rows += 1
      else found.others.push({ issues, what: NO_CALL })
    }
  }

  /** @returns what is wrong with it. */
  #keep(fields: ReadonlyMap<Name, unknown>, context: RowContext): readonly ImportIssue[] {
    const unwanted = this.#unwanted.get(String(fields.get('status')))
    if (unwanted !== undefined) this.#leaveOut(unwanted)
    const row = unwanted === undefined ? rowOf(fields, context) : []
    if (isIssues(row)) return row
    this.rows.push(row)
    return []
  }

  #leaveOut(what: string): void {
    this.leftOut.set(what, (this.leftOut.get(what) ?? 0) + 1)
  }

  #context(file: string, line: number, source: RowContext['source']): RowContext {
    return { file, line, source, timeOf: this.#timeOf }
  }
}

/**
 * The text of a file, some at a time; of a file that gzip has packed, what is in it. Which it is shows in its first two bytes, not in its name.
 * @param onBytes hears how much of the file has been read.
 * @throws MancipleError of `code` where it cannot be read, or is packed and damaged.
 */
export async function* textOfFile(path: string, code: ReadCode, onBytes: (done: number) => void = () => {}): AsyncGenerator<string> {
  try {
    const packed = await isPacked(path)
    const file = createReadStream(path, { highWaterMark: CHUNK_BYTES })
    // Whoever stops early, or finds the file damaged, is told by the iteration itself.
    const bytes = packed ? pipeline(file, createGunzip({ chunkSize: CHUNK_BYTES }), () => {}) : file
    bytes.setEncoding('utf8')
    for await (const chunk of bytes) {
      onBytes(file.bytesRead)
      yield String(chunk)
    }
  } catch (error) {
    throw new MancipleError(code, `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { path }, { cause: error })
  }
}

async function isPacked(path: string): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0)
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b
  } finally {
    await file.close()
  }
}

/** As it passes, each part of a text is shown. */
async function* watched(text: AsyncIterable<string>, onChunk: (chunk: string) => void): AsyncGenerator<string> {
  for await (const chunk of text) {
    onChunk(chunk)
    yield chunk
  }
}

const SHOWN = 80

/** What stands in place of a head: it may be of any file, so it is cut short, and what no terminal should be sent is not. */
function headText(cells: readonly string[]): string {
  const text = cells.join(',')
  const plain = text.replaceAll(/[\p{Cc}\p{Cf}\uFFFD]/gu, '?')
  return JSON.stringify(plain.length > SHOWN ? `${plain.slice(0, SHOWN)}…` : plain)
}

function isIssues(row: ImportRow | readonly ImportIssue[]): row is readonly ImportIssue[] {
  return Array.isArray(row)
}

async function filesBelow(path: string, code: ReadCode): Promise<{ path: string; bytes: number }[]> {
  try {
    const found = await stat(path)
    if (!found.isDirectory()) return [{ path, bytes: found.size }]
    const names = (await readdir(path, { recursive: true })).filter((name) => name.endsWith('.jsonl')).sort()
    return await Promise.all(names.map(async (name) => ({ path: join(path, name), bytes: (await stat(join(path, name))).size })))
  } catch (error) {
    throw new MancipleError(code, `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { path }, { cause: error })
  }
}

async function firstSign(path: string, code: ReadCode): Promise<string | undefined> {
  for await (const chunk of textOfFile(path, code)) {
    const [sign] = chunk.replace(/^\uFEFF/, '').trimStart()
    if (sign !== undefined) return sign
  }
  return undefined
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ''))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

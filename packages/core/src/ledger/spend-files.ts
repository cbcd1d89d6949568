import { createReadStream } from 'node:fs'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { MancipleError } from '../errors.ts'
import { claudeCodeRow, isClaudeCodeLine, LastUsages } from './claude-code.ts'
import { parseCsv } from './csv.ts'
import { nameOfColumn, rowOf, type ImportIssue, type ImportRow, type RowContext } from './import-rows.ts'
import type { OnProgress } from './verify.ts'

export interface SpendRead {
  readonly rows: readonly ImportRow[]
  readonly issues: readonly ImportIssue[]
  readonly files: number
  /** Lines that tell of no call: other events of a log. */
  readonly passedOver: number
}

/**
 * Reads spend from files, and from every `*.jsonl` below folders: CSV with a head, JSON lines, a journal or export of Manciple's, logs of Claude Code. Which it is shows in the file.
 * @throws MancipleError `IMPORT_INVALID` where a path cannot be read.
 */
export async function readSpend(paths: readonly string[], timeOf: RowContext['timeOf'], onProgress: OnProgress): Promise<SpendRead> {
  const files = (await Promise.all(paths.map(filesBelow))).flat()
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const reader = new SpendReader(timeOf)
  let doneBytes = 0
  for (const { path, bytes } of files) {
    await reader.read(path)
    doneBytes += bytes
    onProgress({ doneBytes, totalBytes })
  }
  return { rows: [...reader.rows, ...reader.usages.rows], issues: reader.issues, files: files.length, passedOver: reader.passedOver }
}

class SpendReader {
  readonly rows: ImportRow[] = []
  readonly usages = new LastUsages()
  readonly issues: ImportIssue[] = []
  passedOver = 0
  readonly #timeOf: RowContext['timeOf']

  constructor(timeOf: RowContext['timeOf']) {
    this.#timeOf = timeOf
  }

  async read(path: string): Promise<void> {
    return (await firstSign(path)) === '{' ? this.#readLines(path) : this.#readCsv(path)
  }

  async #readCsv(file: string): Promise<void> {
    const [head, ...rows] = parseCsv(await readFile(file, 'utf8'))
    const names = head?.cells.map(nameOfColumn) ?? []
    if (head !== undefined && !names.includes('timestamp')) {
      return void this.issues.push({
        file,
        line: head.line,
        text: `expected a head with timestamp, backend, model, …; found ${JSON.stringify(head.cells.join(','))}`,
      })
    }
    for (const { line, cells } of rows) {
      const fields = new Map(names.flatMap((name, index) => (name === undefined || cells[index] === undefined ? [] : [[name, cells[index]] as const])))
      this.#keep(rowOf(fields, this.#context(file, line, 'csv')))
    }
  }

  async #readLines(file: string): Promise<void> {
    let line = 0
    let torn: ImportIssue | undefined
    for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      line += 1
      // The last line may be one that is being written.
      if (torn !== undefined) this.issues.push(torn)
      torn = undefined
      if (text.trim() === '') continue
      const value = parse(text)
      if (value === undefined) torn = { file, line, text: 'expected a JSON object' }
      else this.#readObject(value, file, line)
    }
    if (torn !== undefined && (await endsWithNewline(file))) this.issues.push(torn)
    else if (torn !== undefined) this.passedOver += 1
  }

  #readObject(value: Readonly<Record<string, unknown>>, file: string, line: number): void {
    if (isClaudeCodeLine(value)) {
      const row = claudeCodeRow(value, this.#context(file, line, 'claude-code'))
      if (row === undefined) this.passedOver += 1
      else if (isIssues(row)) this.issues.push(...row)
      else this.usages.add(row)
    } else if ('seq' in value && 'crc' in value && value['type'] !== 'settle' && value['type'] !== 'import') this.passedOver += 1
    else {
      const fields = new Map(
        Object.entries(value).flatMap(([column, content]) => {
          const name = nameOfColumn(column)
          return name === undefined || content === null ? [] : [[name, content] as const]
        }),
      )
      this.#keep(rowOf(fields, this.#context(file, line, 'jsonl')))
    }
  }

  #keep(row: ImportRow | readonly ImportIssue[]): void {
    if (isIssues(row)) this.issues.push(...row)
    else this.rows.push(row)
  }

  #context(file: string, line: number, source: RowContext['source']): RowContext {
    return { file, line, source, timeOf: this.#timeOf }
  }
}

function isIssues(row: ImportRow | readonly ImportIssue[]): row is readonly ImportIssue[] {
  return Array.isArray(row)
}

async function filesBelow(path: string): Promise<{ path: string; bytes: number }[]> {
  try {
    const found = await stat(path)
    if (!found.isDirectory()) return [{ path, bytes: found.size }]
    const names = (await readdir(path, { recursive: true })).filter((name) => name.endsWith('.jsonl')).sort()
    return await Promise.all(names.map(async (name) => ({ path: join(path, name), bytes: (await stat(join(path, name))).size })))
  } catch (error) {
    throw new MancipleError('IMPORT_INVALID', `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { path }, { cause: error })
  }
}

async function firstSign(path: string): Promise<string> {
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(1024), 0, 1024, 0)
    return buffer
      .toString('utf8', 0, bytesRead)
      .replace(/^\uFEFF/, '')
      .trimStart()
      .slice(0, 1)
  } finally {
    await file.close()
  }
}

async function endsWithNewline(path: string): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1))
    return buffer[0] === 0x0a
  } finally {
    await file.close()
  }
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ''))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

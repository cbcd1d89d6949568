import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { randomUUID } from 'node:crypto'
import { makeFolders } from '@manciple/core'

/** How far a sink has come: the stream of notices and the number of the last that was taken. */
export interface NoticeCursor {
  readonly stream: string
  readonly number: number
}

/** Beside the ledger, which readers never write, and one for each sink. */
export function cursorPath(ledger: string, target: string): string {
  const folder = resolve(ledger)
  return join(dirname(folder), `${basename(folder)}-notices-${target.slice(0, 12)}.cursor.json`)
}

/** @returns undefined where there is none yet. @throws Error where it cannot be read: to begin anew would repeat what was delivered, or lose what was not. */
export function readCursor(path: string): NoticeCursor | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  const cursor = parse(text)
  if (cursor === undefined) throw new Error(`${path} is no cursor. Remove it to begin with the next notice.`)
  return cursor
}

function parse(text: string): NoticeCursor | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('stream' in value) || !('number' in value)) return undefined
    const { stream, number } = value
    return typeof stream === 'string' && Number.isSafeInteger(number) && Number(number) >= 0 ? { stream, number: Number(number) } : undefined
  } catch {
    return undefined
  }
}

/** Whole or not at all, whatever happens meanwhile. */
export function writeCursor(path: string, cursor: NoticeCursor): void {
  makeFolders(dirname(path))
  const next = `${path}.${randomUUID()}.tmp`
  const file = openSync(next, 'wx', 0o600)
  try {
    writeSync(file, `${JSON.stringify(cursor)}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(next, path)
}

import { chmodSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MancipleError } from '../errors.ts'

/** The right to write a ledger. Freed by {@link Lock.release}, or by the system when the process dies, however it dies. */
export interface Lock {
  release(): void
}

const SQLITE_BUSY = 5

/**
 * Takes the ledger's lock: an exclusive transaction on the SQLite file `lock`, which holds no data.
 * Nobody else may open that file with `node:fs` in this process: closing it again would drop the lock (POSIX `fcntl`).
 *
 * @throws MancipleError `LEDGER_LOCKED` where this or another process has it, `LEDGER_UNWRITABLE` where the file cannot be used.
 */
export function takeLock(folder: string): Lock {
  const path = join(folder, 'lock')
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path, { timeout: 0 })
    // In memory, or an empty `lock-journal` would stand beside the lock.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    chmodSync(path, 0o600)
  } catch (error) {
    database?.close()
    if (isBusy(error)) throw new MancipleError('LEDGER_LOCKED', `${folder} is being written by ${holderOf(path)}`, { folder }, { cause: error })
    throw new MancipleError('LEDGER_UNWRITABLE', `${path}: ${String(error)}`, { folder }, { cause: error })
  }
  const held = database
  return {
    release() {
      if (held.isOpen) held.close()
    },
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY
}

/** Linux tells whose lock it is. */
function holderOf(path: string): string {
  try {
    const inode = `:${statSync(path).ino} `
    const line = readFileSync('/proc/locks', 'latin1')
      .split('\n')
      .find((one) => one.includes(inode))
    const pid = line === undefined ? undefined : /\b(?:READ|WRITE)\s+(\d+)\s/.exec(line)?.[1]
    return pid === undefined ? 'another process' : `process ${pid}`
  } catch {
    return 'another process'
  }
}

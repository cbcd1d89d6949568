import { createHash, randomUUID } from 'node:crypto'
import { closeSync, constants, openSync, renameSync, rmSync } from 'node:fs'
import { open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Low, LowSync, type Adapter, type SyncAdapter } from 'lowdb'
import type { BooksSnapshot } from './books.ts'
import { syncFolder, writeAll, writeAllSync, type Disk } from './disk.ts'
import type { Position } from './journal-scan.ts'

/** The books as of a line of the journal: a replay begins after it. A cache that can be rebuilt, never the truth. */
export interface Checkpoint extends Position {
  readonly format: 1
  /** SHA-256 of the segment up to `offset`, in hex. */
  readonly sha256: string
  readonly snapshot: BooksSnapshot
}

const NAME = 'checkpoint.json'
const TEMPORARY = /^checkpoint\.json\..*\.tmp$/
const CHECK_PREFIX = ',"check":"'
/** `,"check":"<64 hex digits>"}` and a newline. */
const CHECK_CHARS = CHECK_PREFIX.length + 64 + 3
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL

/** @returns undefined where there is none. @throws Error where it is there and cannot be trusted. */
export async function readCheckpoint(folder: string, disk: Disk): Promise<Checkpoint | undefined> {
  const database = new Low<Checkpoint | null>(adapter(folder, disk), null)
  await database.read()
  return database.data ?? undefined
}

/** Replaces the checkpoint: at every moment either the old one or the new one is there, whole. */
export async function writeCheckpoint(folder: string, disk: Disk, checkpoint: Checkpoint): Promise<void> {
  await new Low<Checkpoint | null>(adapter(folder, disk), checkpoint).write()
}

/** {@link writeCheckpoint} in one blocking step. */
export function writeCheckpointSync(folder: string, disk: Disk, checkpoint: Checkpoint): void {
  new LowSync<Checkpoint | null>(adapterSync(folder, disk), checkpoint).write()
}

/** Removes what a process left that died while it wrote a checkpoint. */
export async function sweepCheckpoints(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (TEMPORARY.test(name)) await rm(join(folder, name), { force: true })
}

/** lowdb's own adapter never syncs, uses one fixed temporary name, and turns 0600 into 0644. */
function adapter(folder: string, disk: Disk): Adapter<Checkpoint | null> {
  const path = join(folder, NAME)
  return {
    async read() {
      // A pipe in its place would keep a reader waiting for ever.
      const content = await readFile(path, { encoding: 'utf8', flag: constants.O_RDONLY | constants.O_NONBLOCK }).catch(absent)
      return content === undefined ? null : decode(content)
    },
    async write(checkpoint) {
      const temporary = temporaryPath(path)
      const parts: Buffer[] = []
      for (const part of encode(checkpoint)) {
        parts.push(part)
        await breath()
      }
      try {
        const file = await open(temporary, CREATE, 0o600)
        try {
          await writeAll(disk, file.fd, Buffer.concat(parts), 0)
          await disk.datasync(file.fd)
        } finally {
          await file.close()
        }
        await rename(temporary, path)
        syncFolder(folder)
      } catch (error) {
        await rm(temporary, { force: true })
        throw error
      }
    },
  }
}

function adapterSync(folder: string, disk: Disk): SyncAdapter<Checkpoint | null> {
  const path = join(folder, NAME)
  return {
    // Only opening reads, and that need not block.
    read: () => null,
    write(checkpoint) {
      const temporary = temporaryPath(path)
      try {
        const fd = openSync(temporary, CREATE, 0o600)
        try {
          writeAllSync(disk, fd, Buffer.concat([...encode(checkpoint)]), 0)
          disk.datasyncSync(fd)
        } finally {
          closeSync(fd)
        }
        renameSync(temporary, path)
        syncFolder(folder)
      } catch (error) {
        rmSync(temporary, { force: true })
        throw error
      }
    },
  }
}

function temporaryPath(path: string): string {
  return `${path}.${process.pid}.${randomUUID()}.tmp`
}

/**
 * One JSON object whose last member, `check`, is the SHA-256 of all that stands before it. In parts of a millisecond or so:
 * the cells of a year are megabytes, and no dispatch shall wait while they are written out.
 */
function* encode(checkpoint: Checkpoint | null): Generator<Buffer, void> {
  if (checkpoint === null) return
  const hash = createHash('sha256')
  for (const text of textOf(checkpoint)) {
    const part = Buffer.from(text)
    hash.update(part)
    yield part
  }
  yield Buffer.from(`${CHECK_PREFIX}${hash.digest('hex')}"}\n`)
}

/** JSON without its closing brace. */
function* textOf({ snapshot, ...position }: Checkpoint): Generator<string, void> {
  const { cells, ...books } = snapshot
  yield `${unclosed(position)},"snapshot":${unclosed(books)},"cells":[`
  for (const [index, series] of cells.entries()) yield `${index === 0 ? '' : ','}${JSON.stringify(series)}`
  yield ']}'
}

/** An object's JSON, to be gone on with. */
function unclosed(value: object): string {
  return JSON.stringify(value).slice(0, -1)
}

function breath(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

function decode(content: string): Checkpoint {
  const body = content.slice(0, -CHECK_CHARS)
  if (content.slice(-CHECK_CHARS) !== `${CHECK_PREFIX}${checkOf(body)}"}\n`) throw new Error(`${NAME} does not match its check`)
  const { check: _, ...checkpoint } = JSON.parse(content) as Checkpoint & { readonly check: string }
  if (checkpoint.format !== 1) throw new Error(`${NAME} is of format ${String(checkpoint.format)}, not 1`)
  return checkpoint
}

function checkOf(body: string): string {
  return createHash('sha256').update(body).digest('hex')
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

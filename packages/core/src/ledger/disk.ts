import { closeSync, existsSync, fdatasync, fdatasyncSync, fsyncSync, mkdirSync, openSync, write, writeSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/** The calls by which bytes reach the disk, passed in so that tests can make them fail. Those that fail throw or reject with the system's error. */
export interface Disk {
  /** Writes `bytes` from index `from` on at `position` of the file. Resolves with how many were written: may be fewer than there are. */
  write(fd: number, bytes: Uint8Array, from: number, position: number): Promise<number>
  /** Resolves when what was written to the file is on disk. */
  datasync(fd: number): Promise<void>
  writeSync(fd: number, bytes: Uint8Array, from: number, position: number): number
  datasyncSync(fd: number): void
}

/** The file system of this machine. Callbacks, since `node:fs/promises` is slower. */
export const systemDisk: Disk = {
  write: (fd, bytes, from, position) =>
    new Promise((resolve, reject) => {
      write(fd, bytes, from, bytes.length - from, position, (error, written) => (error === null ? resolve(written) : reject(error)))
    }),
  datasync: (fd) =>
    new Promise((resolve, reject) => {
      fdatasync(fd, (error) => (error === null ? resolve() : reject(error)))
    }),
  writeSync: (fd, bytes, from, position) => writeSync(fd, bytes, from, bytes.length - from, position),
  datasyncSync: fdatasyncSync,
}

/** Writes all of `bytes` at `position`, however many calls it takes. Writing the same bytes there again changes nothing. */
export async function writeAll(disk: Disk, fd: number, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) done += advanced(await disk.write(fd, bytes, done, position + done))
}

export function writeAllSync(disk: Disk, fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) done += advanced(disk.writeSync(fd, bytes, done, position + done))
}

/**
 * Makes a folder and those above it that are missing, one by one: asked for all of them at once, Node tries for ever where the system will not have one, as in /proc.
 * @param mode of those that are made.
 * @returns those that were missing, from the top.
 * @throws Error that names the folder which cannot be made.
 */
export function makeFolders(folder: string, mode = 0o777): readonly string[] {
  const missing: string[] = []
  for (let path = resolve(folder); !existsSync(path); path = dirname(path)) missing.unshift(path)
  for (const path of missing) makeFolder(path, mode)
  return missing
}

function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(path, mode)
  } catch (error) {
    // Another process may have been faster.
    if (existsSync(path)) return
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw new Error(`The folder ${path} does not exist and cannot be made (${code}). Choose another place, or make it first.`, { cause: error })
  }
}

/** Makes the names in a folder durable: files that were made, renamed or removed. Windows has no such call, and keeps names in a journal of its own. */
export function syncFolder(folder: string): void {
  if (process.platform === 'win32') return
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** A write of no bytes would be looped for ever. */
function advanced(written: number): number {
  if (written <= 0) throw new Error('the system wrote nothing and gave no reason')
  return written
}

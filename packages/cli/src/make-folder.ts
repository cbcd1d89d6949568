import { existsSync, mkdirSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder and those above it that are missing, one by one: asked for all of them at once, Node tries for ever where the system will not have one, as in /proc.
 * @throws Error that names the folder which cannot be made.
 */
export function makeFolder(folder: string): void {
  const path = resolve(folder)
  if (existsSync(path)) return
  makeFolder(dirname(path))
  try {
    mkdirSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw new Error(`The folder ${path} does not exist and cannot be made (${code}). Choose another place, or make it first.`, { cause: error })
  }
}

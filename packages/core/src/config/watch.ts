import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync, watch, type FSWatcher } from 'node:fs'
import { basename, dirname } from 'node:path'
import { MancipleError } from '../errors.ts'
import type { Policy } from '../policy/policy.ts'
import { doubtOf, type Doubt } from './changes.ts'
import { formatIssues, type Issue } from './issues.ts'
import { parsePolicy } from './parse.ts'
import { MAX_FILE_BYTES } from './syntax.ts'

/** A policy that may come into force, with advice on it. */
export interface LoadedPolicy {
  readonly policy: Policy
  readonly advice: readonly Issue[]
}

/** First 12 hex digits of the SHA-256 of the text. */
export function policyVersion(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

/**
 * The text of the policy file.
 * @throws MancipleError `CONFIG_MISSING`, or `CONFIG_UNREADABLE` for what is no regular file of UTF-8 text of at most 256 KiB, or may not be read.
 */
export function readPolicyFile(path: string): string {
  let file: number | undefined
  try {
    // Opening a pipe would wait for a writer.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const status = fstatSync(file)
    if (!status.isFile()) throw new MancipleError('CONFIG_UNREADABLE', `${path} is not a regular file`)
    if (status.size > MAX_FILE_BYTES)
      throw new MancipleError('CONFIG_UNREADABLE', `${path} is ${status.size} bytes long, at most ${MAX_FILE_BYTES} are allowed`)
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(file))
  } catch (error) {
    throw asConfigError(path, error)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function asConfigError(path: string, error: unknown): MancipleError {
  if (error instanceof MancipleError) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT' || code === 'ENOTDIR') return new MancipleError('CONFIG_MISSING', `${path} does not exist`, {}, { cause: error })
  const reason =
    code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'is not text in UTF-8' : `cannot be read: ${error instanceof Error ? error.message : String(error)}`
  return new MancipleError('CONFIG_UNREADABLE', `${path} ${reason}`, {}, { cause: error })
}

/** @param file the name that messages give the text. @throws MancipleError `CONFIG_INVALID` with every mistake, its line and a caret. */
export function loadPolicyText(text: string, file: string): LoadedPolicy {
  const parsed = parsePolicy(text, policyVersion(text))
  if (!parsed.ok) throw new MancipleError('CONFIG_INVALID', formatIssues(parsed.issues, { file, text }), { issues: parsed.issues })
  return parsed
}

/** Reads and parses the policy file. @throws MancipleError `CONFIG_MISSING`, `CONFIG_UNREADABLE`, `CONFIG_INVALID`. */
export function loadPolicy(path: string): LoadedPolicy {
  return loadPolicyText(readPolicyFile(path), path)
}

export interface PolicyWatcher {
  close(): void
}

export interface WatchOptions {
  /** The policy in force. */
  current(): Policy
  /** A good file: to be put in force at once. Also called when the file in force is put back after a bad one. */
  onPolicy(loaded: LoadedPolicy): void
  /** A file that is wrong, missing or unreadable, and has stayed so. The last good policy stays in force. */
  onRejected(reason: string): void
}

/** Editors write, truncate and rename in a burst; one look after it is enough. */
const BURST_MS = 50
/** A look is never put off longer than this, whatever else is written in the folder. */
const PATIENCE_MS = 150
/** What a file says that could be half-written counts when it has been still for this long: what follows an addition is written at once. */
const STILL_MS: Readonly<Record<Doubt, number>> = { none: 0, growing: 80, cut: 2_000 }
/** Events get lost: on network and container mounts, and behind symbolic links. */
const PATROL_MS = 2_000

/**
 * Watches the policy file and reports what it says, within 250 ms of its being saved.
 * A file that is wrong, missing or could be cut short (see `doubtOf`) counts only when it has been still for two seconds.
 * Never keeps the process alive.
 */
export function watchPolicy(path: string, options: WatchOptions): PolicyWatcher {
  return new FolderWatch(path, options)
}

class FolderWatch implements PolicyWatcher {
  readonly #path: string
  readonly #options: WatchOptions
  readonly #patrol: NodeJS.Timeout
  #watcher: FSWatcher | undefined
  #look: NodeJS.Timeout | undefined
  #lookBy = 0
  #recheck: NodeJS.Timeout | undefined
  /** What was last reported, and what is being waited for: the text, or why there is none. */
  #reported: string
  #doubtful: { readonly seen: string; readonly sinceMs: number } | undefined

  constructor(path: string, options: WatchOptions) {
    this.#path = path
    this.#options = options
    this.#reported = options.current().text
    this.#patrol = setInterval(() => this.#patrolNow(), PATROL_MS).unref()
    this.#patrolNow()
  }

  close(): void {
    clearInterval(this.#patrol)
    clearTimeout(this.#look)
    clearTimeout(this.#recheck)
    this.#watcher?.close()
  }

  #patrolNow(): void {
    this.#watcher ??= this.#watchFolder()
    this.#lookNow()
  }

  /** The folder, not the file: a rename puts another file in its place. Undefined while there is no folder; the patrol tries again. */
  #watchFolder(): FSWatcher | undefined {
    try {
      const watcher = watch(dirname(this.#path), { persistent: false }, (_event, name) => {
        // In a Kubernetes volume the file is a link, and what is renamed is the folder `..data` behind it.
        if (name === null || name === basename(this.#path) || name.startsWith('..')) this.#lookSoon()
      })
      watcher.on('error', () => {
        watcher.close()
        this.#watcher = undefined
      })
      return watcher
    } catch {
      return undefined
    }
  }

  #lookSoon(): void {
    const now = performance.now()
    if (this.#look === undefined) this.#lookBy = now + PATIENCE_MS
    clearTimeout(this.#look)
    this.#look = setTimeout(() => this.#lookNow(), Math.max(0, Math.min(BURST_MS, this.#lookBy - now))).unref()
  }

  #lookNow(): void {
    clearTimeout(this.#look)
    this.#look = undefined
    const { current, onPolicy, onRejected } = this.#options
    const seen = this.#read()
    if (seen.key === this.#reported) {
      this.#doubtful = undefined
      return
    }
    const parsed = 'text' in seen ? this.#load(seen.text) : seen
    if ('reason' in parsed) this.#whenStill(seen.key, STILL_MS.cut, () => onRejected(parsed.reason))
    else this.#whenStill(seen.key, STILL_MS[doubtOf(current(), parsed.policy)], () => onPolicy(parsed))
  }

  #read(): { key: string; text: string } | { key: string; reason: string } {
    try {
      const text = readPolicyFile(this.#path)
      return { key: text, text }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      return { key: `\0${reason}`, reason }
    }
  }

  #load(text: string): LoadedPolicy | { reason: string } {
    try {
      return loadPolicyText(text, this.#path)
    } catch (error) {
      return { reason: error instanceof Error ? error.message : String(error) }
    }
  }

  #whenStill(seen: string, stillMs: number, report: () => void): void {
    const now = performance.now()
    if (this.#doubtful?.seen !== seen) this.#doubtful = { seen, sinceMs: now }
    const restMs = this.#doubtful.sinceMs + stillMs - now
    if (restMs <= 0) return this.#report(seen, report)
    clearTimeout(this.#recheck)
    this.#recheck = setTimeout(() => this.#lookNow(), restMs + 1).unref()
  }

  #report(seen: string, report: () => void): void {
    clearTimeout(this.#recheck)
    this.#doubtful = undefined
    this.#reported = seen
    report()
  }
}

import { extname, resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import { MancipleError } from '../errors.ts'
import { checkHistoryQuery, type HistoryQuery, type HistoryRow } from './history.ts'
import type { HistoryReading } from './history-follower.ts'
import type { Answer } from './history-worker.ts'

/** The history of a ledger that this process writes. */
export interface History {
  /** The rows asked for, of all that is in the journal. @throws MancipleError `QUERY_INVALID`, `CLOSED`. */
  query(query: HistoryQuery, zone: string): Promise<readonly HistoryRow[]>
  /** Resolves when SQLite has been filled with all that was in the journal, or could not be: `onWarning` was told then. */
  caughtUp(): Promise<void>
  /** Resolves when the files are closed. What is missing is filled in after the next start. */
  close(): Promise<void>
}

const START_MS = 1_000
const RESTART_MS = 60_000
const WORKER = new URL(`./history-worker${extname(import.meta.url)}`, import.meta.url)

/**
 * Keeps `history.sqlite` in the ledger's folder, and answers from it, in a thread of its own: a disk that hangs, a lock, a scan of seconds hold up nobody else.
 * The thread begins after a second, or with the first question, and keeps no process alive.
 *
 * @param onWarning told once when history falls behind or has to be made anew; nothing else comes of it
 */
export function openHistory(folder: string, onWarning: (text: string) => void): History {
  return new HistoryThread(resolve(folder), onWarning)
}

class HistoryThread implements History {
  readonly #folder: string
  readonly #onWarning: (text: string) => void
  readonly #waiting = new Map<number, PromiseWithResolvers<HistoryReading | undefined>>()
  #worker: Worker | undefined
  #lastId = 0
  #timer: NodeJS.Timeout
  #closing: Promise<void> | undefined

  constructor(folder: string, onWarning: (text: string) => void) {
    this.#folder = folder
    this.#onWarning = onWarning
    this.#timer = this.#startIn(START_MS)
  }

  async query(query: HistoryQuery, zone: string): Promise<readonly HistoryRow[]> {
    checkHistoryQuery(query)
    const { from, to, by, where = {} } = query
    const reading = await this.#ask({ query: { from, to, by: [...by], where: { ...where } }, zone })
    return reading?.rows ?? []
  }

  async caughtUp(): Promise<void> {
    await this.#ask({ catchUp: true })
  }

  close(): Promise<void> {
    this.#closing ??= this.#stop()
    return this.#closing
  }

  #ask(order: { readonly query: HistoryQuery; readonly zone: string } | { readonly catchUp: true }): Promise<HistoryReading | undefined> {
    if (this.#closing !== undefined) return Promise.reject(new MancipleError('CLOSED', `The history of ${this.#folder} has been closed`))
    const answer = Promise.withResolvers<HistoryReading | undefined>()
    this.#lastId += 1
    this.#waiting.set(this.#lastId, answer)
    const worker = this.#running()
    // A process that waits for an answer stays.
    worker.ref()
    worker.postMessage({ id: this.#lastId, ...order })
    return answer.promise
  }

  #running(): Worker {
    if (this.#worker !== undefined) return this.#worker
    const worker = new Worker(WORKER, { workerData: this.#folder, name: 'manciple history' })
    worker.unref()
    worker.on('message', (answer: Answer) => this.#hear(answer))
    worker.on('error', (error) => this.#onWarning(`History's thread has ended, and begins anew later: ${String(error)}`))
    worker.on('exit', () => this.#ended())
    this.#worker = worker
    return worker
  }

  #hear(answer: Answer): void {
    if ('warning' in answer) return this.#onWarning(answer.warning)
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (this.#waiting.size === 0) this.#worker?.unref()
    if ('error' in answer) waiting?.reject(answer.error)
    else waiting?.resolve(answer.reading)
  }

  #ended(): void {
    this.#worker = undefined
    for (const { reject } of this.#waiting.values()) reject(new MancipleError('CLOSED', `The thread of the history of ${this.#folder} has ended`))
    this.#waiting.clear()
    if (this.#closing === undefined) this.#timer = this.#startIn(RESTART_MS)
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#timer)
    const worker = this.#worker
    if (worker === undefined) return
    worker.ref()
    const exited = new Promise((resolve) => worker.once('exit', resolve))
    worker.postMessage('close')
    await exited
  }

  #startIn(ms: number): NodeJS.Timeout {
    const start = (): void => {
      try {
        this.#running()
      } catch (error) {
        this.#onWarning(`History's thread cannot begin: ${String(error)}`)
      }
    }
    return setTimeout(start, ms).unref()
  }
}

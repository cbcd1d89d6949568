import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import type { HistoryQuery } from './history.ts'
import { HistoryFollower, readHistory, type HistoryReading } from './history-follower.ts'

/** What the thread is asked. */
type Order = { readonly id: number; readonly query: HistoryQuery; readonly zone: string } | { readonly id: number; readonly catchUp: true }

/** What it says. */
export type Answer =
  | { readonly warning: string }
  | { readonly id: number; readonly reading?: HistoryReading }
  | { readonly id: number; readonly error: unknown }

/** How soon what the journal has is looked for. */
const POLL_MS = 1_000

const port = parentPort
if (port === null || typeof workerData !== 'string') throw new Error('This is the thread that fills the history of a ledger, not a program.')

const folder = workerData
const answer = (message: Answer): void => port.postMessage(message)
const closing = new AbortController()
const follower = new HistoryFollower(folder, (warning) => answer({ warning }), closing.signal)

async function obey(order: Order): Promise<Answer> {
  try {
    if ('query' in order) return { id: order.id, reading: await readHistory(folder, order.query, order.zone, (error) => follower.distrust(error)) }
    await follower.tick()
    return { id: order.id }
  } catch (error) {
    return { id: order.id, error }
  }
}

port.on('message', (order: Order | 'close') => {
  if (order === 'close') closing.abort()
  else void obey(order).then(answer)
})

while (!closing.signal.aborted) {
  await follower.tick()
  await sleep(POLL_MS, undefined, { signal: closing.signal }).catch(() => undefined)
}
await follower.close()
port.close()

import { constants, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { runBridge } from './bridge.ts'
import type { BridgeSettings } from './settings.ts'

const port = parentPort
if (port === null) throw new Error('This is the thread of a bridge to a game, not a program.')

// Where cores are short, dispatches come first. On Linux this is the priority of the calling thread, elsewhere it would be the whole router's.
if (process.platform === 'linux') setPriority(0, constants.priority.PRIORITY_LOW)

const closing = new AbortController()
port.once('message', () => closing.abort())
await runBridge(workerData as BridgeSettings, closing.signal, (text) => port.postMessage(text))
port.close()

import type { OnProgress } from '@manciple/core'
import { drawBar } from './bar.ts'
import { terminalOf, type Io } from './terminal.ts'

/** Work that ends sooner says nothing of how far it has come. */
const PATIENCE_MS = 500
const REDRAW_MS = 100
/** Without a terminal. */
const LINE_MS = 5_000
const BAR_WIDTH = 35
const CLEAR_LINE = '\r\u001B[2K'

/**
 * Runs long work and tells on standard error how far it has come: a bar with the time left on a terminal, a line every few seconds elsewhere.
 * Ctrl-C ends the work at the next step.
 * @param label what is being done: `Verifying`
 */
export async function withProgress<T>(io: Io, label: string, work: (onProgress: OnProgress) => Promise<T>): Promise<T> {
  const terminal = terminalOf(io)
  const startMs = performance.now()
  let toldMs = startMs + PATIENCE_MS - (io.isTTY ? REDRAW_MS : 0)
  let drawn = false
  try {
    return await work(({ doneBytes, totalBytes }) => {
      io.signal?.throwIfAborted()
      const nowMs = performance.now()
      if (totalBytes === 0 || nowMs - toldMs < (io.isTTY ? REDRAW_MS : LINE_MS)) return
      toldMs = nowMs
      const share = Math.min(1, doneBytes / totalBytes)
      const left = share === 0 ? '' : `, about ${duration(((nowMs - startMs) / share) * (1 - share))} left`
      if (!io.isTTY) return void io.stderr.write(`${label}: ${Math.floor(share * 100)}%${left}\n`)
      drawn = true
      io.stderr.write(`${CLEAR_LINE}${label} ${drawBar(share, BAR_WIDTH, terminal)}${left}`)
    })
  } finally {
    if (drawn) io.stderr.write(CLEAR_LINE)
  }
}

/** `8 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

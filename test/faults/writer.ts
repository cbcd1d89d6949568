/**
 * A router that works on a ledger until it is killed, or has done all its steps. Writes notes to its standard output, which outlive it:
 * `ready` before it does anything, and waits for a byte on its standard input; `open {…}` with what it found, `+ {…}` for what it attempts, `= n` when the nth attempt, from 0, was acknowledged, `end` when it closed of its own accord.
 *
 *     node --conditions=manciple-source test/faults/writer.ts '{"folder":…}'
 */
import { readSync, writeSync } from 'node:fs'
import { systemDisk } from '../../packages/core/src/ledger/disk.ts'
import type { Fsync } from '../../packages/core/src/ledger/journal.ts'
import { openJsonLedger } from '../../packages/core/src/ledger/json-ledger.ts'
import { POLICY, seeded, viewOf, Workload, type View } from './workload.ts'

export interface WriterOptions {
  readonly folder: string
  readonly session: string
  readonly seed: number
  readonly nowMs: number
  readonly steps: number
  readonly fsync: Fsync
}

/** What a writer found when it opened its ledger. */
export interface FoundOpen {
  readonly fault: string | undefined
  readonly presumed: readonly string[]
  readonly cutBytes: number
  readonly view: View
}

const CALLERS = 6
/** Writes come in pieces, so that a kill finds lines half written. */
const PIECE_BYTES = 900
const SEGMENT_BYTES = 12_000

note('ready')
// Whoever aims at its system calls lets it go on when ready.
readSync(0, Buffer.alloc(1))

const { folder, session, seed, nowMs, steps, fsync } = JSON.parse(process.argv[2] ?? '') as WriterOptions
const random = seeded(seed)
const ledger = await openJsonLedger({
  folder,
  session,
  nowMs,
  fsync,
  segmentBytes: SEGMENT_BYTES,
  disk: {
    ...systemDisk,
    write: (fd, bytes, from, position) =>
      systemDisk.write(fd, bytes.subarray(0, Math.min(bytes.length, from + 1 + Math.floor(random() * PIECE_BYTES))), from, position),
  },
})
await ledger.usePolicy(POLICY, nowMs)
const found: FoundOpen = {
  fault: ledger.fault?.reason,
  presumed: ledger.opened.presumed.map(({ id }) => id),
  cutBytes: ledger.opened.cutBytes,
  view: viewOf(ledger),
}
note(`open ${JSON.stringify(found)}`)

const workload = new Workload(ledger, random, nowMs)
let left = steps
let attempts = 0
const answers: Promise<void>[] = []

async function call(): Promise<void> {
  while (left-- > 0) {
    const tried = workload.step()
    if (tried === undefined) continue
    const number = attempts++
    note(`+ ${JSON.stringify(tried.attempt)}`)
    const answered = tried.durable.then(() => note(`= ${number}`))
    answers.push(answered)
    // Some settle behind the response.
    if (random() < 0.7) await answered
  }
}

function note(text: string): void {
  writeSync(1, `${text}\n`)
}

await Promise.all(Array.from({ length: CALLERS }, call))
if (random() < 0.5) await ledger.close()
else ledger.closeSync()
await Promise.all(answers)
note('end')

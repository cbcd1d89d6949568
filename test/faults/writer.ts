/**
 * A router that reserves and settles until it is killed. Notes in the file that is its standard output what it attempts (`+`) and what it was told is on disk (`=`).
 *
 *     node --conditions=manciple-source test/faults/writer.ts <folder>
 */
import { writeSync } from 'node:fs'
import { systemDisk } from '../../packages/core/src/ledger/disk.ts'
import { openJsonLedger } from '../../packages/core/src/ledger/json-ledger.ts'
import { order, policy, settlement } from '../contract/ledger-samples.ts'

const CALLERS = 8
/** Writes come in pieces, so that a kill finds lines half written. */
const PIECE_BYTES = 150

const ledger = await openJsonLedger({
  folder: process.argv[2] ?? '',
  segmentBytes: 30_000,
  disk: {
    ...systemDisk,
    write: (fd, bytes, from, position) => systemDisk.write(fd, bytes.subarray(0, Math.min(bytes.length, from + PIECE_BYTES)), from, position),
  },
})
if (ledger.fault !== undefined) throw new Error(ledger.fault.reason)
await ledger.usePolicy(policy([]), Date.now())
note('= open')

async function call(): Promise<void> {
  for (;;) {
    const reserved = ledger.reserve(order({ atMs: Date.now() }))
    if (!reserved.ok) throw new Error('refused')
    const { id } = reserved.hold
    note(`+ reserve ${id}`)
    await reserved.durable
    note(`= reserve ${id}`)
    const { durable } = ledger.settle(id, settlement())
    note(`+ settle ${id}`)
    await durable
    note(`= settle ${id}`)
  }
}

function note(text: string): void {
  writeSync(1, `${text}\n`)
}

await Promise.all(Array.from({ length: CALLERS }, call))

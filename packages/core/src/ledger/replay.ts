import { Books } from './books.ts'
import { readCheckpoint } from './checkpoint.ts'
import { systemDisk } from './disk.ts'
import { hashPrefix, scanJournal, START, type Position, type Scan } from './journal-scan.ts'

export interface Replay {
  readonly books: Books
  /** Where the verified part of the journal ends, and what comes after it. */
  readonly scan: Scan
}

/**
 * The books as checkpoint and journal have them: the checkpoint's, and every verified record after it. Never writes.
 * A checkpoint that is missing or corrupt only makes it longer; one that says more than the journal has is damage.
 *
 * @param checkPrefix whether to prove that the part of the segment before the checkpoint is what it was: for the one writer, which goes on writing there
 */
export async function replay(folder: string, checkPrefix: boolean, onWarning: (text: string) => void): Promise<Replay> {
  const start = await fromCheckpoint(folder, onWarning)
  const { books, from, sha256 } = start
  let hash: Scan['hash']
  if (checkPrefix) {
    hash = await hashPrefix(folder, from.segment, from.offset)
    if (hash !== undefined && sha256 !== undefined && hash.copy().digest('hex') !== sha256) {
      const reason = `the journal's segment ${from.segment} was altered before byte ${from.offset}`
      return { books, scan: { at: from, hash: undefined, ending: { kind: 'damaged', reason } } }
    }
  }
  const scan = await scanJournal(folder, from, hash, (record) => books.apply(record))
  return { books, scan }
}

async function fromCheckpoint(folder: string, onWarning: (text: string) => void): Promise<{ books: Books; from: Position; sha256: string | undefined }> {
  try {
    const checkpoint = await readCheckpoint(folder, systemDisk)
    if (checkpoint !== undefined) {
      const { segment, offset, seq, crc, sha256, snapshot } = checkpoint
      return { books: Books.restore(snapshot), from: { segment, offset, seq, crc }, sha256 }
    }
  } catch (error) {
    onWarning(`The checkpoint is set aside and the whole journal replayed: ${String(error)}`)
  }
  return { books: new Books(), from: START, sha256: undefined }
}

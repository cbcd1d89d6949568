import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Seal } from './journal-fields.ts'
import { claimsSynced, MAX_LINE_BYTES, verifyLine, type Chain } from './journal-lines.ts'
import type { LedgerRecord } from './record.ts'

/** Right after a line of the journal. After a seal: at the beginning of the next segment, which need not exist yet. */
export interface Position extends Chain {
  readonly segment: number
  /** Bytes from the beginning of the segment. */
  readonly offset: number
}

/** Before the first line of all. */
export const START: Position = { segment: 1, offset: 0, seq: 0, crc: 0 }

/**
 * How the journal ends. `whole`: every byte was verified. `torn`: its last `bytes` are bad, and no later line calls them synced: one unacknowledged batch,
 * or, for a reader beside a writer, one that is being written. `damaged`: something that had been on disk is missing or altered.
 */
export type Ending =
  | { readonly kind: 'whole' }
  | { readonly kind: 'torn'; readonly reason: string; readonly bytes: number }
  | { readonly kind: 'damaged'; readonly reason: string }

export interface Scan {
  /** After the last verified line. */
  readonly at: Position
  readonly ending: Ending
  /** SHA-256 of the segment up to `at`; undefined where the scan began in the middle and was given none. */
  readonly hash: Hash | undefined
}

export function segmentPath(folder: string, segment: number): string {
  return join(folder, `journal-${String(segment).padStart(6, '0')}.jsonl`)
}

/** SHA-256 of the first `length` bytes of a segment; undefined where it has fewer. */
export async function hashPrefix(folder: string, segment: number, length: number): Promise<Hash | undefined> {
  const hash = createHash('sha256')
  if (length === 0) return hash
  const path = segmentPath(folder, segment)
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  )
  if (size < length) return undefined
  const file = await open(path)
  try {
    // One large buffer: a stream of small ones takes twice as long, and a router waits for this when it starts.
    const chunk = Buffer.allocUnsafe(2 ** 20)
    for (let done = 0; done < length;) {
      const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, length - done), done)
      if (bytesRead === 0) return undefined
      hash.update(chunk.subarray(0, bytesRead))
      done += bytesRead
    }
    return hash
  } finally {
    await file.close()
  }
}

/** Whether the journal still has the line that a position stands after. It may not after a power cut, a repair, or a journal put back from a backup. */
export async function continues(folder: string, { segment, offset, seq, crc }: Position): Promise<boolean> {
  if (seq === 0) return true
  const end = `${crc.toString(16).padStart(8, '0')}"}\n`
  const file = await open(segmentPath(folder, offset === 0 ? segment - 1 : segment), 'r').catch(() => undefined)
  // A sealed segment may have been put away: then the next line shows whether it follows.
  if (file === undefined) return offset === 0
  try {
    const from = (offset === 0 ? (await file.stat()).size : offset) - end.length
    const { buffer, bytesRead } = await file.read(Buffer.alloc(end.length), 0, end.length, Math.max(0, from))
    return buffer.toString('latin1', 0, bytesRead) === end
  } finally {
    await file.close()
  }
}

/**
 * Reads and verifies the journal from a position on, and hands each record, seals aside, to `take`. Streams; never writes.
 * A `take` that throws says that the record contradicts what came before: damage.
 *
 * @param hash of the segment up to `from`, where the seal of that segment is to be checked
 * @param pause called now and then between two records, with where the scan has come to; what it throws, the scan throws
 */
export async function scanJournal(
  folder: string,
  from: Position,
  hash: Hash | undefined,
  take: (record: LedgerRecord) => void,
  pause: (at: Position) => void = () => {},
): Promise<Scan> {
  const segments = await listSegments(folder)
  const last = Math.max(0, ...segments)
  let scan: Scan = { at: from, ending: { kind: 'whole' }, hash: from.offset === 0 ? createHash('sha256') : hash?.copy() }
  // A sealed segment may be the last: the next one is made when it is needed.
  if (last === from.segment - 1 && from.offset === 0) return scan
  if (last < from.segment) return stop(scan, `the journal ends before seq ${from.seq}, which had been on disk`)
  for (let segment = from.segment; segment <= last; segment++) {
    if (!segments.has(segment)) return stop(scan, `${segmentPath(folder, segment)} is missing`)
    scan = await scanSegment(folder, scan, take, pause)
    const { ending } = scan
    // What stands before another segment was on disk before that was begun.
    if (ending.kind === 'torn' && segment < last) return stop(scan, ending.reason)
    if (ending.kind !== 'whole') return scan
    if (segment < last && scan.at.segment === segment) return stop(scan, `${segmentPath(folder, segment)} ends without a seal`)
  }
  return scan
}

/** Numbers of the segments that are there. */
export async function listSegments(folder: string): Promise<ReadonlySet<number>> {
  const segments = new Set<number>()
  for (const name of await readdir(folder)) {
    const match = /^journal-(\d{6,})\.jsonl$/.exec(name)
    if (match !== null) segments.add(Number(match[1]))
  }
  return segments
}

async function scanSegment(folder: string, from: Scan, take: (record: LedgerRecord) => void, pause: (at: Position) => void): Promise<Scan> {
  const path = segmentPath(folder, from.at.segment)
  const { size } = await stat(path)
  if (size < from.at.offset) return stop(from, `${path} is shorter than the ${from.at.offset} bytes that had been on disk`)
  const scan = new SegmentScan(path, from, take)
  if (size === from.at.offset) return scan
  for await (const pieces of readPieces(path, from.at.offset)) {
    for (const piece of pieces) {
      scan.next(piece)
      if (scan.ending.kind === 'damaged') break
    }
    scan.hashPieces()
    if (scan.ending.kind === 'damaged') return scan
    pause(scan.at)
  }
  return scan
}

/** One segment's scan under way. */
class SegmentScan implements Scan {
  at: Position
  hash: Hash | undefined
  ending: Ending = { kind: 'whole' }
  readonly #path: string
  readonly #segment: number
  readonly #take: (record: LedgerRecord) => void
  /** Verified and not hashed yet: lines that follow each other in one buffer, hashed together since each call costs as much as a line. */
  #first: Buffer | undefined
  #unhashedBytes = 0

  constructor(path: string, from: Scan, take: (record: LedgerRecord) => void) {
    this.at = from.at
    this.hash = from.hash
    this.#path = path
    this.#segment = from.at.segment
    this.#take = take
  }

  /** A line with its newline, or what stands where one should be. */
  next(piece: Buffer): void {
    if (this.ending.kind === 'torn') return this.#bad(piece, this.ending.reason, this.ending.bytes)
    if (this.at.segment !== this.#segment) return this.#damaged('goes on after its seal')
    if (piece.at(-1) !== 0x0a) return this.#bad(piece, this.#describe('has no end'), 0)
    const verified = verifyLine(piece.subarray(0, -1), this.at)
    if (!verified.ok) return this.#bad(piece, this.#describe(verified.reason), 0)
    const { record, last } = verified
    if (record.type === 'seal') return this.#seal(record, last)
    try {
      this.#take(record)
    } catch (error) {
      return this.#damaged(`has a record of seq ${last.seq} that contradicts those before it: ${String(error)}`)
    }
    this.at = { ...last, segment: this.#segment, offset: this.at.offset + piece.length }
    this.#first ??= piece
    this.#unhashedBytes += piece.length
  }

  /** To be called before the next pieces come, which are in another buffer. */
  hashPieces(): void {
    if (this.#first !== undefined) this.hash?.update(new Uint8Array(this.#first.buffer, this.#first.byteOffset, this.#unhashedBytes))
    this.#first = undefined
    this.#unhashedBytes = 0
  }

  #seal({ sha256 }: Seal, last: Chain): void {
    this.hashPieces()
    if (this.hash !== undefined && this.hash.digest('hex') !== sha256) return this.#damaged('is not what its seal says')
    this.at = { ...last, segment: this.#segment + 1, offset: 0 }
    this.hash = createHash('sha256')
  }

  /** The first bad line and all that follows it: damage as soon as any of it says that the first had been on disk. */
  #bad(piece: Buffer, reason: string, bytesBefore: number): void {
    if (claimsSynced(piece) > this.at.seq) this.ending = damaged(`${reason}, and a later line says that it had been on disk`)
    else this.ending = { kind: 'torn', reason, bytes: bytesBefore + piece.length }
  }

  #damaged(what: string): void {
    this.ending = damaged(`${this.#path} ${what}`)
  }

  #describe(reason: string): string {
    return `${this.#path}, byte ${this.at.offset}: the line of seq ${this.at.seq + 1} ${reason}`
  }
}

/** A file from `offset` on, cut after each newline. What is longer than a line may be comes in parts, so that memory stays bounded. */
export async function* readPieces(path: string, offset: number): AsyncGenerator<readonly Buffer[]> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(path, { start: offset, highWaterMark: 2 ** 18 }) as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const pieces: Buffer[] = []
    let start = 0
    for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
      pieces.push(bytes.subarray(start, end + 1))
      start = end + 1
    }
    rest = bytes.subarray(start)
    if (rest.length > MAX_LINE_BYTES) {
      pieces.push(rest)
      rest = Buffer.alloc(0)
    }
    yield pieces
  }
  if (rest.length > 0) yield [rest]
}

function stop({ at, hash }: Scan, reason: string): Scan {
  return { at, hash, ending: damaged(reason) }
}

function damaged(reason: string): Ending {
  return { kind: 'damaged', reason }
}

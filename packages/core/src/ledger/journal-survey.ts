import { createHash, type Hash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { crc32 } from 'node:zlib'
import type { JournalRecord } from './journal-fields.ts'
import { claimsSynced, verifyLine, type Chain, type Verified } from './journal-lines.ts'
import { listSegments, readPieces, segmentPath, START, type Position } from './journal-scan.ts'
import type { SeqRange } from './record.ts'

/** Why a segment is damage that is not there at all. */
export const MISSING = 'is missing'

/** A stretch of the journal that cannot be verified. */
export interface Damage {
  /** Name of the segment. */
  readonly file: string
  /** Of its first byte: the line, from 1, and how many bytes of the segment come before it. */
  readonly line: number
  readonly offset: number
  /** Whether what had been on disk is missing or altered. Else it is the end of the journal, which nobody was told is written. */
  readonly torn: boolean
  readonly bytes: number
  /** The first line that is missing or altered. */
  readonly seq: number
  readonly reason: string
  /** Lines that nothing is known of any more, but for what stands in the bytes; undefined where all of them were found elsewhere, or none follows. */
  readonly lost: SeqRange | undefined
}

/** A line that was verified: by the line before it, or, `jumped`, after damage, by the one that stands before it, whatever came of that. */
export interface SurveyedLine {
  readonly record: JournalRecord
  /** After the line. */
  readonly at: Position
  readonly bytes: number
  readonly jumped: boolean
}

/**
 * Reads the whole journal and goes on after damage. Streams; never writes.
 * Each verified line is handed to `take`; where that throws, the line contradicts those before it, and is damage.
 */
export class JournalSurvey {
  readonly damages: Damage[] = []
  /** After the last line that was verified. */
  at: Position = START
  /** After the last line before any damage. */
  wholeTo: Position = START
  /** Lines of the segments, damaged ones included. */
  lines = 0
  readBytes = 0
  readonly #folder: string
  readonly #take: (line: SurveyedLine) => void
  #segment: SegmentState | undefined
  /** What may have seeded the checksum of the next line, as its damaged predecessor tells. */
  #seeds: readonly number[] = []

  constructor(folder: string, take: (line: SurveyedLine) => void) {
    this.#folder = folder
    this.#take = take
  }

  /** Bytes of all segments, as of now. */
  async totalBytes(): Promise<number> {
    let total = 0
    for (const segment of await listSegments(this.#folder)) total += (await stat(segmentPath(this.#folder, segment))).size
    return total
  }

  /** Pauses now and then between two lines, when {@link readBytes} has grown. */
  async *read(): AsyncGenerator<void, void, undefined> {
    const segments = [...(await listSegments(this.#folder))].sort((left, right) => left - right)
    let expected = 1
    for (const segment of segments) {
      if (segment > expected) this.#note(segmentPath(this.#folder, expected), MISSING)
      expected = segment + 1
      yield* this.#readSegment(segment)
      if (segment !== segments.at(-1) && this.at.segment === segment) this.#note(segmentPath(this.#folder, segment), 'ends without a seal')
    }
  }

  async *#readSegment(segment: number): AsyncGenerator<void, void, undefined> {
    const path = segmentPath(this.#folder, segment)
    this.#segment = { segment, file: basename(path), line: 0, offset: 0, hash: createHash('sha256'), sealed: false, damaged: false, inDamage: false }
    for await (const pieces of readPieces(path, 0)) {
      for (const piece of pieces) this.#next(piece, this.#segment)
      yield
    }
  }

  #next(piece: Buffer, state: SegmentState): void {
    state.line += 1
    this.lines += 1
    this.readBytes += piece.length
    const found = this.#verify(piece, state)
    const reason = 'reason' in found ? found.reason : this.#good(piece, found, state)
    if (reason !== undefined) this.#bad(piece, reason, state)
    state.hash.update(piece)
    state.offset += piece.length
  }

  #verify(piece: Buffer, state: SegmentState): Found | { readonly reason: string } {
    if (state.sealed) return { reason: 'stands after the seal of its segment' }
    if (piece.at(-1) !== 0x0a) return { reason: 'has no end' }
    const line = piece.subarray(0, -1)
    const chained = verifyLine(line, this.at)
    const verified = chained.ok ? chained : (this.#verifyAlone(line) ?? chained)
    if (!verified.ok) return verified
    const { record, last } = verified
    if (record.type === 'seal' && !state.damaged && state.hash.copy().digest('hex') !== record.sha256) {
      return { reason: 'is a seal that does not match its segment' }
    }
    return { record, last, jumped: !chained.ok }
  }

  /** A line after damage says itself what number it has, and the one before it what its checksum was. */
  #verifyAlone(line: Buffer): (Verified & { readonly ok: true }) | undefined {
    const own = Number(/^\{"seq":(\d{1,15}),/.exec(line.toString('latin1', 0, 30))?.[1])
    if (!(own > this.at.seq)) return undefined
    for (const crc of this.#seeds) {
      const verified = verifyLine(line, { seq: own - 1, crc })
      if (verified.ok) return verified
    }
    return undefined
  }

  /** @returns why the line cannot stand, where it contradicts those before it. */
  #good(piece: Buffer, { record, last, jumped }: Found, state: SegmentState): string | undefined {
    const sealed = record.type === 'seal'
    const at = sealed ? { ...last, segment: state.segment + 1, offset: 0 } : { ...last, segment: state.segment, offset: state.offset + piece.length }
    try {
      this.#take({ record, at, bytes: piece.length, jumped })
    } catch (error) {
      return `contradicts those before it: ${error instanceof Error ? error.message : String(error)}`
    }
    const before = this.damages.at(-1)
    if (before !== undefined) {
      const lost = last.seq > this.at.seq + 1 ? { from: this.at.seq + 1, to: last.seq - 1 } : before.lost
      this.damages[this.damages.length - 1] = { ...before, torn: false, lost }
    }
    state.inDamage = false
    state.sealed = sealed
    this.#seeds = []
    this.at = at
    if (this.damages.length === 0) this.wholeTo = at
    return undefined
  }

  #bad(piece: Buffer, reason: string, state: SegmentState): void {
    this.#seeds = seedsOf(piece, this.#seeds.length === 0 ? [this.at.crc] : this.#seeds)
    const torn = claimsSynced(piece) <= this.at.seq
    const open = this.damages.at(-1)
    if (!state.inDamage || open === undefined) {
      this.damages.push({ ...this.#here(state), torn, bytes: piece.length, seq: this.at.seq + 1, reason, lost: undefined })
      state.damaged = true
      state.inDamage = true
    } else this.damages[this.damages.length - 1] = { ...open, torn: open.torn && torn, bytes: open.bytes + piece.length }
  }

  /** Damage that has no bytes of its own. */
  #note(path: string, reason: string): void {
    const last = this.damages.at(-1)
    // What stands before another segment was on disk before that was begun.
    if (last?.torn) this.damages[this.damages.length - 1] = { ...last, torn: false }
    const line = reason === MISSING ? 1 : (this.#segment?.line ?? 0) + 1
    const offset = reason === MISSING ? 0 : (this.#segment?.offset ?? 0)
    this.damages.push({ file: basename(path), line, offset, torn: false, bytes: 0, seq: this.at.seq + 1, reason, lost: undefined })
  }

  #here({ file, line, offset }: SegmentState): Pick<Damage, 'file' | 'line' | 'offset'> {
    return { file, line, offset }
  }
}

interface SegmentState {
  readonly segment: number
  readonly file: string
  line: number
  offset: number
  readonly hash: Hash
  sealed: boolean
  /** Whether it has any. */
  damaged: boolean
  /** Whether the last line was damaged. */
  inDamage: boolean
}

interface Found {
  readonly record: JournalRecord
  readonly last: Chain
  readonly jumped: boolean
}

/** `,"crc":"xxxxxxxx"}` */
const END_BYTES = 18

/** What the checksum of a damaged line says it is, and what it would be by its bytes. */
function seedsOf(piece: Buffer, before: readonly number[]): readonly number[] {
  const line = piece.at(-1) === 0x0a ? piece.subarray(0, -1) : piece
  if (line.length <= END_BYTES) return []
  const said = /"crc":"([0-9a-f]{8})"\}\r?$/.exec(line.toString('latin1', line.length - 20))?.[1]
  const body = line.subarray(0, line.length - END_BYTES)
  return [...(said === undefined ? [] : [Number.parseInt(said, 16)]), ...before.slice(0, 1).map((seed) => crc32(body, seed))]
}

import { crc32 } from 'node:zlib'
import { fieldsOf, recordOf } from './journal-fields.ts'
import type { JournalRecord } from './journal-fields.ts'

/** The last line that was written or verified: what the next one must follow. */
export interface Chain {
  /** 0 before the first line. */
  readonly seq: number
  /** CRC-32 as an unsigned number; 0 before the first line. */
  readonly crc: number
}

/** A line longer than this, its newline not counted, is damage. A policy of the greatest size, 256 KiB, fits even where each of its characters is escaped by a backslash. */
export const MAX_LINE_BYTES = 2 ** 20

const CRC_PREFIX = ',"crc":"'
/** `,"crc":"xxxxxxxx"}` */
const END_BYTES = CRC_PREFIX.length + 8 + 2

/**
 * Lines in the order of `records`, each ended by a newline: `seq`, `type` and `synced` first, then the record's own fields, last `crc`,
 * the CRC-32 (zlib) of every byte of the line before `,"crc"`, seeded by the previous line's.
 *
 * @param synced the highest `seq` known to be on disk
 * @throws RangeError for a record that makes a line longer than {@link MAX_LINE_BYTES}: a reader would take it for damage.
 */
export function encodeLines(records: readonly JournalRecord[], after: Chain, synced: number): { readonly bytes: Buffer; readonly last: Chain } {
  let { seq, crc } = after
  let text = ''
  const lengths: number[] = []
  for (const record of records) {
    seq++
    const body = `{"seq":${seq},"type":"${record.type}","synced":${synced},${JSON.stringify(fieldsOf(record)).slice(1, -1)}`
    // A UTF-16 unit takes up to three bytes: only a long line needs to be counted exactly.
    if (body.length > MAX_LINE_BYTES / 4 && Buffer.byteLength(body) > MAX_LINE_BYTES - END_BYTES) {
      throw new RangeError(`a ${record.type} record of ${body.length} characters is longer than a line of the journal may be`)
    }
    lengths.push(body.length)
    text += `${body}${CRC_PREFIX}00000000"}\n`
  }
  const bytes = Buffer.from(text)
  const isAscii = bytes.length === text.length
  let start = 0
  for (const length of lengths) {
    const end = start + (isAscii ? length : bytes.indexOf(0x0a, start) - END_BYTES - start)
    crc = crc32(bytes.subarray(start, end), crc)
    bytes.write(hex(crc), end + CRC_PREFIX.length, 'latin1')
    start = end + END_BYTES + 1
  }
  return { bytes, last: { seq, crc } }
}

export type Verified =
  | { readonly ok: true; readonly record: JournalRecord; readonly synced: number; readonly last: Chain }
  | { readonly ok: false; readonly reason: string }

/** Checks a line, given without its newline, against the one before it: form, checksum, number, types. The inverse of {@link encodeLines}. */
export function verifyLine(line: Buffer, after: Chain): Verified {
  if (line.length > MAX_LINE_BYTES) return bad(`is longer than ${MAX_LINE_BYTES} bytes`)
  const bodyLength = line.length - END_BYTES
  if (bodyLength < 1) return bad('is cut short')
  const crc = crc32(line.subarray(0, bodyLength), after.crc)
  if (line.toString('latin1', bodyLength) !== `${CRC_PREFIX}${hex(crc)}"}`) return bad('does not match its checksum')
  const fields = parse(line)
  if (fields === undefined) return bad('is not a JSON object')
  const seq = after.seq + 1
  if (fields['seq'] !== seq) return bad(`has seq ${String(fields['seq'])}`)
  const synced = fields['synced']
  if (typeof synced !== 'number' || !Number.isInteger(synced) || synced < 0 || synced >= seq) return bad(`says synced ${String(synced)}`)
  const record = recordOf(fields)
  return record === undefined ? bad(`is no ${String(fields['type'])} record of format 1`) : { ok: true, record, synced, last: { seq, crc } }
}

/**
 * The highest `seq` that any line within these bytes calls synced, read from beginnings of lines alone: -1 where there is none.
 * Whoever wrote it knew that these records were on disk, whatever became of the rest of the line.
 */
export function claimsSynced(bytes: Buffer): number {
  let highest = -1
  // In text of a record's own every quote is escaped, so that it can never look like a beginning.
  for (const match of bytes.toString('latin1').matchAll(/\{"seq":\d{1,15},"type":"[a-z]{1,16}","synced":(\d{1,15}),/g))
    highest = Math.max(highest, Number(match[1]))
  return highest
}

function bad(reason: string): Verified {
  return { ok: false, reason }
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

function hex(crc: number): string {
  return `${HEX[crc >>> 24]}${HEX[(crc >>> 16) & 255]}${HEX[(crc >>> 8) & 255]}${HEX[crc & 255]}`
}

function parse(line: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line.toString())
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

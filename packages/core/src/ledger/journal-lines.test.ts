import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CandidateRecord } from '../decision.ts'
import type { JournalRecord } from './journal-fields.ts'
import { claimsSynced, encodeLines, MAX_LINE_BYTES, verifyLine, type Chain } from './journal-lines.ts'
import type { Hold, LedgerEntry, RefuseOrder } from './record.ts'

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('"crc":"00000000"}', '{"seq":1,"type":"open","synced":9,', '\r\n', '\u2028', '\ud800'),
)
const textOrNull = fc.option(text)
const count = fc.nat(Number.MAX_SAFE_INTEGER)
const ms = fc.integer({ min: 0, max: 8.64e15 })
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0)
const source = fc.constantFrom('list', 'policy', 'free')

const candidate: fc.Arbitrary<CandidateRecord> = fc
  .record({ backend: text, model: text, estimate_nano: fc.option(count), score: number })
  .chain((base) =>
    fc
      .record(
        { out: fc.constantFrom('forbidden', 'no-room', 'price-unknown', 'outscored', 'not-asked'), limits: fc.array(text), rules: fc.array(text) },
        { requiredKeys: [] },
      )
      .map((more) => ({ ...base, ...more })),
  )
const hold: fc.Arbitrary<Hold> = fc.record({
  id: text,
  atMs: ms,
  backend: text,
  kind: fc.constantFrom('cloud', 'local'),
  model: text,
  taskId: textOrNull,
  taskType: textOrNull,
  requestedBackend: textOrNull,
  inputTokens: count,
  maxOutputTokens: count,
  estimate: fc.record({ costNano: count, tokens: count, requests: count }),
  priceSource: source,
  policy: text,
  candidates: fc.array(candidate, { maxLength: 3 }),
})
const refusal: fc.Arbitrary<RefuseOrder> = fc.record({
  atMs: ms,
  taskId: textOrNull,
  taskType: textOrNull,
  requestedBackend: textOrNull,
  reason: text,
  policy: text,
  candidates: fc.array(candidate, { maxLength: 3 }),
})
const entry: fc.Arbitrary<LedgerEntry> = fc
  .record({
    timestamp: text,
    backend: text,
    model: text,
    prompt_tokens: count,
    completion_tokens: count,
    cost_usd: number,
    task_id: textOrNull,
    task_type: textOrNull,
    duration_ms: number,
    id: text,
    requested_backend: textOrNull,
    status: fc.constantFrom('ok', 'error', 'aborted', 'cut', 'expired'),
    usage_source: fc.constantFrom('reported', 'partial', 'hold'),
    cache_read_tokens: count,
    cache_write_tokens: count,
    reasoning_tokens: count,
    price_source: source,
    policy: text,
  })
  .chain((base) => fc.boolean().map((overrun) => (overrun ? { ...base, overrun: true as const } : base)))
const notice = fc.record({
  severity: fc.constantFrom('info', 'advice', 'warning', 'alert'),
  kind: text,
  scope: text,
  episode: text,
  text,
  data: fc.dictionary(
    text.filter((key) => key !== '__proto__'),
    fc.oneof(text, number, fc.boolean(), fc.constant(null)),
    { noNullPrototype: true },
  ),
  number: count,
  time: text,
})
const instant = ms.map((at) => new Date(at).toISOString())
const signed = fc.maxSafeInteger()
const kind = fc.constantFrom('cloud', 'local')
const adjustment = fc.record({
  timestamp: instant,
  backend: text,
  kind,
  model: text,
  prompt_tokens: signed,
  completion_tokens: signed,
  cost_usd: number,
  task_id: textOrNull,
  task_type: textOrNull,
  requests: signed,
  id: text,
  policy: text,
})
const imported = fc.tuple(entry, instant).map(([base, timestamp]) => ({ ...base, timestamp, status: 'imported', price_source: 'given' }))
const repair = fc.record({
  type: fc.constant('repair'),
  number: count,
  time: text,
  lost: fc.array(fc.record({ from: count, to: count })),
  bytes: count,
  salvaged: count,
  files: fc.array(text),
})
const record: fc.Arbitrary<JournalRecord> = fc.oneof(
  fc.record({ type: fc.constant('adjust'), time: instant, reason: text, adjustment }),
  fc.record({ type: fc.constant('adjust'), time: instant, reason: text, presumed: text }),
  fc.record({ type: fc.constant('import'), time: instant, source: text, kind, entry: imported }),
  repair,
  fc.record({ type: fc.constant('open'), ledger: text, session: text, time: text, format: fc.constant(1) }),
  fc.record({ type: fc.constant('policy'), time: text, version: text, text }),
  fc.record({ type: fc.constant('reserve'), hold }),
  fc.record({ type: fc.constant('settle'), entry }),
  fc.record({ type: fc.constant('release'), id: text, time: text, reason: text }),
  fc.record({ type: fc.constant('expire'), id: text, time: text }),
  fc.record({ type: fc.constant('refuse'), order: refusal }),
  fc.record({ type: fc.constant('observe'), observation: fc.record({ backend: text, used: number, at: text, source: text }) }),
  fc.record({ type: fc.constant('notice'), notice }),
  fc.record({ type: fc.constant('notice'), notice, clears: fc.array(text) }),
  fc.record({ type: fc.constant('seal'), sha256: fc.stringMatching(/^[0-9a-f]{64}$/) }),
) as fc.Arbitrary<JournalRecord>
const chain: fc.Arbitrary<Chain> = fc.record({ seq: fc.nat(2 ** 40), crc: fc.nat(2 ** 32 - 1) })

const START: Chain = { seq: 0, crc: 0 }
const OPEN: JournalRecord = { type: 'open', ledger: 'l', session: 's', time: '2026-11-20T15:00:00.000Z', format: 1 }

function lineOf(record: JournalRecord): Buffer {
  return encodeLines([record], START, 0).bytes.subarray(0, -1)
}

function linesOf(bytes: Buffer): readonly Buffer[] {
  return bytes
    .toString()
    .split('\n')
    .slice(0, -1)
    .map((line) => Buffer.from(line))
}

describe('a line of the journal', () => {
  it('gives back what was written, for every kind of record', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 5 }), chain, (records, before) => {
        const { bytes, last } = encodeLines(records, before, before.seq)
        let at = before
        const read = linesOf(bytes).map((line) => {
          const verified = verifyLine(line, at)
          if (!verified.ok) throw new Error(verified.reason)
          at = verified.last
          expect(verified.synced).toBe(before.seq)
          return verified.record
        })
        // A lone surrogate has no bytes of its own: JSON writes it as an escape, and it comes back.
        expect(read).toEqual(records)
        expect(at).toEqual(last)
      }),
      { numRuns: 500 },
    )
  })

  it('has seq, type and synced first, the entry in its own order after them, and the checksum last', () => {
    const settled: LedgerEntry = {
      timestamp: '2026-11-20T15:00:00.000Z',
      backend: 'claude',
      model: 'm',
      prompt_tokens: 1500,
      completion_tokens: 800,
      cost_usd: 0.0165,
      task_id: 'task-1',
      task_type: null,
      duration_ms: 12,
      id: 's-1',
      requested_backend: null,
      status: 'ok',
      usage_source: 'reported',
      cache_read_tokens: 0,
      cache_write_tokens: 0,
      reasoning_tokens: 0,
      price_source: 'list',
      policy: 'v1',
    }
    const line = encodeLines([{ type: 'settle', entry: settled }], { seq: 6, crc: 7 }, 5).bytes.toString()
    expect(Object.keys(JSON.parse(line))).toEqual(['seq', 'type', 'synced', ...Object.keys(settled), 'crc'])
    expect(line).toMatch(/^\{"seq":7,"type":"settle","synced":5,"timestamp":/)
    expect(line).toMatch(/,"crc":"[0-9a-f]{8}"\}\n$/)
    expect(JSON.parse(line).crc).toBe(
      crc32(line.slice(0, line.lastIndexOf(',"crc"')), 7)
        .toString(16)
        .padStart(8, '0'),
    )
  })

  it('is refused when any one bit of it is another', () => {
    const line = lineOf(OPEN)
    for (let bit = 0; bit < line.length * 8; bit++) {
      const flipped = Buffer.from(line)
      flipped.writeUInt8(line.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(verifyLine(flipped, START).ok, `bit ${bit}`).toBe(false)
    }
  })

  it('is refused after any line but the one it was written after', () => {
    const [first, second] = linesOf(encodeLines([OPEN, OPEN], START, 0).bytes) as [Buffer, Buffer]
    const after = verifyLine(first, START)
    if (!after.ok) throw new Error(after.reason)
    expect(verifyLine(second, after.last).ok).toBe(true)
    expect(verifyLine(second, START).ok).toBe(false)
    expect(verifyLine(first, after.last).ok).toBe(false)
    expect(verifyLine(second, { ...after.last, seq: 2 })).toEqual({ ok: false, reason: 'has seq 2' })
  })

  it.each([
    ['a carriage return', (line: string) => `${line}\r`],
    ['a byte order mark', (line: string) => `\ufeff${line}`],
    ['nothing', () => ''],
    ['a checksum in capitals', (line: string) => line.replace(/"[0-9a-f]{8}"\}$/, (crc) => crc.toUpperCase())],
  ])('is refused with %s', (_, edit) => {
    // A seed that gives a checksum with letters in it.
    const line = lineOf(OPEN).toString()
    expect(line.slice(-10)).toMatch(/[a-f]/)
    expect(verifyLine(Buffer.from(edit(line)), START).ok).toBe(false)
  })

  it.each([
    ['an unknown type', '{"seq":1,"type":"gift","synced":0,"id":"x"', 'is no gift record of format 1'],
    ['an inherited name for a type', '{"seq":1,"type":"constructor","synced":0', 'is no constructor record of format 1'],
    ['a field of another type', '{"seq":1,"type":"expire","synced":0,"id":5,"time":"x"', 'is no expire record of format 1'],
    ['another format', '{"seq":1,"type":"open","synced":0,"ledger":"l","session":"s","time":"t","format":2', 'is no open record of format 1'],
    ['a time that is none', '{"seq":1,"type":"refuse","synced":0,"timestamp":"soon"', 'is no refuse record of format 1'],
    ['a synced of its own number', '{"seq":1,"type":"expire","synced":1,"id":"x","time":"x"', 'says synced 1'],
    ['no synced', '{"seq":1,"type":"expire","id":"x","time":"x"', 'says synced undefined'],
    ['a list for a record', '[1', 'is not a JSON object'],
  ])('is refused with %s, though its checksum is right', (_, body, reason) => {
    const line = `${body},"crc":"${crc32(body, 0).toString(16).padStart(8, '0')}"}`
    expect(verifyLine(Buffer.from(line), START)).toEqual({ ok: false, reason })
  })

  it('is not written, and not read, when it is longer than a mebibyte', () => {
    const policy = (length: number): JournalRecord => ({ type: 'policy', time: 't', version: 'v', text: 'ß'.repeat(length) })
    const longest = (MAX_LINE_BYTES - 100) / 2
    expect(lineOf(policy(longest)).length).toBeLessThanOrEqual(MAX_LINE_BYTES)
    expect(() => encodeLines([policy(longest + 50)], START, 0)).toThrow(RangeError)
    expect(verifyLine(Buffer.alloc(MAX_LINE_BYTES + 1, 'x'), START)).toEqual({ ok: false, reason: 'is longer than 1048576 bytes' })
  })

  it('says what it calls synced even when its end is lost, and no text of a record can say it', () => {
    const { bytes } = encodeLines([OPEN, { ...OPEN, session: '{"seq":9,"type":"open","synced":8,' }], { seq: 6, crc: 1 }, 5)
    expect(claimsSynced(bytes)).toBe(5)
    expect(claimsSynced(bytes.subarray(0, 36))).toBe(5)
    expect(claimsSynced(Buffer.from('junk{"seq":9,"type":"settle","synced":8,'))).toBe(8)
    expect(claimsSynced(Buffer.from('junk'))).toBe(-1)
  })
})

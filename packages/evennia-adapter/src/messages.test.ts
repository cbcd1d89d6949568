import type { Notice } from '@manciple/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { batchOf, itemOf, MAX_BYTES, MAX_ITEMS, readFrame, writeFrame, type NoticeItem } from './messages.ts'

const anyText = fc.string({
  unit: fc.oneof(fc.constantFrom('\u{1F600}', '\uD800', '\u2028', '\u0000', '|', '"', '\\', 'ß'), fc.string({ minLength: 1, maxLength: 1 })),
  maxLength: 1_000,
  size: 'max',
})
const scalar = fc.oneof(anyText, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null))
const anyNotice: fc.Arbitrary<Notice> = fc.record({
  number: fc.integer({ min: 1 }),
  time: fc.constant('2026-11-20T12:00:00.000Z'),
  severity: fc.constantFrom('info', 'advice', 'warning', 'alert'),
  kind: anyText,
  scope: anyText,
  episode: anyText,
  text: anyText,
  data: fc.dictionary(anyText, scalar, { maxKeys: 30 }),
})

function notice(kind: string): Notice {
  return { number: 7, time: '2026-11-20T12:00:00.000Z', severity: 'alert', kind, scope: 'total', episode: 'e', text: 't', data: { reset: null } }
}

describe('a notice for the game', () => {
  it('is one line, bounded, and fits the smallest message that a game may ask for', () => {
    fc.assert(
      fc.property(anyNotice, (one) => {
        const item = itemOf(one, 'n')
        expect(item.text).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u)
        expect(item.text.isWellFormed()).toBe(true)
        expect(batchOf([item], { stream: 'S'.repeat(200), id: 2 ** 53 - 1 }, { items: 50, bytes: 16_384 }).frame.length).toBeLessThanOrEqual(16_384)
      }),
    )
  })

  it('of local-only stays until a restored one ends it', () => {
    expect(itemOf(notice('local-only'), 'n')).toMatchObject({ sticky: true, clears: null })
    expect(itemOf(notice('restored'), 'n')).toMatchObject({ sticky: false, clears: ['local-only'] })
    expect(itemOf(notice('overrun'), 'n')).toEqual({
      seq: 7,
      nid: 'n',
      ts: '2026-11-20T12:00:00.000Z',
      severity: 'alert',
      kind: 'overrun',
      text: 't',
      data: { reset: null },
      sticky: false,
      clears: null,
    })
  })
})

describe('a batch', () => {
  it('holds the first items, as many as fit, at least one, within 50 and 64 KB', () => {
    const items = fc.array(
      anyNotice.map((one) => itemOf(one, 'n')),
      { minLength: 1, maxLength: 120 },
    )
    fc.assert(
      fc.property(items, fc.integer({ min: 1, max: MAX_ITEMS }), fc.integer({ min: 16_384, max: MAX_BYTES }), (given, most, bytes) => {
        const { items: taken, frame } = batchOf(given, { stream: 's', id: 1 }, { items: most, bytes })
        expect(taken.length).toBeGreaterThanOrEqual(1)
        expect(taken.length).toBeLessThanOrEqual(most)
        expect(taken).toEqual(given.slice(0, taken.length))
        expect(Buffer.byteLength(frame)).toBeLessThanOrEqual(bytes)
        const [name, , body] = JSON.parse(frame) as [string, unknown, { items: NoticeItem[] }]
        expect([name, body.items]).toEqual(['costs_notices', JSON.parse(JSON.stringify(taken))])
      }),
      { numRuns: 30, endOnFailure: true },
    )
  })

  it('is not cut short without need', () => {
    const items = Array.from({ length: 80 }, (_, index) => itemOf({ ...notice('rule'), number: index + 1 }, `n${index}`))
    expect(batchOf(items, { stream: 's', id: 1 }, { items: 50, bytes: MAX_BYTES }).items).toHaveLength(50)
  })
})

describe('a frame', () => {
  it('is ASCII, and says what was given', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const frame = writeFrame('login', { text })
        expect(Buffer.byteLength(frame)).toBe(frame.length)
        expect(JSON.parse(frame)).toEqual(['login', [], { text }])
      }),
    )
  })

  it.each([
    ['["text", ["<b>[\\"costs_ack\\""], {}]', { kind: 'heard' }],
    ['no JSON', { kind: 'heard' }],
    ['["logged_in", [], {}]', { kind: 'logged-in' }],
    ['["costs_unheard_of", [], {}]', { kind: 'heard' }],
    ['["costs_ack", [], {"id": 3, "cursor": 4, "rev": 5, "more": 1}]', { kind: 'message', message: { name: 'costs_ack', body: { id: 3, cursor: 4, rev: 5 } } }],
    ['["costs_ack", [], {"id": 3, "cursor": -1, "rev": 5}]', { kind: 'malformed' }],
    ['["costs_ack", [], {"id": "3", "cursor": 1, "rev": 5}]', { kind: 'malformed' }],
    ['["costs_ack", {}]', { kind: 'malformed' }],
    ['["costs_ack", [', { kind: 'malformed' }],
    ['["costs_nak", [], {"id": null, "code": "denied"}]', { kind: 'message', message: { name: 'costs_nak' } }],
    ['["costs_welcome", [], {"v": 1, "stream": "s", "cursor": 0, "rev": 0, "game": "g", "max_batch": 50, "max_bytes": 10}]', { kind: 'malformed' }],
  ])('%s is %o', (text, expected) => {
    expect(readFrame(text)).toMatchObject(expected)
  })

  it('of any kind is read without throwing', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          anyText,
          fc.json(),
          fc.json().map((json) => `["costs_welcome", [], ${json}]`),
        ),
        (text) => void readFrame(text),
      ),
    )
  })
})

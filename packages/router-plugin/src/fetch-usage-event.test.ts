import fc from 'fast-check'
import { expect, test } from 'vitest'
import { UsageEventFilter } from './fetch-usage-event.ts'

const part = (content: string): string => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }], usage: null })}\n\n`
const usage = `data: ${JSON.stringify({ id: 'x', choices: [], usage: { prompt_tokens: 1, completion_tokens: 2 } })}\n\n`
const filtered = `data: ${JSON.stringify({ choices: [], prompt_filter_results: [] })}\n\n`
const done = 'data: [DONE]\n\n'

function pass(pieces: readonly Uint8Array[]): string {
  const filter = new UsageEventFilter()
  return text([...pieces.flatMap((piece) => filter.take(piece)), ...filter.rest()])
}

const text = (pieces: readonly Uint8Array[]): string => Buffer.concat(pieces).toString()

const torn = (whole: string, cuts: readonly number[]): Uint8Array[] => {
  const bytes = Buffer.from(whole)
  const at = [0, ...[...cuts].map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
}

test('the usage is taken out and nothing else, however the stream is torn apart', () => {
  const events = fc.array(fc.oneof(fc.string().map(part), fc.constant(filtered), fc.constant(usage)), { maxLength: 8 })
  fc.assert(
    fc.property(events, fc.array(fc.nat(), { maxLength: 12 }), fc.boolean(), (list, cuts, returns) => {
      const lines = (events: string): string => (returns ? events.replaceAll('\n\n', '\r\n\r\n') : events)
      const whole = lines([...list, done].join(''))
      const wanted = lines([...list.filter((event) => event !== usage), done].join(''))
      expect(pass([Buffer.from(whole)])).toBe(wanted)
      expect(pass(torn(whole, cuts))).toBe(wanted)
    }),
  )
})

test.each([1, 2, 3, 5])('a blank line that is torn apart itself, in pieces of %i bytes, still ends an event', (size) => {
  for (const blank of ['\n\n', '\r\n\r\n']) {
    const bytes = Buffer.from((part('a') + usage + part('b') + usage + done).replaceAll('\n\n', blank))
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => bytes.subarray(index * size, (index + 1) * size))
    expect(pass(pieces)).toBe((part('a') + part('b') + done).replaceAll('\n\n', blank))
  }
})

test('a usage that comes after the rest of a torn blank line is taken out', () => {
  for (const blank of ['\n\n', '\r\n\r\n']) {
    const [before, after] = [part('a'), usage + done].map((events) => events.replaceAll('\n\n', blank))
    for (let torn = 1; torn < blank.length; torn++) {
      const pieces = [Buffer.from(String(before).slice(0, -torn)), Buffer.from(blank.slice(-torn) + after)]
      expect(pass(pieces)).toBe((part('a') + done).replaceAll('\n\n', blank))
    }
  }
})

test('a chunk of whole events passes as it is', () => {
  const filter = new UsageEventFilter()
  const chunk = new TextEncoder().encode(part('a') + part('b'))
  const [passed, ...more] = filter.take(chunk)
  expect([passed === chunk, more]).toEqual([true, []])
})

test('an event that has begun waits only until it is known to be another', () => {
  const filter = new UsageEventFilter()
  expect(filter.take(Buffer.from('data: {"id":1,'))).toEqual([])
  expect(text(filter.take(Buffer.from('"choices":[{"delta":{"content":"a')))).toBe('data: {"id":1,"choices":[{"delta":{"content":"a')
  expect(text(filter.take(Buffer.from(' b')))).toBe(' b')
  expect(text(filter.take(Buffer.from('"}}]}\n\n')))).toBe('"}}]}\n\n')
})

test('a stream that breaks off loses nothing', () => {
  expect(pass([Buffer.from(`${part('a')}data: {"id"`)])).toBe(`${part('a')}data: {"id"`)
})

test('the usage is taken out of chunks that are longer than a model writes, at their end, wherever they are cut', () => {
  const long = part('x').repeat(300)
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 4 }), fc.constantFrom('\n\n', '\r\n\r\n'), (cuts, blank) => {
      const [whole, wanted] = [long + usage + done, long + done].map((events) => events.replaceAll('\n\n', blank))
      expect(pass(torn(whole ?? '', cuts))).toBe(wanted)
    }),
  )
})

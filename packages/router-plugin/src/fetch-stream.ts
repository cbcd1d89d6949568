import { createParser } from 'eventsource-parser'
import type { Call } from './call.ts'
import type { WireFormat } from './wire/format.ts'
import { isJson, parseJson } from './wire/json.ts'

/** Reads what passes, and ends the call. Nothing waits for it. */
export interface Meter {
  take(chunk: Uint8Array): void
  /** The body came to its end. */
  end(): void
  /** The connection broke, or the reader went away. */
  stop(status: 'aborted' | 'cut'): void
}

/**
 * Events are read one by one as long as a stream is no faster than a model writes: this many bytes at once and, from then on, a second.
 * A faster one, a replay or a proxy's cache, is not slowed down: its bytes are counted whole, and its last events are read at its end.
 */
const BURST_BYTES = 48 * 1024
const BYTES_PER_MS = 1000

/** Of a stream that is not read event by event, the end that is kept to be read. An event that ends a response repeats all of it. */
const TAIL_BYTES = 4 * 1024 * 1024
/** What a stream ends with is within its last few events. */
const LAST_EVENTS = 16

/** Meters a stream of server-sent events. */
export function streamMeter(call: Call, format: WireFormat): Meter {
  const reader = new EventReader(call, format)
  const skimmed = new Tail()
  let credit = BURST_BYTES
  let creditAtMs = performance.now()
  let skims = false

  /** Whether the stream is slow enough to be read event by event. */
  function affords(bytes: number): boolean {
    const nowMs = performance.now()
    credit = Math.min(BURST_BYTES, credit + (nowMs - creditAtMs) * BYTES_PER_MS) - bytes
    creditAtMs = nowMs
    return credit >= 0
  }

  function skim(chunk: Uint8Array): void {
    call.progress(chunk.byteLength, undefined)
    skimmed.push(chunk)
  }

  function finish(): void {
    if (skims) reader.feed(skimmed.lastEvents(LAST_EVENTS))
  }

  return {
    take(chunk) {
      if (skims) skim(chunk)
      else if (affords(chunk.byteLength)) {
        call.heard()
        reader.feed(chunk)
      } else {
        // What begins an answer is within its first events: those are read, up to where one ends.
        const cut = endOfEvent(chunk)
        call.heard()
        reader.feed(cut === undefined ? chunk : chunk.subarray(0, cut))
        if (cut === undefined) return
        skims = true
        skim(chunk.subarray(cut))
      }
    },
    end() {
      finish()
      if (reader.ended) call.answered()
      else call.abandon('cut')
    },
    stop(status) {
      finish()
      if (reader.ended) call.answered()
      else call.abandon(status)
    },
  }
}

/** Tells a call what the events of a stream say. */
class EventReader {
  readonly #decoder = new TextDecoder()
  readonly #parser: ReturnType<typeof createParser>
  /** Whether the end of a whole answer has been seen. */
  ended = false

  constructor(call: Call, format: WireFormat) {
    const step = format.reader()
    this.#parser = createParser({
      onEvent: ({ data }) => {
        const event = parseJson(data)
        if (!isJson(event)) {
          this.ended ||= data === '[DONE]'
          return
        }
        const { outputBytes, usage, ended = false, failed = false } = step(event)
        if (outputBytes > 0 || usage !== undefined) call.progress(outputBytes, usage)
        this.ended ||= ended
        if (failed) failedInStream(call)
      },
    })
  }

  feed(bytes: Uint8Array): void {
    this.#parser.feed(this.#decoder.decode(bytes, { stream: true }))
  }
}

/** An error before any token is the provider's refusal, whatever the status was. */
function failedInStream(call: Call): void {
  if (call.streaming) call.abandon('error')
  else call.release('the provider failed before any token')
}

/** The last bytes of a stream. */
class Tail {
  readonly #chunks: Uint8Array[] = []
  #bytes = 0

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.byteLength
    while (this.#bytes > TAIL_BYTES && this.#chunks.length > 1) {
      this.#bytes -= this.#chunks.shift()?.byteLength ?? 0
    }
  }

  /** The last events, from the end of the one before them on: looked for in no more of the chunks than they fill. */
  lastEvents(count: number): Uint8Array {
    let chunks = 1
    let found = lastEvents(Buffer.concat(this.#chunks.slice(-chunks)), count)
    while (!found.whole && chunks < this.#chunks.length) {
      chunks *= 4
      found = lastEvents(Buffer.concat(this.#chunks.slice(-chunks)), count)
    }
    return found.events
  }
}

/** @returns all bytes where they are fewer events: without its beginning the first is none to a parser. */
function lastEvents(bytes: Buffer, count: number): { readonly events: Uint8Array; readonly whole: boolean } {
  const blank = bytes.lastIndexOf('\n\n') >= 0 ? '\n\n' : '\r\n\r\n'
  let from = bytes.length
  for (let events = 0; events < count; events++) {
    const at = from <= blank.length ? -1 : bytes.lastIndexOf(blank, from - blank.length - 1)
    if (at < 0) return { events: bytes, whole: false }
    from = at + blank.length
  }
  return { events: bytes.subarray(from), whole: true }
}

/** Index after the first blank line. */
function endOfEvent(chunk: Uint8Array): number | undefined {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  const ends = ['\n\n', '\r\n\r\n'].flatMap((blank) => {
    const at = bytes.indexOf(blank)
    return at < 0 ? [] : [at + blank.length]
  })
  return ends.length === 0 ? undefined : Math.min(...ends)
}

import type { Call } from './call.ts'
import { streamMeter } from './fetch-stream.ts'
import type { Meter } from './fetch-stream.ts'
import { UsageEventFilter } from './fetch-usage-event.ts'
import type { WireFormat } from './wire/format.ts'
import { parseJson } from './wire/json.ts'

/** Plain answers above this are not kept to be read: their calls are billed by their holds. */
const LONGEST_ANSWER = 64 * 1024 * 1024

/** What a response is metered by. */
export interface MeteredCall {
  readonly call: Call
  readonly format: WireFormat
  /** Whether the caller has gone away. */
  readonly gone: () => boolean
  readonly asksForUsage: boolean
}

/** The same response, with one header more, and metered as it is read: every chunk is handed on as it came before it is looked at. */
export function meteredResponse(response: Response, { call, format, gone, asksForUsage }: MeteredCall, decision: string): Response {
  const { body } = response
  if (body === null) {
    call.answered()
    return withDecision(response, null, decision)
  }
  const streamed = /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')
  const meter = streamed ? streamMeter(call, format) : answerMeter(call, format)
  const filter = streamed && !asksForUsage ? new UsageEventFilter() : undefined
  return withDecision(response, passThrough(body, meter, gone, filter), decision)
}

/** A response cannot be given a header; a copy can. */
export function withDecision(response: Response, body: ReadableStream<Uint8Array> | null, decision: string): Response {
  const { status, statusText, url } = response
  const headers = new Headers(response.headers)
  headers.set('x-manciple-decision', decision)
  const copy = new Response(body, { status, statusText, headers })
  Object.defineProperty(copy, 'url', { value: url })
  return copy
}

function passThrough(source: ReadableStream<Uint8Array>, meter: Meter, gone: () => boolean, filter: UsageEventFilter | undefined): ReadableStream<Uint8Array> {
  const reader = source.getReader()
  let to: ReadableStreamDefaultController<Uint8Array>
  let reading = false

  function read(): void {
    reading = true
    reader.read().then(take, fail)
  }

  function take({ done, value }: Awaited<ReturnType<typeof reader.read>>): void {
    // Before a piece is handed on: whoever waits for another asks for it then.
    reading = false
    try {
      if (done) {
        for (const piece of filter?.rest() ?? []) to.enqueue(piece)
        to.close()
        meter.end()
        return
      }
      const pieces = filter === undefined ? [value] : filter.take(value)
      for (const piece of pieces) to.enqueue(piece)
      meter.take(value)
      if (pieces.length === 0) read()
    } catch (error) {
      fail(error)
    }
  }

  function fail(error: unknown): void {
    to.error(error)
    meter.stop(gone() ? 'aborted' : 'cut')
  }

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        to = controller
      },
      pull() {
        if (!reading) read()
      },
      cancel(reason) {
        meter.stop('aborted')
        return reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
}

function answerMeter(call: Call, format: WireFormat): Meter {
  let chunks: Uint8Array[] = []
  let length = 0
  return {
    take(chunk) {
      call.heard()
      length += chunk.byteLength
      if (length > LONGEST_ANSWER) chunks = []
      else chunks.push(chunk)
    },
    end() {
      const answer = length > LONGEST_ANSWER ? undefined : parseJson(Buffer.concat(chunks).toString())
      const usage = format.usageOf(answer)
      const bytes = usage === undefined ? format.outputBytesOf(answer) : 0
      if (bytes > 0) call.progress(bytes, undefined)
      call.answered(usage)
    },
    stop(status) {
      call.abandon(status)
    },
  }
}

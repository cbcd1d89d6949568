import type { LanguageModelV4StreamPart } from '@ai-sdk/provider'
import { failureOfPart } from './ai-sdk-failure.ts'
import type { Attempt } from './ai-sdk-route.ts'
import { OutputMeter, usageOfAiSdk } from './ai-sdk-usage.ts'
import type { Failure } from './failure.ts'

type Part = LanguageModelV4StreamPart
type Reader = ReadableStreamDefaultReader<Part>
type Read = Awaited<ReturnType<Reader['read']>>

/** Parts that come before the provider has said anything of the answer. */
const OPENING: ReadonlySet<Part['type']> = new Set(['stream-start', 'response-metadata', 'custom', 'raw'])

/**
 * Reads a stream up to its first part of substance, so that a provider that fails at once can still be left for another. No token waits for this.
 * @throws StreamFailed.
 */
export async function openingOf(reader: Reader): Promise<Part[]> {
  const opening: Part[] = []
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      // The provider had begun to answer: what it has worked on is not known.
      throw new StreamFailed(error, 'unknown')
    })
    if (done) return opening
    if (value.type === 'error') {
      reader.cancel().catch(() => undefined)
      throw new StreamFailed(value.error, failureOfPart(value.error))
    }
    opening.push(value)
    if (!OPENING.has(value.type)) return opening
  }
}

/** A stream that failed before any token, and what that says of the call. */
export class StreamFailed {
  readonly error: unknown
  readonly failure: Failure

  constructor(error: unknown, failure: Failure) {
    this.error = error
    this.failure = failure
  }
}

/**
 * The stream as it came, part by part as it is read, and the call billed by what passes. The last part carries the decision.
 * A part costs one read of the stream under it and no promise of our own: as fast as two streams can be joined.
 */
export function meteredStream(reader: Reader, opening: readonly Part[], attempt: Attempt, signal: AbortSignal | undefined): ReadableStream<Part> {
  const { call } = attempt
  const meter = new OutputMeter()
  let early = 0
  let reading = false
  let reads: ReadableStreamDefaultController<Part>

  function take({ done, value }: Read): void {
    reading = false
    try {
      if (done) {
        // A whole answer has ended the call before.
        call.abandon('cut')
        reads.close()
      } else reads.enqueue(metered(value, attempt, meter))
    } catch (error) {
      fail(error)
    }
  }

  function fail(error: unknown): void {
    call.abandon(signal?.aborted === true ? 'aborted' : 'cut')
    reads.error(error)
  }

  return new ReadableStream<Part>(
    {
      start(controller) {
        reads = controller
      },
      pull() {
        const value = opening[early]
        if (value !== undefined) {
          early += 1
          take({ done: false, value })
        } else if (!reading) {
          reading = true
          reader.read().then(take, fail)
        }
      },
      async cancel(reason) {
        call.abandon('aborted')
        await reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
}

function metered(part: Part, attempt: Attempt, meter: OutputMeter): Part {
  const { call } = attempt
  const bytes = meter.read(part)
  if (bytes === undefined) call.heard()
  else {
    if (!call.streaming) call.progress(0, meter.toldInput)
    call.progress(bytes, undefined)
  }
  // An error with which the provider says that it has served nothing; one after a token ends the call when the stream ends.
  if (part.type === 'error' && !call.streaming && failureOfPart(part.error) !== 'unknown') call.release('the provider failed before any token')
  if (part.type !== 'finish') return part
  const usage = usageOfAiSdk(part.usage)
  const { unified } = part.finishReason
  if (unified !== 'error' && unified !== 'interrupted') call.answered(usage)
  else {
    if (usage !== undefined) call.progress(0, usage)
    call.abandon(unified === 'error' ? 'error' : 'cut')
  }
  return { ...part, providerMetadata: { ...part.providerMetadata, ...attempt.metadata } }
}

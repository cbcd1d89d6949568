import { isJson, listOf, parseJson } from './wire/json.ts'

const NOTHING = Buffer.alloc(0)

/**
 * No event that only tells the usage is longer, and it is among the last of its stream: of a chunk that is longer than this, as a model writes none,
 * only so much of its end is looked through.
 */
const LONGEST_USAGE = 4096

/**
 * Takes out of a stream of chat completions the event that only tells the usage: it was asked for by us, and a client that did not ask for it may not expect
 * an event without choices. Holds back nothing but the first bytes of an event that has not come whole, until they say that it is another.
 */
export class UsageEventFilter {
  #doubtful: Buffer = NOTHING
  /** The event that has begun is not the usage: its rest passes. */
  #passes = false
  /** The last bytes that passed: a blank line may be torn apart. */
  #before: Buffer = NOTHING

  /** @returns what passes, in order: the very chunk where nothing is taken out of it. */
  take(chunk: Uint8Array): Uint8Array[] {
    const came = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const wasDoubtful = this.#doubtful.length > 0
    if (wasDoubtful && came.length > 2 * LONGEST_USAGE) {
      // The doubt is settled by what ends the event: the rest of a long chunk need not be copied for it.
      const end = afterFirstBlank(came.subarray(0, LONGEST_USAGE))
      return [...this.take(came.subarray(0, end)), ...this.take(came.subarray(end))]
    }
    const bytes = wasDoubtful ? Buffer.concat([this.#doubtful, came]) : came
    const begins = this.#lastBeginning(bytes)
    const last = bytes.subarray(begins)
    this.#passes = last.length > 0 && ((begins === 0 && this.#passes) || isOther(last))
    const isDoubtful = last.length > 0 && !this.#passes
    const ready = isDoubtful ? bytes.subarray(0, begins) : bytes
    this.#doubtful = isDoubtful ? Buffer.from(last) : NOTHING
    this.#before = this.#passes ? Buffer.concat([this.#before, ready.subarray(-TORN)]).subarray(-TORN) : NOTHING
    const kept = withoutUsage(ready)
    if (kept.length === 0) return []
    return [kept === ready && !wasDoubtful && !isDoubtful ? chunk : kept]
  }

  /** Where the last event begins: after the last blank line, which may have begun in what has passed. */
  #lastBeginning(bytes: Buffer): number {
    const within = afterLastBlank(bytes)
    if (within > 0 || this.#before.length === 0) return within
    return Math.max(0, afterLastBlank(Buffer.concat([this.#before, bytes.subarray(0, TORN)])) - this.#before.length)
  }

  /** What was held back, at the end of the stream. */
  rest(): Uint8Array[] {
    const rest = this.#doubtful
    this.#doubtful = NOTHING
    return rest.length === 0 ? [] : [rest]
  }
}

/** Bytes of a blank line that may come before its last. */
const TORN = 3

/** Index after the last blank line; 0 where there is none. A stream has blank lines of one kind: the second is looked for after the first alone. */
function afterLastBlank(bytes: Buffer): number {
  const plain = bytes.lastIndexOf('\n\n')
  const from = plain < 0 ? 0 : plain + 2
  const returned = bytes.subarray(from).lastIndexOf('\r\n\r\n')
  return returned < 0 ? from : from + returned + 4
}

/** Index after the first blank line; the end where there is none. */
function afterFirstBlank(bytes: Buffer): number {
  const ends = ['\n\n', '\r\n\r\n'].map((blank) => [bytes.indexOf(blank), blank.length] as const).filter(([at]) => at >= 0)
  return Math.min(bytes.length, ...ends.map(([at, length]) => at + length))
}

/** As compact JSON has it, and as Python's writes it. */
const [SOME, NONE] = [
  ['"choices":[{', '"choices": [{'],
  ['"choices":[]', '"choices": []'],
] as const

function isOther(begun: Buffer): boolean {
  return begun.length > LONGEST_USAGE || SOME.some((mark) => begun.includes(mark))
}

function withoutUsage(events: Buffer): Buffer {
  const from = events.length <= LONGEST_USAGE ? 0 : afterLastBlank(events.subarray(0, -LONGEST_USAGE))
  const last = events.subarray(from)
  if (!NONE.some((mark) => last.includes(mark))) return events
  // What a torn blank line begins with is no part of the event after it.
  const kept = last.toString().split(/(?<=\n\r?\n|^[\r\n]+)/)
  return Buffer.concat([events.subarray(0, from), Buffer.from(kept.filter((event) => !isUsage(event)).join(''))])
}

function isUsage(event: string): boolean {
  const data = parseJson(event.replace(/^data:/, ''))
  return isJson(data) && isJson(data['usage']) && Array.isArray(data['choices']) && listOf(data['choices']).length === 0
}

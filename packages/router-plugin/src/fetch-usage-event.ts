import { isJson, listOf, parseJson } from './wire/json.ts'

const NOTHING = Buffer.alloc(0)

/** No first part of an event that may turn out to be the usage is longer. */
const LONGEST_DOUBT = 4096

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

  /** @returns what passes: the very chunk where nothing is taken out of it. Undefined where nothing passes yet. */
  take(chunk: Uint8Array): Uint8Array | undefined {
    const came = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const wasDoubtful = this.#doubtful.length > 0
    const bytes = wasDoubtful ? Buffer.concat([this.#doubtful, came]) : came
    const begins = this.#lastBeginning(bytes)
    const last = bytes.subarray(begins)
    this.#passes = last.length > 0 && ((begins === 0 && this.#passes) || isOther(last))
    const isDoubtful = last.length > 0 && !this.#passes
    const ready = isDoubtful ? bytes.subarray(0, begins) : bytes
    this.#doubtful = isDoubtful ? Buffer.from(last) : NOTHING
    this.#before = this.#passes ? Buffer.concat([this.#before, ready.subarray(-TORN)]).subarray(-TORN) : NOTHING
    const kept = withoutUsage(ready)
    if (kept.length === 0) return undefined
    return kept === ready && !wasDoubtful && !isDoubtful ? chunk : kept
  }

  /** Where the last event begins: after the last blank line, which may have begun in what has passed. */
  #lastBeginning(bytes: Buffer): number {
    const within = Math.max(...BLANK_LINES.map((blank) => afterLast(bytes, blank)))
    if (within > 0 || this.#before.length === 0) return within
    const torn = Buffer.concat([this.#before, bytes.subarray(0, TORN)])
    return Math.max(0, ...BLANK_LINES.map((blank) => afterLast(torn, blank) - this.#before.length))
  }

  /** What was held back, at the end of the stream. */
  rest(): Uint8Array | undefined {
    const rest = this.#doubtful
    this.#doubtful = NOTHING
    return rest.length === 0 ? undefined : rest
  }
}

const BLANK_LINES = ['\n\n', '\r\n\r\n'] as const
/** Bytes of a blank line that may come before its last. */
const TORN = 3

/** Index after the last blank line; 0 where there is none. */
function afterLast(bytes: Buffer, blank: string): number {
  const at = bytes.lastIndexOf(blank)
  return at < 0 ? 0 : at + blank.length
}

/** As compact JSON has it, and as Python's writes it. */
const [SOME, NONE] = [
  ['"choices":[{', '"choices": [{'],
  ['"choices":[]', '"choices": []'],
] as const

function isOther(begun: Buffer): boolean {
  return begun.length > LONGEST_DOUBT || SOME.some((mark) => begun.includes(mark))
}

function withoutUsage(events: Buffer): Buffer {
  if (!NONE.some((mark) => events.includes(mark))) return events
  const kept = events.toString().split(/(?<=\n\r?\n)/)
  return Buffer.from(kept.filter((event) => !isUsage(event)).join(''))
}

function isUsage(event: string): boolean {
  const data = parseJson(event.replace(/^data:/, ''))
  return isJson(data) && isJson(data['usage']) && Array.isArray(data['choices']) && listOf(data['choices']).length === 0
}

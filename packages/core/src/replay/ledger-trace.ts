import { MancipleError } from '../errors.ts'
import type { JournalRecord } from '../ledger/journal-fields.ts'
import { JournalSurvey } from '../ledger/journal-survey.ts'
import type { Hold, LedgerEntry, Observation } from '../ledger/record.ts'
import type { OnProgress } from '../ledger/verify.ts'
import type { TraceSource } from './read-trace.ts'
import type { TraceCall, TraceEvent, TraceReading } from './trace-call.ts'

/** A reserved call, until it is known what became of it. */
interface Asked {
  readonly hold: Hold
  /** Undefined while it is under way, null where the attempt was given back. */
  call: TraceCall | null | undefined
}

/** A reading of a quota: it has its place among the calls. */
interface Noted {
  readonly call: TraceReading
}

/** What is in a ledger and is no call to be replayed. */
export const LEFT_OUT = {
  refused: 'calls that were refused',
  imported: 'calls that were imported',
  adjusted: 'corrections of spend',
} as const

/**
 * The calls of a ledger in the order in which they were asked for, as they ended. A call that a crash left open counts as long as its hold allowed.
 * Readings of quotas stand where they were noted.
 * Refusals are left out, since a ledger does not keep their sizes, and so are imports: the files that they came from can be replayed.
 */
export function readLedgerTrace(folder: string, onProgress: OnProgress): TraceSource {
  const leftOut = new Map<string, number>()
  return { events: eventsOf(folder, leftOut, onProgress), leftOut, notes: [] }
}

async function* eventsOf(folder: string, leftOut: Map<string, number>, onProgress: OnProgress): AsyncGenerator<readonly TraceEvent[], void, undefined> {
  const queue = new AskedQueue(leftOut)
  const survey = new JournalSurvey(folder, ({ record }) => {
    if (survey.damages.length === 0) queue.take(record)
  })
  const totalBytes = await survey.totalBytes()
  for await (const _ of survey.read()) {
    onProgress({ doneBytes: survey.readBytes, totalBytes })
    yield queue.ended()
  }
  const damage = survey.damages.find(({ torn }) => !torn)
  if (damage !== undefined) throw new MancipleError('LEDGER_DAMAGED', `${damage.file}: the line of seq ${damage.seq} ${damage.reason}`, { folder })
  queue.giveUp()
  yield queue.ended()
  if (queue.count === 0) throw new MancipleError('TRACE_INVALID', `${folder} holds no call`, { path: folder })
}

/** Calls leave in the order in which they were reserved: what is kept are those that wait for an earlier one to end. */
class AskedQueue {
  /** Calls handed out. */
  count = 0
  readonly #leftOut: Map<string, number>
  readonly #open = new Map<string, Asked>()
  #queue: (Asked | Noted)[] = []
  /** The latest time that a line has told of. */
  #nowMs = 0

  constructor(leftOut: Map<string, number>) {
    this.#leftOut = leftOut
  }

  take(record: JournalRecord): void {
    switch (record.type) {
      case 'open':
        return this.giveUp()
      case 'reserve': {
        const asked = { hold: record.hold, call: undefined }
        this.#sees(record.hold.atMs)
        this.#open.set(record.hold.id, asked)
        return void this.#queue.push(asked)
      }
      case 'settle':
        this.#sees(Date.parse(record.entry.timestamp) + record.entry.duration_ms)
        return this.#end(record.entry.id, ({ hold }) => callOfEntry(hold, record.entry))
      case 'release':
        return this.#end(record.id, () => null)
      case 'refuse':
        this.#sees(record.order.atMs)
        return this.#leaveOut(LEFT_OUT.refused)
      case 'import':
        return this.#leaveOut(LEFT_OUT.imported)
      case 'adjust':
        return 'adjustment' in record ? this.#leaveOut(LEFT_OUT.adjusted) : undefined
      case 'observe':
        return void this.#queue.push({ call: this.#readingOf(record.observation) })
      default:
        return undefined
    }
  }

  /** Whoever was to settle what is open has died. */
  giveUp(): void {
    for (const { hold } of this.#open.values()) this.#end(hold.id, (asked) => callOfHold(asked.hold))
  }

  /** Those that nothing earlier keeps back, once each. */
  ended(): readonly TraceEvent[] {
    const open = this.#queue.findIndex(({ call }) => call === undefined)
    const ended = open === -1 ? this.#queue : this.#queue.slice(0, open)
    this.#queue = open === -1 ? [] : this.#queue.slice(open)
    const events = ended.flatMap(({ call }) => call ?? [])
    this.count += ended.reduce((count, one) => count + ('hold' in one && one.call !== null ? 1 : 0), 0)
    return events
  }

  /** A reading tells when it was so, and may have been noted later. */
  #readingOf({ backend, limit, used, at, source }: Observation): TraceReading {
    const readMs = Date.parse(at)
    return { notedMs: Math.max(readMs, this.#nowMs), readMs, backend, quota: limit, used, source }
  }

  #sees(ms: number): void {
    this.#nowMs = Math.max(this.#nowMs, ms)
  }

  #end(id: string, callOf: (asked: Asked) => TraceCall | null): void {
    const asked = this.#open.get(id)
    if (asked === undefined) return
    asked.call = callOf(asked)
    this.#open.delete(id)
  }

  #leaveOut(what: string): void {
    this.#leftOut.set(what, (this.#leftOut.get(what) ?? 0) + 1)
  }
}

function callOfEntry(hold: Hold, entry: LedgerEntry): TraceCall {
  return {
    ...askedFor(hold),
    durationMs: entry.duration_ms,
    inputTokens: entry.prompt_tokens,
    outputTokens: entry.completion_tokens,
    cacheReadTokens: entry.cache_read_tokens,
    cacheWriteTokens: entry.cache_write_tokens,
    reasoningTokens: entry.reasoning_tokens,
    maxOutputTokens: Math.max(1, hold.maxOutputTokens, entry.completion_tokens),
  }
}

function callOfHold(hold: Hold): TraceCall {
  const outputTokens = hold.estimate.tokens - hold.inputTokens
  return {
    ...askedFor(hold),
    durationMs: 0,
    inputTokens: hold.inputTokens,
    outputTokens,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
    maxOutputTokens: Math.max(1, outputTokens),
  }
}

/** A ledger keeps the backend that was asked for, and the model of the one that served. */
function askedFor({
  id,
  atMs,
  backend,
  model,
  taskId,
  taskType,
  requestedBackend,
}: Hold): Pick<TraceCall, 'id' | 'atMs' | 'backend' | 'model' | 'taskId' | 'taskType'> {
  return {
    id,
    atMs,
    backend: requestedBackend ?? undefined,
    model: requestedBackend === backend ? model : undefined,
    taskId: taskId ?? undefined,
    taskType: taskType ?? undefined,
  }
}

import { setImmediate as nextTurn } from 'node:timers/promises'
import { manualClock, openManciple, type Dispatch, type QuotaReading, type TraceCall } from '@manciple/core'

/** What a live router made of the calls. */
export interface LiveRun {
  /** By id: the backend, or null, and USD. */
  readonly calls: ReadonlyMap<string, readonly [backend: string | null, costUsd: number]>
  readonly notices: readonly { readonly time: string; readonly kind: string; readonly scope: string }[]
  readonly spentNano: number
}

export interface LiveOptions {
  /** Folder of the ledger; in memory unless given. */
  readonly ledger?: string
  /** What a provider says of a quota, in order of time. */
  readonly readings?: readonly LiveReading[]
}

export interface LiveReading {
  readonly notedMs: number
  readonly backend: string
  readonly reading: QuotaReading
}

const QUARTER_MS = 900_000
const DAY_MS = 86_400_000

interface Ending {
  readonly endMs: number
  readonly call: TraceCall
  readonly dispatch: Dispatch
}

/** The same calls through `openManciple`, `decide` and `settle`, as a host would: it waits for each, and what is done beside the calls is done before the next. */
export async function runLive(policy: string, calls: readonly TraceCall[], { ledger = 'memory', readings = [] }: LiveOptions = {}): Promise<LiveRun> {
  // A replay takes the first day as watched from its start: else its windows would be judged by a part.
  const startMs = Math.floor((calls[0]?.atMs ?? 0) / DAY_MS) * DAY_MS
  const clock = manualClock(startMs)
  const manciple = await openManciple({ config: { text: policy }, ledger, clock })
  const outcomes = new Map<string, readonly [string | null, number]>()
  const notices: { time: string; kind: string; scope: string }[] = []
  manciple.on('notice', ({ time, kind, scope }) => notices.push({ time, kind, scope }))
  let spentNano = 0
  const underWay: Ending[] = []
  /** More turns than it takes steps to work prices out. */
  const settleDown = async (): Promise<void> => {
    for (let turn = 0; turn < 300; turn += 1) await nextTurn()
  }
  /** No further than a quarter-hour at a time: a live router works prices out while time passes. */
  const moveTo = async (ms: number): Promise<void> => {
    for (let nowMs = clock.wallMs(); nowMs < ms; nowMs = clock.wallMs()) {
      const strike = (Math.floor(nowMs / QUARTER_MS) + 1) * QUARTER_MS
      clock.advance(Math.min(ms, strike) - nowMs)
      if (strike <= ms) await settleDown()
    }
  }
  const settleUntil = async (ms: number): Promise<void> => {
    for (let [next] = underWay; next !== undefined && next.endMs <= ms; [next] = underWay) {
      underWay.shift()
      await moveTo(next.endMs)
      const { call, dispatch } = next
      const outputTokens = Math.min(call.outputTokens, dispatch.decision.maxOutputTokens)
      const { cost_usd: costUsd } = await dispatch.settle({ usage: { inputTokens: call.inputTokens, outputTokens }, durationMs: call.durationMs })
      spentNano += Math.round(costUsd * 1e9)
      outcomes.set(call.id, [dispatch.decision.backend ?? null, costUsd])
      await settleDown()
    }
  }
  await settleDown()
  const unread = [...readings]
  for (const call of calls) {
    for (let [next] = unread; next !== undefined && next.notedMs <= call.atMs; [next] = unread) {
      unread.shift()
      await settleUntil(next.notedMs)
      await moveTo(next.notedMs)
      await manciple.observe(next.backend, next.reading)
      await settleDown()
    }
    await settleUntil(call.atMs)
    await moveTo(call.atMs)
    const dispatch = await manciple.decide({
      inputTokens: call.inputTokens,
      ...(call.maxOutputTokens === undefined ? {} : { maxOutputTokens: call.maxOutputTokens }),
      ...(call.backend === undefined ? {} : { backend: call.backend }),
      ...(call.model === undefined ? {} : { model: call.model }),
      ...(call.taskType === undefined ? {} : { taskType: call.taskType }),
    })
    if (dispatch.decision.verdict === 'refuse') outcomes.set(call.id, [null, 0])
    else {
      underWay.push({ endMs: call.atMs + call.durationMs, call, dispatch })
      underWay.sort((left, right) => left.endMs - right.endMs)
    }
    await settleDown()
  }
  await settleUntil(Number.POSITIVE_INFINITY)
  await manciple.close()
  await settleDown()
  return { calls: outcomes, notices, spentNano }
}

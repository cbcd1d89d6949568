import { loadPolicy, loadPolicyText } from '../config/watch.ts'
import { MancipleError } from '../errors.ts'
import type { OnProgress } from '../ledger/verify.ts'
import type { Policy } from '../policy/policy.ts'
import { preparePolicy, type PreparedPolicy } from '../policy/prepare.ts'
import { quarterOf } from '../windows.ts'
import { compareReports, type ReplayComparison } from './comparison.ts'
import { PolicyReplay, type ExplainCall, type ReplayedCall } from './policy-replay.ts'
import { readTrace, type TraceSource } from './read-trace.ts'
import type { ReplayReport } from './report.ts'
import { isCall, type Outage, type TraceCall, type TraceEvent } from './trace-call.ts'

/** A policy: the path of its file, or its text. */
export type ReplayConfig = string | { readonly text: string }

interface ReplayInput {
  /**
   * Path of a trace: JSON lines of `{t, id, task_type, prompt_tokens, completion_tokens, max_output_tokens, duration_ms}`, a ledger's folder, the CSV of Azure's public traces,
   * or what `importSpend` reads; or the calls themselves, in order of time.
   */
  readonly trace: string | readonly TraceCall[]
  /** Path of a trace from before: the demand that the forecast knows of when the replay begins. It is not routed and spends nothing. */
  readonly history?: string | readonly TraceCall[]
  /** Times during which a backend fails every call: each is given back and decided again without it. */
  readonly outages?: readonly Outage[]
  readonly onProgress?: OnProgress
}

export interface ReplayOptions extends ReplayInput {
  readonly config: ReplayConfig
  /** Hears of each call when it ends, or is refused. */
  readonly onCall?: (call: ReplayedCall) => void
  /** A call to be explained: its id, and who hears why it went where it did. */
  readonly explain?: ExplainCall
}

export interface CompareOptions extends ReplayInput {
  /** The policy that is, and the one that might be. */
  readonly configs: readonly [ReplayConfig, ReplayConfig]
  /** Hears of each call under the first policy. */
  readonly onCall?: (call: ReplayedCall) => void
}

/**
 * What a policy would have made of the calls of a trace: the code that rules live dispatches, on a simulated clock and a ledger in memory. Calls overlap as their durations say.
 * Takes memory for the calls under way, not for the length of the trace. The same input gives the same report, byte for byte.
 *
 * @throws MancipleError `TRACE_INVALID` with every mistake of the trace, `CONFIG_MISSING`, `CONFIG_UNREADABLE`, `CONFIG_INVALID`, `BACKEND_UNKNOWN` for an outage, `LEDGER_DAMAGED`.
 * @example
 * const report = await replayTrace({ trace: 'april.jsonl', config: 'configs/budgets.yaml' })
 * console.log(report.utilization.total, report.overshoot_usd)
 */
export async function replayTrace({ config, onCall, explain, ...input }: ReplayOptions): Promise<ReplayReport> {
  const [report] = await replayAll([config], input, { onCall, explain })
  if (report === undefined) throw new MancipleError('TRACE_INVALID', 'the trace holds no call')
  return report
}

/** Two policies over the same calls, read once. @throws MancipleError as {@link replayTrace}. */
export async function comparePolicies({ configs, onCall, ...input }: CompareOptions): Promise<ReplayComparison> {
  const [before, after] = await replayAll(configs, input, { onCall })
  if (before === undefined || after === undefined) throw new MancipleError('TRACE_INVALID', 'the trace holds no call')
  return compareReports(before, after)
}

/** Who hears of the calls of the first policy. */
interface Ears {
  readonly onCall?: ((call: ReplayedCall) => void) | undefined
  readonly explain?: ExplainCall | undefined
}

async function replayAll(
  configs: readonly ReplayConfig[],
  { trace, history, outages = [], onProgress = () => {} }: ReplayInput,
  ears: Ears,
): Promise<readonly ReplayReport[]> {
  const prepared = await Promise.all(configs.map(async (config) => preparePolicy(policyOf(config))))
  for (const { policy } of prepared) for (const { backend } of outages) assertBackend(policy, backend)
  const zone = prepared[0]?.policy.timezone ?? 'UTC'
  const past = history === undefined ? new Map() : await demandOf(await readingOf(history, zone, () => {}))
  const reading = await readingOf(trace, zone, onProgress)
  const replays: PolicyReplay[] = []
  // Readings from before the first call, with which the replay begins.
  let early: readonly TraceEvent[] = []
  for await (const read of reading.events) {
    const events = early.length === 0 ? read : [...early, ...read]
    const first = replays.length === 0 ? events.find(isCall) : undefined
    early = replays.length === 0 && first === undefined ? events : []
    if (first !== undefined) for (const [index, one] of prepared.entries()) replays.push(await openReplay(one, index === 0 ? ears : {}, outages, past, first))
    for (const replay of replays) {
      for (const event of events) {
        if (isCall(event)) replay.take(event)
        else replay.noteReading(event)
      }
      await replay.turn()
    }
  }
  const reports = []
  for (const replay of replays) reports.push(await replay.finish(reading))
  return reports
}

function openReplay(
  prepared: PreparedPolicy,
  { onCall, explain }: Ears,
  outages: readonly Outage[],
  past: ReadonlyMap<number, number>,
  first: TraceCall,
): Promise<PolicyReplay> {
  return PolicyReplay.open({ prepared, outages, past, onCall, explain }, first.atMs)
}

function policyOf(config: ReplayConfig): Policy {
  return (typeof config === 'string' ? loadPolicy(config) : loadPolicyText(config.text, 'policy')).policy
}

function assertBackend({ backends }: Policy, name: string): void {
  if (backends.some((backend) => backend.name === name)) return
  throw new MancipleError('BACKEND_UNKNOWN', `outage of ${JSON.stringify(name)}: the policy has ${backends.map((backend) => backend.name).join(', ')}`)
}

async function readingOf(trace: string | readonly TraceCall[], zone: string, onProgress: OnProgress): Promise<TraceSource> {
  return typeof trace === 'string' ? readTrace(trace, zone, onProgress) : { events: given(trace), leftOut: new Map(), notes: [] }
}

async function* given(calls: readonly TraceCall[]): AsyncGenerator<readonly TraceCall[], void, undefined> {
  yield calls
}

/** How many calls each quarter-hour had: all that a forecast learns from them. */
async function demandOf({ events }: TraceSource): Promise<ReadonlyMap<number, number>> {
  const demand = new Map<number, number>()
  for await (const some of events) {
    for (const { atMs } of some.filter(isCall)) demand.set(quarterOf(atMs), (demand.get(quarterOf(atMs)) ?? 0) + 1)
  }
  return demand
}

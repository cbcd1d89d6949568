import { systemClock, type Clock } from './clock.ts'
import { loadPolicy, loadPolicyText, watchPolicy } from './config/watch.ts'
import type { DecideRequest } from './decision.ts'
import type { Dispatch } from './dispatch.ts'
import { EmbeddedManciple } from './embedded-manciple.ts'
import type { Explanation } from './explain.ts'
import type { HistoryQuery, HistoryRow } from './ledger/history.ts'
import { openHistory } from './ledger/history-thread.ts'
import { openJsonLedger } from './ledger/json-ledger.ts'
import { openMemoryLedger } from './ledger/memory-ledger.ts'
import type { Notice } from './notices/notice.ts'
import { preparePolicy } from './policy/prepare.ts'
import type { QuotaReading } from './reading.ts'
import type { BudgetReport, CostsReport } from './report.ts'

/** The policy engine inside a router. Open one with `openManciple`. */
export interface Manciple {
  /**
   * Decides and reserves in one synchronous step; resolves when the hold is on disk. A refusal is a decision, not an error.
   * @throws MancipleError `REQUEST_INVALID`, `BACKEND_UNKNOWN`, `CLOSED`.
   */
  decide(request: DecideRequest): Promise<Dispatch>
  /** What would be decided now, and why; nothing is reserved. @throws MancipleError as `decide`, and `RULES_DISAGREE`. */
  explain(request: DecideRequest): Promise<Explanation>
  /**
   * A provider's own reading of a quota. What it counts above the ledger was used beside the router: from then until the window ends, that counts as used too,
   * in the room of the limit, in utilization and in pacing. Kept in the ledger.
   * @throws MancipleError `BACKEND_UNKNOWN`, `REQUEST_INVALID`, `CLOSED`, `LEDGER_FAULT`.
   * @example await manciple.observe('claude', { used: 0.62, source: 'anthropic usage page' })
   */
  observe(backend: string, reading: QuotaReading): Promise<void>
  costs(): CostsReport
  budget(): BudgetReport
  /**
   * Spend over any span, by any keys; days and hours are those of the policy's zone. From SQLite, in a thread of its own: holds up no dispatch.
   * A ledger in memory answers from its totals: whole quarter-hours, as far back as its limits reach, without `task_id` and `status`.
   * @throws MancipleError `QUERY_INVALID`, `CLOSED`.
   */
  history(query: HistoryQuery): Promise<readonly HistoryRow[]>
  /** @returns a function that takes the listener away again. A listener that throws touches neither the others nor a dispatch. */
  on(event: 'notice', listener: (notice: Notice) => void): () => void
  /** Bills what is still open by its hold, writes everything, frees the ledger. */
  close(): Promise<void>
  /** The same in one blocking step, for a process that is about to exit. */
  closeSync(): void
}

export interface MancipleOptions {
  /** Path of the policy file, which is watched from then on; or `{ text }` with its content. */
  readonly config: string | { readonly text: string }
  /** Folder of the ledger, made where it is missing; or `memory` for tests and replays. */
  readonly ledger: string
  /** The system's, unless given. */
  readonly clock?: Clock
  /** Hears of errors that must not touch a dispatch: a listener that threw, a rule that failed, a checkpoint that could not be written. Writes to stderr unless given. */
  readonly onError?: (error: unknown) => void
}

/**
 * Opens the ledger, puts the policy in force, and starts to watch its file.
 * @throws MancipleError `CONFIG_MISSING`, `CONFIG_UNREADABLE`, `CONFIG_INVALID`, `LEDGER_LOCKED`, `LEDGER_UNWRITABLE`.
 * @example
 * const manciple = await openManciple({ config: 'configs/budgets.yaml', ledger: 'data/ledger' })
 * const dispatch = await manciple.decide({ backend: 'claude', taskType: 'chat', inputTokens: 1500, maxOutputTokens: 800 })
 * // … call dispatch.decision.backend with at most dispatch.decision.maxOutputTokens …
 * await dispatch.settle({ inputTokens: 1500, outputTokens: 640 })
 */
export async function openManciple(options: MancipleOptions): Promise<Manciple> {
  const { config, clock = systemClock(), onError = (error) => console.error('manciple:', error) } = options
  const { policy } = typeof config === 'string' ? loadPolicy(config) : loadPolicyText(config.text, 'policy')
  const prepared = await preparePolicy(policy)
  const inMemory = options.ledger === 'memory'
  const ledger = inMemory ? openMemoryLedger() : await openJsonLedger({ folder: options.ledger, nowMs: clock.wallMs(), onWarning: onError })
  const history = inMemory ? undefined : openHistory(options.ledger, onError)
  try {
    return await start(new EmbeddedManciple({ ledger, history, prepared, clock, onError }), options, onError)
  } catch (error) {
    await history?.close()
    await ledger.close()
    throw error
  }
}

async function start(manciple: EmbeddedManciple, { config }: MancipleOptions, onError: (error: unknown) => void): Promise<Manciple> {
  await manciple.start()
  if (typeof config !== 'string') return manciple
  const watcher = watchPolicy(config, {
    current: () => manciple.policy,
    onPolicy: ({ policy }) =>
      void preparePolicy(policy)
        .then((prepared) => manciple.replacePolicy(prepared))
        .catch(onError),
    onRejected: (reason) => manciple.policyRejected(reason),
  })
  manciple.onClose(() => watcher.close())
  return manciple
}

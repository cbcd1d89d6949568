import { loadPolicyText } from './config/watch.ts'
import { MancipleError } from './errors.ts'
import { isoInstant } from './instant.ts'
import { checkHistoryQuery, type HistoryQuery } from './ledger/history.ts'
import { readHistory, type HistoryReading } from './ledger/history-follower.ts'
import type { LedgerFault } from './ledger/ledger.ts'
import { readLedger } from './ledger/reader.ts'
import type { Notice } from './notices/notice.ts'
import { outlooksOfMemory } from './pacer.ts'
import type { Policy } from './policy/policy.ts'
import { budgetReport, costsReport, type BudgetReport, type CostsReport, type ReportView } from './report.ts'
import { Calendar } from './windows.ts'

/** What a ledger folder says to a reader outside the router, as of one moment. Take another view to see what came later. */
export interface OutsideView {
  /** The time that the reports speak of, ISO 8601 UTC. */
  readonly asOf: string
  /** Time of the latest record, ISO 8601 UTC. */
  readonly lastRecord: string
  /** The policy that the ledger was last metered by; its file is not read. */
  readonly policy: Policy
  /** Why the ledger takes no cloud calls; undefined while all is well. */
  readonly fault: LedgerFault | undefined
  /** What followers of notices know the ledger by: within one stream their numbers are gap-free. Another one after `manciple ledger repair`. */
  readonly stream: string
  /** The latest notices, oldest first. */
  readonly notices: readonly Notice[]
  costs(): CostsReport
  budget(): BudgetReport
  /** Spend over any span, as of now: of all that SQLite and the journal have. @throws MancipleError `QUERY_INVALID`. */
  history(query: HistoryQuery): Promise<HistoryReading>
}

export interface OutsideViewOptions {
  /**
   * What the reports take for now. `latest`: the time of the last record, for a ledger whose router runs on a clock of its own (a replay, a demonstration).
   * The system's time unless given. Books cannot be turned back, so a time before the last record counts as that.
   */
  readonly at?: Date | 'latest'
  /** What to meter by, in place of the policy that was last in force: so a file can be tried on what has been spent. */
  readonly policy?: Policy
}

/**
 * Reads a ledger folder beside a running router, or after it: takes no lock, writes nothing.
 * @throws MancipleError `LEDGER_MISSING` where there is no ledger, or one that no router has put a policy in force on yet;
 * `LEDGER_DAMAGED`; `CONFIG_INVALID` where its policy was written for another version of Manciple.
 * @example
 * const view = await openOutsideView('data/ledger')
 * console.log(view.budget().limits)
 */
export async function openOutsideView(ledgerFolder: string, { at = new Date(), policy: given }: OutsideViewOptions = {}): Promise<OutsideView> {
  const { books, policyText, fault } = await readLedger(ledgerFolder)
  if (policyText === undefined) {
    throw fault === undefined
      ? new MancipleError('LEDGER_MISSING', `${ledgerFolder} holds no ledger with a policy in force`)
      : new MancipleError(fault.code, fault.reason)
  }
  const policy = given ?? loadPolicyText(policyText, `the policy kept in ${ledgerFolder}`).policy
  const { version, text, timezone, limits } = policy
  const nowMs = Math.max(books.lastMs, at === 'latest' ? 0 : at.getTime())
  books.usePolicy({ version, text, timezone, limits }, nowMs)
  const notices = books.notices.latest
  const view: ReportView = {
    policy,
    calendar: new Calendar(timezone),
    meters: books.meters,
    spend: (startMs, endMs) => books.spend(startMs, endMs),
    notices,
    outlooks: () => outlooksOfMemory(policy, books.pacing, books.meters, nowMs),
    nowMs,
  }
  return {
    asOf: isoInstant(nowMs),
    lastRecord: isoInstant(books.lastMs),
    policy,
    fault,
    stream: books.stream,
    notices,
    costs: () => costsReport(view),
    budget: () => budgetReport(view),
    history: async (query) => {
      checkHistoryQuery(query)
      return readHistory(ledgerFolder, query, timezone)
    },
  }
}

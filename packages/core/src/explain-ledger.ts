import { resolve } from 'node:path'
import { manualClock } from './clock.ts'
import { loadPolicyText } from './config/watch.ts'
import type { CandidateRecord, DecideRequest } from './decision.ts'
import { EmbeddedManciple } from './embedded-manciple.ts'
import { MancipleError } from './errors.ts'
import { explainJudged, type Explanation } from './explain.ts'
import { isoInstant } from './instant.ts'
import { Books } from './ledger/books.ts'
import { scanJournal, START } from './ledger/journal-scan.ts'
import { openMemoryLedger } from './ledger/memory-ledger.ts'
import { readLedger } from './ledger/reader.ts'
import type { Hold, LedgerEntry, LedgerRecord } from './ledger/record.ts'
import { assertFolder } from './ledger/verify.ts'
import { RANK, type Assessment } from './policy/decide.ts'
import type { Policy } from './policy/policy.ts'
import { preparePolicy } from './policy/prepare.ts'
import { checkRequest, type CheckedRequest } from './request.ts'
import type { Judge } from './what-if.ts'

/** What would be decided on the totals of a ledger, and why. */
export interface OutsideExplanation {
  /** The time that it speaks of, ISO 8601 UTC. */
  readonly at: string
  readonly policy: Policy
  readonly explanation: Explanation
}

export interface ExplainOptions {
  /**
   * What is taken for now. For a time before the ledger's last record the books are read as they stood then. `latest`: the time of the last record.
   * Unless given: the system's time, or that of the last record where it is later.
   */
  readonly at?: Date | 'latest'
  /** In place of the policy that was in force. */
  readonly policy?: Policy
}

/**
 * Explains what a call would get, on the totals of a ledger that a router may be writing. Takes no lock, reserves and writes nothing.
 * @param folder of the ledger; undefined: with nothing spent, by `options.policy`.
 * @throws MancipleError `LEDGER_MISSING`, `REQUEST_INVALID` also for a time before the ledger begins, `BACKEND_UNKNOWN`, `CONFIG_INVALID` where its policy was written for another version of Manciple.
 */
export async function explainOutside(folder: string | undefined, request: DecideRequest, options: ExplainOptions = {}): Promise<OutsideExplanation> {
  const { at = 'latest' } = options
  if (folder === undefined && options.policy === undefined) throw new MancipleError('LEDGER_MISSING', 'Neither a ledger nor a policy was given')
  const books = folder === undefined ? new Books() : await booksAt(folder, at)
  if (folder !== undefined && at !== 'latest' && options.policy === undefined && books.policy === undefined) await assertBegun(folder, at)
  const policy = options.policy ?? policyOf(books, folder ?? '')
  const atMs = options.at === undefined ? Date.now() : at === 'latest' ? 0 : at.getTime()
  const nowMs = Math.max(books.lastMs, atMs)
  return { at: isoInstant(nowMs), policy, explanation: await explainOn(books, policy, request, nowMs) }
}

/** A call as the ledger has it, and the decision behind it. */
export interface PastExplanation {
  readonly hold: Hold
  /** What it was billed; undefined while it is under way, and for a call that was released. */
  readonly entry: LedgerEntry | undefined
  /** Why it was given back. */
  readonly released: string | undefined
  /** The decision, judged again by the policy and on the totals of its moment, with the scores that it had. */
  readonly explanation: Explanation
  readonly policy: Policy
  /** Whether that comes to the same backend and model by the same rules. The ledger does not keep a request's tags and thinking budget: where one of them decided, it need not. */
  readonly same: boolean
  /** The candidates as the ledger has them. */
  readonly recorded: readonly CandidateRecord[]
}

/**
 * Explains a past call: reads the journal from its beginning to that call, so that policy and totals are those of the moment. Takes no lock, writes nothing.
 * @param id of its entry, which is also that of its hold.
 * @throws MancipleError `LEDGER_MISSING`, `ENTRY_UNKNOWN`, `LEDGER_DAMAGED` where the journal before the call cannot be read.
 */
export async function explainEntry(folder: string, id: string): Promise<PastExplanation> {
  const path = resolve(folder)
  await assertFolder(path)
  const books = new Books()
  const found: { hold?: Hold; entry?: LedgerEntry; released?: string } = {}
  const scan = await scanJournal(path, START, undefined, (record) => {
    if (found.hold === undefined && record.type === 'reserve' && record.hold.id === id) found.hold = record.hold
    if (found.hold === undefined) books.apply(record)
    else if (record.type === 'settle' && record.entry.id === id) found.entry = record.entry
    else if (record.type === 'release' && record.id === id) found.released = record.reason
  })
  const { hold, entry, released } = found
  if (hold === undefined) {
    if (scan.ending.kind === 'damaged') throw new MancipleError('LEDGER_DAMAGED', scan.ending.reason)
    throw new MancipleError('ENTRY_UNKNOWN', `${path} has no decision with the id ${JSON.stringify(id)}`, { id })
  }
  const policy = policyOf(books, folder)
  const recorded = 'toJSON' in hold.candidates ? hold.candidates.toJSON() : hold.candidates
  const explanation = await judgeAgain(books, policy, hold, recorded)
  const isTaken = explanation.backend === hold.backend && explanation.model === hold.model
  const same = isTaken && explanation.candidates.every(({ candidate }) => isRecorded(candidate, recorded))
  return { hold, entry, released, explanation, policy, same, recorded }
}

/** Whether the same limits and rules speak of a candidate. */
function isRecorded(candidate: CandidateRecord, recorded: readonly CandidateRecord[]): boolean {
  const then = recorded.find(({ backend, model }) => backend === candidate.backend && model === candidate.model)
  const grounds = (one: CandidateRecord): string => JSON.stringify([one.limits ?? [], one.rules ?? []])
  return then !== undefined && grounds(then) === grounds(candidate)
}

/** What pacing took off or added then is in the recorded scores, and only there. */
async function judgeAgain(books: Books, policy: Policy, hold: Hold, recorded: readonly CandidateRecord[]): Promise<Explanation> {
  const { version, text, timezone, limits } = policy
  const nowMs = hold.atMs
  books.usePolicy({ version, text, timezone, limits }, nowMs)
  const prepared = await preparePolicy(policy)
  const { planner } = prepared
  const request = requestOf(hold, policy, recorded)
  const judgeBy: Judge = (given) => given.planner.plan(given.request, given.meters, nowMs, false, undefined)
  const judgeNow = (asked: CheckedRequest): readonly Assessment[] => judgeBy({ request: asked, planner, meters: books.meters })
  planner.rules.standing(nowMs, books.meters)
  // What found no room and would find some now could not be cut: it had a thinking budget.
  const isCut = judgeNow(request).some((now) => now.out !== 'no-room' && recordOf(now, recorded)?.out === 'no-room')
  const asked = isCut ? { ...request, minOutputTokens: hold.maxOutputTokens } : request
  const offsets = new Map(judgeNow(asked).map((now) => [keyOf(now.backend.name, now.model), (recordOf(now, recorded)?.score ?? now.score) - now.score]))
  const localJoined = hold.kind === 'local' && recorded.some(({ backend, out }) => out === 'outscored' && backend !== hold.backend)
  const asThen = (now: Assessment): Assessment => {
    const offset = offsets.get(keyOf(now.backend.name, now.model)) ?? 0
    return { ...now, score: now.score + offset, toll: -offset, rank: localJoined && now.rank === RANK.local ? RANK.whole : now.rank }
  }
  return explainJudged({ request: asked, meters: books.meters, nowMs, paced: new Map(), judge: (given) => judgeBy(given).map(asThen) }, prepared)
}

function recordOf({ backend, model }: Assessment, recorded: readonly CandidateRecord[]): CandidateRecord | undefined {
  return recorded.find((one) => one.backend === backend.name && one.model === model)
}

function keyOf(backend: string, model: string): string {
  return `${backend}\n${model}`
}

/** The books of a ledger as they stood at a time, or as they stand where that lies ahead. */
async function booksAt(folder: string, at: Date | 'latest'): Promise<Books> {
  const { books } = await readLedger(folder)
  if (at === 'latest' || at.getTime() >= books.lastMs) return books
  const past = new Books()
  const untilMs = at.getTime()
  let reached = false
  await scanJournal(resolve(folder), START, undefined, (record) => {
    reached ||= (timeOf(record) ?? 0) > untilMs
    if (!reached) past.apply(record)
  })
  return past
}

/** @throws MancipleError `REQUEST_INVALID` where no policy was in force yet: the ledger is there, and begins later. */
async function assertBegun(folder: string, at: Date): Promise<void> {
  let begin: string | undefined
  await scanJournal(resolve(folder), START, undefined, (record) => {
    if (record.type === 'policy') begin ??= record.time
  })
  if (begin === undefined || Date.parse(begin) <= at.getTime()) return
  throw new MancipleError('REQUEST_INVALID', `at: ${isoInstant(at.getTime())} is before the ledger begins, at ${begin}; ask about a time from then on`)
}

/** When a record was written. A settlement's is not kept: it stands where it stands. */
function timeOf(record: LedgerRecord): number | undefined {
  if (record.type === 'reserve') return record.hold.atMs
  if (record.type === 'refuse') return record.order.atMs
  return 'time' in record ? Date.parse(record.time) : undefined
}

function policyOf({ policy }: Books, folder: string): Policy {
  if (policy === undefined) throw new MancipleError('LEDGER_MISSING', `${folder} had no policy in force at that time`)
  return loadPolicyText(policy.text, `the policy kept in ${folder}`).policy
}

/** On a copy in memory: what explaining writes goes nowhere. */
async function explainOn(books: Books, policy: Policy, request: DecideRequest, nowMs: number): Promise<Explanation> {
  const ledger = openMemoryLedger({ session: 'explain', books })
  const prepared = await preparePolicy(policy)
  const manciple = new EmbeddedManciple({ ledger, history: undefined, prepared, clock: manualClock(nowMs), onError: () => undefined })
  await manciple.start()
  return manciple.explain(request)
}

/** The request, as far as its hold says. */
function requestOf(hold: Hold, policy: Policy, recorded: readonly CandidateRecord[]): CheckedRequest {
  const { requestedBackend, taskId, taskType, inputTokens, maxOutputTokens, estimate } = hold
  const known = new Set(policy.backends.map(({ name }) => name))
  const asked = requestedBackend !== null && known.has(requestedBackend) ? requestedBackend : undefined
  const first = recorded[0]
  return checkRequest({
    inputTokens,
    maxOutputTokens,
    n: Math.max(1, Math.round((estimate.tokens - inputTokens) / maxOutputTokens)),
    candidates: [...new Set(recorded.map(({ backend }) => backend))].filter((name) => known.has(name)),
    ...(asked === undefined ? {} : { backend: asked }),
    ...(asked !== undefined && first?.backend === asked ? { model: first.model } : {}),
    ...(taskId === null ? {} : { taskId }),
    ...(taskType === null ? {} : { taskType }),
  })
}

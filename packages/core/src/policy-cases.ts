import { manualClock } from './clock.ts'
import { readPolicyCases, type NamedPolicy, type ParsedCases, type PolicyCase } from './config/cases.ts'
import type { Parsed } from './config/parse.ts'
import type { DecideRequest } from './decision.ts'
import { EmbeddedManciple } from './embedded-manciple.ts'
import { MancipleError } from './errors.ts'
import { Books } from './ledger/books.ts'
import { parseTime } from './ledger/history-period.ts'
import { openMemoryLedger } from './ledger/memory-ledger.ts'
import type { Limit } from './limit.ts'
import { usdToNano } from './money.ts'
import { nearest } from './nearest.ts'
import { NOTICE_KINDS } from './notices/notice.ts'
import type { Origin, Policy } from './policy/policy.ts'
import { preparePolicy } from './policy/prepare.ts'

/** Where what came of a case is not what it expects. */
export interface CaseDifference {
  /** As `expect.verdict`. */
  readonly what: string
  readonly line: number
  readonly expected: string
  readonly found: string
}

export interface CaseResult {
  readonly name: string
  readonly line: number
  readonly ok: boolean
  readonly differences: readonly CaseDifference[]
  /** Why the decision was taken, in words. */
  readonly reasons: readonly string[]
}

const SPAN_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }
/** Time after which a review of the standing rules has been due; less than a minute, the grain of a case's time. */
const REVIEWED_MS = 30_000

/**
 * Reads a file of policy cases. Mistakes of form, and names that the policy does not have, are all found at once.
 * @param readPolicy gives the policy that the file names: that of a path, a text, or, for undefined, of the caller's choice.
 */
export function parsePolicyCases(source: string, readPolicy: (named: NamedPolicy) => Parsed): ParsedCases {
  return readPolicyCases(source, NOTICE_KINDS, readPolicy)
}

/** Plays one case in memory: the policy and the decision are the router's own, the totals those that the case states. Nothing is known of demand, so pacing moves no score: for that there is replay. */
export async function runPolicyCase(policy: Policy, one: PolicyCase): Promise<CaseResult> {
  const { name, origin } = one
  try {
    const { differences, reasons } = await play(policy, one)
    return { name, line: origin.line, ok: differences.length === 0, differences, reasons }
  } catch (error) {
    if (!(error instanceof MancipleError)) throw error
    const difference = { what: 'request', line: origin.line, expected: 'a case that can be played', found: error.message.split('\n')[0] ?? '' }
    return { name, line: origin.line, ok: false, differences: [difference], reasons: [] }
  }
}

async function play(policy: Policy, one: PolicyCase): Promise<Pick<CaseResult, 'differences' | 'reasons'>> {
  const nowMs = timeOf(one, policy)
  const books = new Books()
  books.apply({ type: 'open', ledger: 'case', session: 'case', time: new Date(0).toISOString(), format: 1 })
  const ledger = openMemoryLedger({ session: 'case', books })
  const clock = manualClock(nowMs)
  const raised: string[] = []
  const manciple = new EmbeddedManciple({ ledger, history: undefined, prepared: await preparePolicy(policy), clock, onError: rethrow })
  await manciple.start()
  for (const spent of one.spent ?? []) {
    const { ago = '0m', backend, model = '', task_type: taskType = null, usd = 0, tokens = 0, requests = 1 } = spent
    const kind = policy.backends.find((known) => known.name === backend)?.kind
    if (kind === undefined) throw new MancipleError('BACKEND_UNKNOWN', `spent: there is no backend ${JSON.stringify(backend)}`)
    const spentMs = nowMs - Number(ago.slice(0, -1)) * (SPAN_MS[ago.slice(-1)] ?? 0)
    const costNano = usdToNano(usd) ?? 0
    const order = { atMs: nowMs, spentMs, backend, kind, model, taskId: null, taskType, costNano, promptTokens: tokens, completionTokens: 0, requests }
    await ledger.adjust({ ...order, reason: 'spent before the case' }).durable
  }
  setTotals(books, one, nowMs)
  // Also looks at the standing rules, whose preferences decisions then count in.
  clock.advance(REVIEWED_MS)
  raised.push(...ledger.notices.map(({ kind }) => kind))
  const request = requestOf(one)
  const explanation = await manciple.explain(request)
  const { decision } = await manciple.decide(request)
  const matched = new Set(
    explanation.candidates.flatMap(({ candidate, rules }) => [
      ...rules.filter((rule) => rule.matched).map(({ rule }) => rule.name),
      ...(candidate.limits ?? []),
      ...(candidate.rules ?? []),
    ]),
  )
  return { differences: differencesOf(one, { decision, matched, raised }), reasons: [...unlisted(policy, request), ...decision.reasons] }
}

/** A request may name a model that no backend lists; where it fails, that may be the reason. */
function unlisted({ backends }: Policy, { model }: DecideRequest): readonly string[] {
  const models = backends.flatMap((backend) => backend.models)
  if (model === undefined || models.includes(model)) return []
  const meant = nearest(model, models)
  return [`no backend lists the model ${model}${meant === undefined ? '' : ` (did you mean ${meant}?)`}`]
}

function timeOf({ at, origin }: PolicyCase, { timezone }: Policy): number {
  const time = parseTime(at, timezone)
  if (time === undefined) throw new MancipleError('REQUEST_INVALID', `line ${origin.line}: there is no time ${at}`)
  return time.startMs
}

/** Brings each limit that is named to its total, beside what was spent. */
function setTotals(books: Books, { totals = {} }: PolicyCase, nowMs: number): void {
  for (const [name, total] of Object.entries(totals)) {
    const meter = books.meters.find(({ limit }) => limit.name === name)
    if (meter === undefined) {
      throw new MancipleError(
        'REQUEST_INVALID',
        `totals: there is no limit ${JSON.stringify(name)}; the policy has ${books.meters.map(({ limit }) => limit.name).join(', ')}`,
      )
    }
    meter.add(nowMs, 'settled', quantityIn(meter.limit, total) - meter.settled)
    // No record tells of it.
    books.revision += 1
  }
}

function quantityIn({ unit, name }: Limit, total: number): number {
  const quantity = unit === 'usd' ? usdToNano(total) : total
  if (quantity === undefined || !Number.isInteger(quantity)) throw new MancipleError('REQUEST_INVALID', `totals: ${total} is no amount of ${name}, in ${unit}`)
  return quantity
}

function requestOf({ request = {} }: PolicyCase): DecideRequest {
  const { task_id, task_type, input_tokens = 1000, max_output_tokens, min_output_tokens, ...same } = request
  const given = { ...same, taskId: task_id, taskType: task_type, maxOutputTokens: max_output_tokens, minOutputTokens: min_output_tokens }
  return { inputTokens: input_tokens, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) }
}

interface Played {
  readonly decision: { readonly verdict: string; readonly backend: string | undefined; readonly model: string | undefined; readonly maxOutputTokens: number }
  readonly matched: ReadonlySet<string>
  readonly raised: readonly string[]
}

function differencesOf({ expect, origin, origins }: PolicyCase, { decision, matched, raised }: Played): readonly CaseDifference[] {
  const differences: CaseDifference[] = []
  const differ = (key: string, expected: string, found: string): void => {
    const { line }: Origin = origins.get(`expect.${key}`) ?? origin
    differences.push({ what: `expect.${key}`, line, expected, found })
  }
  const same = (key: string, expected: unknown, found: unknown): void => {
    if (expected !== undefined && expected !== found) differ(key, String(expected), String(found ?? 'none'))
  }
  const has = (key: string, expected: readonly string[] | undefined, found: readonly string[]): void => {
    if (expected === undefined || (expected.length === 0 ? found.length === 0 : expected.every((name) => found.includes(name)))) return
    differ(key, expected.length === 0 ? 'none' : expected.join(', '), found.length === 0 ? 'none' : found.join(', '))
  }
  same('verdict', expect.verdict, decision.verdict)
  same('backend', expect.backend, decision.backend)
  same('model', expect.model, decision.model)
  same('max_output_tokens', expect.max_output_tokens, decision.maxOutputTokens)
  has('rules', expect.rules, [...matched])
  has('notices', expect.notices, [...new Set(raised)])
  return differences
}

function rethrow(error: unknown): never {
  throw error
}

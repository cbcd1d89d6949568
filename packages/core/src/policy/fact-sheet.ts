import { MancipleError } from '../errors.ts'
import type { MeterState, Quantities } from '../limit.ts'
import { NANO_PER_USD } from '../money.ts'
import { Calendar } from '../windows.ts'
import type { FactLayout, Slot } from './fact-layout.ts'
import type { FactValue } from './facts.ts'
import { accountOf, elapsedOf, overQuotas, paceOf, utilizationOf, type Account } from './measures.ts'
import type { Backend, Policy } from './policy.ts'
import { Totals } from './totals.ts'

/** What the request says. `null` becomes the empty string. */
export interface RequestFacts {
  readonly nowMs: number
  readonly taskType: string | null
  readonly taskId: string | null
  readonly tags: readonly string[]
  readonly inputTokens: number
}

/** What a candidate adds. */
export interface CandidateFacts {
  readonly backend: Backend
  readonly model: string
  readonly maxOutputTokens: number
  /** The most that the call can take. */
  readonly estimate: Quantities
}

/** Before the first candidate. */
const NOWHERE: Account = {
  backend: { name: '', kind: 'local', provider: undefined, models: [], quota: undefined, paidNano: undefined },
  quota: undefined,
  weight: 0,
  limits: [],
}

/** Slots to bring up to date together, by how: a loop over slots of one kind is several times as fast as deciding for each. */
export interface Reads {
  readonly used: Int32Array
  readonly spent: Int32Array
  readonly left: Int32Array
  readonly other: Int32Array
  /** Differences of slots that are among the above. */
  readonly pairs: Int32Array
}

/** Ways to read a slot. The commonest have a loop of their own, see {@link Reads}. */
const READ = {
  text: 0,
  /** Put there when the sheet is opened or turned; of a list never, since rules read it tag by tag. */
  kept: 1,
  hour: 2,
  weekday: 3,
  day_of_month: 4,
  'backend.used': 5,
  'backend.remaining': 6,
  'backend.utilization': 7,
  'backend.elapsed': 8,
  'backend.pace': 9,
  'total.utilization': 10,
  'total.elapsed': 11,
  'total.pace': 12,
  used: 13,
  spent: 14,
  left_usd: 15,
  tag: 16,
  textPair: 17,
  numberPair: 18,
} as const

const KEPT: ReadonlySet<string> = new Set(['input_tokens', 'max_output_tokens', 'estimate_usd', 'tags'])

type KeptFact = 'backend' | 'backend_kind' | 'model' | 'task_type' | 'task_id' | 'input_tokens' | 'max_output_tokens' | 'estimate_usd'

/** How a slot is read, and of what. */
export interface Source {
  readonly read: (typeof READ)[keyof typeof READ]
  /** Of a fact about a limit. */
  readonly limit: number
  /** Slots, of a pair. */
  readonly left: number
  readonly right: number
  readonly tag: string
}

/** How to read each slot of a layout. */
export function sourcesOf(layout: FactLayout): readonly Source[] {
  return layout.slots.map((slot) => sourceOf(slot, layout))
}

function sourceOf(slot: Slot, layout: FactLayout): Source {
  const none = { limit: -1, left: -1, right: -1, tag: '' }
  if (slot.kind === 'tag') return { ...none, read: READ.tag, tag: slot.tag }
  const { type } = slot.definition
  if (slot.kind === 'pair') {
    return { ...none, read: type === 'string' ? READ.textPair : READ.numberPair, left: layout.factSlot(slot.left), right: layout.factSlot(slot.right) }
  }
  const { limit } = slot.definition
  if (limit !== undefined) return { ...none, read: READ[limit.measure], limit: limit.index }
  if (type === 'string') return { ...none, read: READ.text }
  const read = KEPT.has(slot.name) ? READ.kept : Object.entries(READ).find(([name]) => name === slot.name)?.[1]
  if (read === undefined) throw new RangeError(`no way to read ${slot.name}`)
  return { ...none, read }
}

/** How to {@link FactSheet.fill | fill} these slots. */
export function readsOf(slots: readonly number[], sources: readonly Source[]): Reads {
  const source = (slot: number): Source => sources[slot]!
  const pairs = slots.filter((slot) => source(slot).read === READ.numberPair)
  const single = new Set([...slots.filter((slot) => !pairs.includes(slot)), ...pairs.flatMap((slot) => [source(slot).left, source(slot).right])])
  const groups = Object.groupBy(single, (slot) => GROUPS.get(source(slot).read) ?? 'other')
  const list = (group: 'used' | 'spent' | 'left' | 'other'): Int32Array => Int32Array.from(groups[group] ?? [])
  return { used: list('used'), spent: list('spent'), left: list('left'), other: list('other'), pairs: Int32Array.from(pairs) }
}

const GROUPS = new Map<Source['read'], 'used' | 'spent' | 'left' | 'kept'>([
  [READ.used, 'used'],
  [READ.spent, 'spent'],
  [READ.left_usd, 'left'],
  [READ.kept, 'kept'],
])

/** The facts of one request and of the candidate that is looked at now: each is read when a rule asks for it, into the same array again and again. */
export class FactSheet {
  /** By slot of the layout: what was {@link FactSheet.fill | read} there last. */
  readonly values: Float64Array
  readonly #layout: FactLayout
  readonly #sources: readonly Source[]
  /** By slot, of the facts that are texts. */
  readonly #texts: string[]
  readonly #slotOf: Readonly<Record<KeptFact, number>>
  readonly #calendar: Calendar
  readonly #totals: Totals
  readonly #accounts: readonly Account[]
  #nowMs = 0
  #tags: readonly string[] = []
  #meters: readonly MeterState[] = []
  #account = NOWHERE
  #covered: readonly boolean[] = []

  constructor(policy: Policy, layout: FactLayout) {
    this.values = new Float64Array(layout.slots.length)
    this.#layout = layout
    this.#sources = sourcesOf(layout)
    this.#texts = layout.slots.map(() => '')
    const slotOf = (name: KeptFact): number => layout.factSlot(name)
    this.#slotOf = {
      backend: slotOf('backend'),
      backend_kind: slotOf('backend_kind'),
      model: slotOf('model'),
      task_type: slotOf('task_type'),
      task_id: slotOf('task_id'),
      input_tokens: slotOf('input_tokens'),
      max_output_tokens: slotOf('max_output_tokens'),
      estimate_usd: slotOf('estimate_usd'),
    }
    this.#calendar = new Calendar(policy.timezone)
    this.#totals = new Totals(policy.limits)
    this.#accounts = policy.backends.map((backend) => accountOf(backend, policy))
  }

  /**
   * Begins a request.
   * @throws MancipleError `REQUEST_INVALID`, `LEDGER_DAMAGED` on a number that is not finite: comparing with it would fail open.
   */
  open(request: RequestFacts, meters: readonly MeterState[]): void {
    const { nowMs, inputTokens } = request
    if (!Number.isFinite(nowMs) || !Number.isFinite(inputTokens)) throw new MancipleError('REQUEST_INVALID', `time ${nowMs}, input tokens ${inputTokens}`)
    this.#totals.open(meters)
    this.#meters = meters
    this.#nowMs = nowMs
    this.values[this.#slotOf.input_tokens] = inputTokens
    this.#tags = request.tags
    this.#texts[this.#slotOf.task_type] = request.taskType ?? ''
    this.#texts[this.#slotOf.task_id] = request.taskId ?? ''
  }

  /** Turns to a backend, by its place in the policy, with no call in mind. */
  turnToBackend(index: number): void {
    const account = this.#accounts[index]!
    this.#account = account
    this.#texts[this.#slotOf.backend] = account.backend.name
    this.#texts[this.#slotOf.backend_kind] = account.backend.kind
  }

  /**
   * Turns to a candidate of the request.
   * @param index of its backend in the policy.
   * @param covered by the policy's limits, in their order.
   * @throws MancipleError `REQUEST_INVALID` on a number that is not finite.
   */
  turnTo(index: number, candidate: CandidateFacts, covered: readonly boolean[]): void {
    const { estimate, maxOutputTokens } = candidate
    if (!Number.isFinite(estimate.costNano + estimate.tokens + estimate.requests + maxOutputTokens)) {
      const { costNano, tokens, requests } = estimate
      throw new MancipleError(
        'REQUEST_INVALID',
        `an estimate of ${costNano} nano-USD, ${tokens} tokens, ${requests} requests, ${maxOutputTokens} output tokens`,
      )
    }
    this.turnToBackend(index)
    this.#texts[this.#slotOf.model] = candidate.model
    this.values[this.#slotOf.estimate_usd] = estimate.costNano / NANO_PER_USD
    this.#totals.ask(estimate)
    this.values[this.#slotOf.max_output_tokens] = maxOutputTokens
    this.#covered = covered
  }

  /** Brings slots up to date. @throws MancipleError `LEDGER_DAMAGED` on a number that is not finite. */
  fill({ used, spent, left, other, pairs }: Reads): void {
    const { values } = this
    for (let i = 0; i < used.length; i += 1) values[used[i]!] = this.#used(this.#sources[used[i]!]!.limit)
    for (let i = 0; i < spent.length; i += 1) values[spent[i]!] = this.#totals.spent(this.#sources[spent[i]!]!.limit)
    for (let i = 0; i < left.length; i += 1) values[left[i]!] = this.#totals.left(this.#sources[left[i]!]!.limit)
    for (let i = 0; i < other.length; i += 1) {
      this.#read(other[i]!)
      if (!Number.isFinite(values[other[i]!])) throw new MancipleError('LEDGER_DAMAGED', `a fact about quotas is ${values[other[i]!]}`)
    }
    for (let i = 0; i < pairs.length; i += 1) {
      const source = this.#sources[pairs[i]!]!
      values[pairs[i]!] = values[source.left]! - values[source.right]!
    }
  }

  /** Every fact by name, of the candidate that was turned to last. */
  facts(): Readonly<Record<string, FactValue>> {
    const entries = this.#layout.slots.flatMap((slot, index): [string, FactValue][] => {
      if (slot.kind !== 'fact') return []
      if (slot.definition.type === 'list') return [[slot.name, [...this.#tags]]]
      if (slot.definition.type === 'string') return [[slot.name, this.#texts[index]!]]
      this.#read(index)
      return [[slot.name, this.values[index]!]]
    })
    return Object.fromEntries(entries)
  }

  #used(limit: number): number {
    return this.#totals.used(limit, this.#covered[limit] === true)
  }

  #utilization(): number {
    return utilizationOf(this.#account, this.#meters)
  }

  #elapsed(): number {
    return elapsedOf(this.#account, this.#meters, this.#nowMs)
  }

  #total(measure: typeof elapsedOf): number {
    return overQuotas(this.#accounts, measure, this.#meters, this.#nowMs)
  }

  #read(slot: number): void {
    const { values } = this
    const source = this.#sources[slot]!
    // Each case stores its own number: returned from a function of this size, it would be allocated.
    switch (source.read) {
      case READ.hour:
        values[slot] = this.#calendar.local(this.#nowMs).hour
        return
      case READ.weekday:
        values[slot] = this.#calendar.local(this.#nowMs).weekday
        return
      case READ.day_of_month:
        values[slot] = this.#calendar.local(this.#nowMs).dayOfMonth
        return
      case READ.tag:
        values[slot] = this.#tags.includes(source.tag) ? 1 : 0
        return
      case READ['backend.used']:
        values[slot] = this.#totals.tightest(this.#account.limits)
        return
      case READ['backend.remaining']:
        values[slot] = Math.max(0, 1 - this.#totals.tightest(this.#account.limits))
        return
      case READ['backend.utilization']:
        values[slot] = this.#utilization()
        return
      case READ['backend.elapsed']:
        values[slot] = this.#elapsed()
        return
      case READ['backend.pace']:
        values[slot] = paceOf(this.#utilization(), this.#elapsed())
        return
      case READ['total.utilization']:
        values[slot] = this.#total(utilizationOf)
        return
      case READ['total.elapsed']:
        values[slot] = this.#total(elapsedOf)
        return
      case READ['total.pace']:
        values[slot] = paceOf(this.#total(utilizationOf), this.#total(elapsedOf))
        return
      case READ.text:
        values[slot] = this.#layout.numberOf(this.#texts[slot]!)
        return
      case READ.textPair:
        values[slot] = this.#texts[source.left] === this.#texts[source.right] ? 0 : 1
        return
      case READ.used:
        values[slot] = this.#used(source.limit)
        return
      case READ.spent:
        values[slot] = this.#totals.spent(source.limit)
        return
      case READ.left_usd:
        values[slot] = this.#totals.left(source.limit)
        return
      case READ.numberPair:
      case READ.kept:
        return
    }
  }
}

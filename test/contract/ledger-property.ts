import fc from 'fast-check'
import { expect } from 'vitest'
import type { Ledger, LedgerPolicy } from '../../packages/core/src/ledger/ledger.ts'
import type { ReserveOrder } from '../../packages/core/src/ledger/record.ts'
import { freeOf, type Limit } from '../../packages/core/src/limit.ts'
import { quarterOf, type Window } from '../../packages/core/src/windows.ts'
import type { OpenedLedger } from './ledger-contract.ts'
import { Reference } from './ledger-reference.ts'
import { adjustment, DAY_MS, HOUR_MS, importOrder, limit, MINUTE_MS, order, policy, settlement, START_MS } from './ledger-samples.ts'

const FIRST_USE: Window = { kind: 'first-use', spanMs: 5 * HOUR_MS }

const ALWAYS: readonly Limit[] = [
  limit({ name: 'burst', quantity: 90, window: FIRST_USE, scope: { backend: 'claude' } }),
  limit({ name: 'session', quantity: 700, unit: 'tokens', window: { kind: 'first-use', spanMs: HOUR_MS } }),
  limit({ name: 'year', quantity: 5_000, window: { kind: 'year' } }),
]

const POLICIES: readonly LedgerPolicy[] = [
  policy([
    ...ALWAYS,
    limit({ name: 'day', quantity: 200 }),
    limit({ name: 'week', quantity: 400, window: { kind: 'week', weekday: 1, minute: 540 }, scope: { model: 'opus' } }),
    limit({ name: 'soft', quantity: 50, window: { kind: 'month', day: 15 }, hard: false }),
    limit({ name: 'rolling', quantity: 4, unit: 'requests', window: { kind: 'rolling', spanMs: 2 * HOUR_MS }, scope: { backend: 'kimi' } }),
    limit({ name: 'bulk', quantity: 120, window: { kind: 'rolling', spanMs: 7 * DAY_MS }, scope: { taskType: 'bulk' } }),
    limit({ name: 'local', quantity: 10, unit: 'requests', window: { kind: 'day' }, scope: { backend: 'local' } }),
  ]),
  policy(
    [
      ...ALWAYS,
      limit({ name: 'day', quantity: 150 }),
      limit({ name: 'month', quantity: 900, window: { kind: 'month', day: 31 } }),
      limit({ name: 'quarter', quantity: 20_000, unit: 'tokens', window: { kind: 'quarter' }, scope: { backend: 'claude', taskType: 'bulk' } }),
      limit({ name: 'rolling', quantity: 9, unit: 'requests', window: { kind: 'rolling', spanMs: 26 * HOUR_MS } }),
    ],
    { version: 'v2', text: 'v2', timezone: 'Asia/Kathmandu' },
  ),
]

const CALLS: readonly Pick<ReserveOrder, 'backend' | 'kind' | 'model' | 'taskType'>[] = [
  { backend: 'claude', kind: 'cloud', model: 'sonnet', taskType: 'reasoning' },
  { backend: 'claude', kind: 'cloud', model: 'opus', taskType: 'bulk' },
  { backend: 'kimi', kind: 'cloud', model: 'k2', taskType: null },
  { backend: 'local', kind: 'local', model: 'llama', taskType: 'bulk' },
]

const AGO_MS = [0, 7 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS, 26 * HOUR_MS, 9 * DAY_MS]
const STEPS_MS = [0, 0, 1000, 7 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS, 26 * HOUR_MS, 9 * DAY_MS, 60 * DAY_MS]

type Operation =
  | { readonly kind: 'reserve'; readonly call: number; readonly costNano: number; readonly tokens: number }
  | { readonly kind: 'settle'; readonly pick: number; readonly costNano: number; readonly tokens: number }
  | { readonly kind: 'release' | 'policy' | 'drop'; readonly pick: number }
  | { readonly kind: 'adjust'; readonly call: number; readonly agoMs: number; readonly costNano: number; readonly tokens: number; readonly requests: number }
  | { readonly kind: 'import'; readonly call: number; readonly agoMs: number; readonly costNano: number; readonly tokens: number; readonly name: number }
  | { readonly kind: 'restart' }

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('reserve' as const), call: fc.nat(CALLS.length - 1), costNano: fc.nat(60), tokens: fc.nat(200) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('settle' as const), pick: fc.nat(), costNano: fc.nat(80), tokens: fc.nat(250) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), pick: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('adjust' as const),
      call: fc.nat(CALLS.length - 1),
      agoMs: fc.constantFrom(...AGO_MS),
      costNano: fc.integer({ min: -40, max: 40 }),
      tokens: fc.integer({ min: -100, max: 100 }),
      requests: fc.integer({ min: -1, max: 1 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('import' as const),
      call: fc.nat(CALLS.length - 1),
      agoMs: fc.constantFrom(...AGO_MS),
      costNano: fc.nat(60),
      tokens: fc.nat(200),
      name: fc.nat(9),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('policy' as const), pick: fc.nat(POLICIES.length - 1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

const script = fc.array(fc.record({ stepMs: fc.constantFrom(...STEPS_MS), operation }), { minLength: 1, maxLength: 60 })

/** Whatever is done to a ledger, its numbers are those of the reference. */
export async function agreesWithReference(open: () => Promise<OpenedLedger>, options: { readonly runs: number; readonly restarts: boolean }): Promise<void> {
  await fc.assert(
    fc.asyncProperty(script, async (steps) => {
      const opened = await open()
      const run = new Run(opened, options.restarts)
      await run.usePolicy(0)
      for (const step of steps) {
        run.advance(step.stepMs)
        await run.operate(step.operation)
        run.compare()
      }
      await run.ledger.close()
    }),
    { numRuns: options.runs },
  )
}

class Run {
  ledger: Ledger
  readonly #opened: OpenedLedger
  readonly #restarts: boolean
  readonly #reference = new Reference(policy())
  #nowMs = START_MS

  constructor(opened: OpenedLedger, restarts: boolean) {
    this.ledger = opened.ledger
    this.#opened = opened
    this.#restarts = restarts
  }

  advance(stepMs: number): void {
    this.#nowMs += stepMs
    this.ledger.advance(this.#nowMs)
    this.#reference.expire(this.#nowMs)
  }

  async usePolicy(index: number): Promise<void> {
    const chosen = POLICIES[index] ?? policy()
    this.#reference.policy = chosen
    await this.ledger.usePolicy(chosen, this.#nowMs)
    this.advance(0)
  }

  async operate(operation: Operation): Promise<void> {
    switch (operation.kind) {
      case 'reserve':
        return this.#reserve(operation)
      case 'settle': {
        const id = this.#pick(operation.pick)
        if (id === undefined) return
        this.ledger.settle(id, settlement({ costNano: operation.costNano, promptTokens: operation.tokens, completionTokens: 0 }))
        return this.#reference.settle(id, operation.costNano, operation.tokens)
      }
      case 'release': {
        const id = this.#pick(operation.pick)
        if (id === undefined) return
        this.#reference.release(id)
        return this.ledger.release(id, 'connection refused', this.#nowMs)
      }
      case 'drop': {
        const presumed = this.#reference.ids('presumed')
        const id = presumed[operation.pick % presumed.length]
        if (id === undefined) return
        this.#reference.release(id)
        return this.ledger.dropPresumed(id, 'never billed', this.#nowMs)
      }
      case 'adjust':
        return this.#adjust(operation)
      case 'import':
        return this.#import(operation)
      case 'policy':
        return this.usePolicy(operation.pick)
      case 'restart':
        return this.#restart()
    }
  }

  compare(): void {
    const policyInForce = this.#reference.policy
    const numbers = this.ledger.meters.map(({ limit: { name }, settled, held, presumed, bounds }) => ({ name, settled, held, presumed, bounds }))
    const expected = policyInForce.limits.map((each) => ({
      name: each.name,
      ...this.#reference.sums(each, this.#nowMs),
      bounds: this.#reference.bounds(each, this.#nowMs),
    }))
    expect(numbers).toEqual(expected)
    for (const meter of this.ledger.meters) expect(meter.settled + meter.held + meter.presumed + freeOf(meter)).toBe(meter.limit.quantity)
    expect(this.ledger.audit()).toEqual([])
    expect([...this.ledger.openHolds.keys()]).toEqual(this.#reference.ids('held'))
    const sinceMs = quarterOf(this.#nowMs - 35 * DAY_MS)
    const spend = this.ledger.spend(sinceMs, this.#nowMs + DAY_MS)
    const total = (unit: 'costNano' | 'tokens' | 'requests'): number => spend.reduce((sum, row) => sum + row[unit], 0)
    expect({ costNano: total('costNano'), tokens: total('tokens'), requests: total('requests') }).toEqual(this.#reference.spentSince(sinceMs))
  }

  #reserve({ call, costNano, tokens }: Extract<Operation, { kind: 'reserve' }>): void {
    const asked = order({ ...CALLS[call], atMs: this.#nowMs, estimate: { costNano, tokens, requests: 1 } })
    const short = this.#reference.short(asked, this.#nowMs)
    const reserved = this.ledger.reserve(asked)
    if (reserved.ok) {
      expect(short).toEqual([])
      this.#reference.reserve(reserved.hold.id, asked)
    } else expect(reserved.limits).toEqual(short)
  }

  #adjust({ call, agoMs, costNano, tokens, requests }: Extract<Operation, { kind: 'adjust' }>): void {
    const spentMs = this.#nowMs - agoMs
    const spent = order({ ...CALLS[call], atMs: spentMs })
    const quantities = { costNano, tokens, requests }
    const corrected = adjustment({ ...CALLS[call], atMs: this.#nowMs, spentMs, costNano, promptTokens: tokens, requests })
    const below = this.#reference.below(spent, quantities)
    if (below.length > 0) expect(() => this.ledger.adjust(corrected)).toThrow(expect.objectContaining({ code: 'ADJUST_INVALID', details: { limits: below } }))
    else this.#reference.bring(this.ledger.adjust(corrected).entry.id, spent, quantities)
  }

  #import({ call, agoMs, costNano, tokens, name }: Extract<Operation, { kind: 'import' }>): void {
    const id = `import-${name}`
    const spentMs = this.#nowMs - agoMs
    const settled = this.ledger.import(importOrder({ ...CALLS[call], atMs: this.#nowMs, spentMs, costNano, promptTokens: tokens, completionTokens: 0, id }))
    expect(settled === undefined).toBe(this.#reference.calls.has(id))
    if (settled !== undefined) this.#reference.bring(id, order({ ...CALLS[call], atMs: spentMs }), { costNano, tokens, requests: 1 })
  }

  async #restart(): Promise<void> {
    const { reopen } = this.#opened
    if (!this.#restarts || reopen === undefined) return
    const open = [...this.ledger.openHolds.keys()]
    this.ledger = await reopen()
    this.#reference.restart()
    expect(this.ledger.opened.presumed.map((hold) => hold.id)).toEqual(open)
    await this.usePolicy(POLICIES.indexOf(this.#reference.policy))
  }

  #pick(pick: number): string | undefined {
    const ids = this.#reference.ids('held', 'presumed')
    return ids[pick % ids.length]
  }
}

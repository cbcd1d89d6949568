import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { manualClock, type ManualClock } from './clock.ts'
import { parsePolicy } from './config/parse.ts'
import type { DecideRequest } from './decision.ts'
import { EmbeddedManciple } from './embedded-manciple.ts'
import { openJsonLedger } from './ledger/json-ledger.ts'
import type { Ledger } from './ledger/ledger.ts'
import { openMemoryLedger } from './ledger/memory-ledger.ts'
import type { Notice } from './notices/notice.ts'
import type { PacingMemory } from './pacer.ts'
import { preparePolicy } from './policy/prepare.ts'

const START = Date.parse('2026-11-01T00:00:00Z')
const HOUR = 3_600_000
const DAY = 24 * HOUR

interface Router {
  readonly manciple: EmbeddedManciple
  readonly clock: ManualClock
  readonly ledger: Ledger
  readonly notices: Notice[]
}

async function openRouter(text: string, options: { ledger?: Ledger; clock?: ManualClock } = {}): Promise<Router> {
  const parsed = parsePolicy(text, 'test')
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  const { ledger = openMemoryLedger(), clock = manualClock(START) } = options
  const fail = (error: unknown): never => {
    throw error
  }
  const manciple = new EmbeddedManciple({ ledger, prepared: await preparePolicy(parsed.policy), clock, onError: fail })
  await manciple.start()
  const notices: Notice[] = []
  manciple.on('notice', (notice) => notices.push(notice))
  return { manciple, clock, ledger, notices }
}

/** One call that is decided, answered and billed at once. @returns where it went, and why. */
function ask({ manciple }: Router, request: DecideRequest, outputTokens = 400): { readonly backend: string; readonly reasons: readonly string[] } {
  const { dispatch } = manciple.decideNow(request)
  const { backend, maxOutputTokens, reasons } = dispatch.decision
  if (backend !== undefined) dispatch.settleNow({ inputTokens: request.inputTokens, outputTokens: Math.min(outputTokens, maxOutputTokens) })
  return { backend: backend ?? 'refused', reasons: [...reasons] }
}

/** … with prices worked out after it, where they are due, as a replay does. */
function call(router: Router, request: DecideRequest, outputTokens?: number): string {
  const { backend } = ask(router, request, outputTokens)
  router.manciple.endTurn()
  return backend
}

const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2))

/** Prices in USD per million tokens, quotas in USD a month. */
function policyText(quotas: Readonly<Record<string, number>>, scale = 1, more = ''): string {
  const backends = Object.entries(quotas).map(([name, usd]) => `  ${name}: { provider: openai, models: [${name}-m], quota: ${(usd * scale).toFixed(6)}/month }`)
  const prices = Object.keys(quotas).map((name, index) => `  ${name}-m: { input_mtok: ${(index + 1) * scale}, output_mtok: ${(index + 2) * 4 * scale} }`)
  return ['backends:', ...backends, '  local: { kind: local, models: [llama] }', 'prices:', ...prices, more].join('\n')
}

const PREFERENCES = 'preferences: { chat: { a: 0.9, b: 0.7, c: 0.5, local: 0.2 }, bulk: { a: 0.4, b: 0.6, c: 0.6, local: 0.3 } }'

interface Asked {
  readonly taskType: string
  readonly inputTokens: number
  readonly maxOutputTokens: number
  readonly afterMs: number
}

const asked: fc.Arbitrary<Asked> = fc.record({
  taskType: fc.constantFrom('chat', 'bulk', 'other'),
  inputTokens: fc.integer({ min: 100, max: 4000 }),
  maxOutputTokens: fc.integer({ min: 400, max: 2000 }),
  afterMs: fc.integer({ min: 60_000, max: 5 * HOUR }),
})

function run(router: Router, requests: readonly Asked[]): string[] {
  return requests.map(({ afterMs, ...request }) => {
    router.clock.advance(afterMs)
    return call(router, request)
  })
}

describe('laws of pacing', () => {
  test('a floor never opens a cap: whatever lapses elsewhere, no limit is overshot by a nano and no forbidden backend is taken', async () => {
    const rule =
      '{ name: no c, conditions: { all: [{ fact: backend, operator: equal, value: c }, { fact: task_type, operator: equal, value: bulk }] }, event: { type: forbid } }'
    const property = fc.asyncProperty(fc.array(asked, { minLength: 30, maxLength: 90 }), fc.integer({ min: 1, max: 40 }), async (requests, cents) => {
      const router = await openRouter(policyText({ a: 0.01, b: cents / 100, c: 3 }, 1, `${PREFERENCES}\nbudgets: { daily_limit_usd: 0.05 }\nrules: [${rule}]`))
      for (const { afterMs, ...request } of requests) {
        router.clock.advance(afterMs)
        const backend = call(router, request)
        if (request.taskType === 'bulk') expect(backend).not.toBe('c')
        for (const { limit, settled, held } of router.ledger.meters) expect(settled + held, limit.name).toBeLessThanOrEqual(limit.quantity)
      }
      await router.manciple.close()
    })
    await fc.assert(property, { numRuns: 12, endOnFailure: true })
  })

  test('routes the same when all money is scaled by a constant', async () => {
    const property = fc.asyncProperty(fc.array(asked, { minLength: 40, maxLength: 120 }), fc.constantFrom(2, 8, 64), async (requests, scale) => {
      const quotas = { a: 0.4, b: 0.6, c: 0.8 }
      const [plain, scaled] = [await openRouter(policyText(quotas, 1, PREFERENCES)), await openRouter(policyText(quotas, scale, PREFERENCES))]
      expect(run(scaled, requests)).toEqual(run(plain, requests))
      await plain.manciple.close()
      await scaled.manciple.close()
    })
    await fc.assert(property, { numRuns: 8, endOnFailure: true })
  })

  test('permuting the names of backends permutes the routes', async () => {
    const property = fc.asyncProperty(fc.array(asked, { minLength: 40, maxLength: 120 }), async (requests) => {
      const text = policyText({ a: 0.4, b: 0.6, c: 0.8 }, 1, PREFERENCES)
      const names: Readonly<Record<string, string>> = { a: 'zeta', b: 'a', c: 'b', local: 'local', refused: 'refused' }
      const renamed = text.replaceAll(/\b([abc])(?=\b)/g, (name) => names[name] ?? name)
      const routes = run(await openRouter(text), requests)
      expect(run(await openRouter(renamed), requests)).toEqual(routes.map((name) => names[name]))
    })
    await fc.assert(property, { numRuns: 8, endOnFailure: true })
  })

  test('decides after a restart as it would have without one, and gives the same reasons', async () => {
    const property = fc.asyncProperty(fc.array(asked, { minLength: 60, maxLength: 160 }), fc.integer({ min: 20, max: 50 }), async (requests, stop) => {
      const text = policyText({ a: 0.2, b: 0.3, c: 0.4 }, 1, PREFERENCES)
      const decide = (router: Router, { afterMs, ...request }: Asked): unknown => {
        router.clock.advance(afterMs)
        // One that names a backend and is sent elsewhere is told why.
        return ask(router, request.taskType === 'chat' ? { ...request, backend: 'a' } : request)
      }
      const turns = (router: Router, asked: readonly Asked[]): unknown[] =>
        asked.map((one) => {
          const decided = decide(router, one)
          router.manciple.endTurn()
          return decided
        })
      const through = turns(await openRouter(text), requests)
      const root = mkdtempSync(join(tmpdir(), 'manciple-'))
      const open = (nowMs: number): Promise<Ledger> => openJsonLedger({ folder: join(root, 'ledger'), nowMs })
      const before = await openRouter(text, { ledger: await open(START) })
      const decided = turns(before, requests.slice(0, stop - 1))
      // Closed in the midst of a turn: what is due must not be lost.
      decided.push(decide(before, requests[stop - 1]!))
      await before.manciple.close()
      const after = await openRouter(text, { ledger: await open(before.clock.wallMs()), clock: before.clock })
      decided.push(...turns(after, requests.slice(stop)))
      await after.manciple.close()
      rmSync(root, { recursive: true })
      expect(decided).toEqual(through)
    })
    await fc.assert(property, { numRuns: 8, endOnFailure: true })
  })

  test('a reload loses nothing that is due', async () => {
    const text = policyText({ a: 0.2, b: 0.3, c: 0.4 }, 1, PREFERENCES)
    const parsed = parsePolicy(text, 'test')
    if (!parsed.ok) throw new Error('the policy is wrong')
    const solvedMs = async (reload: boolean): Promise<number> => {
      const router = await openRouter(text)
      router.clock.advance(HOUR)
      for (let i = 0; i < 200; i += 1) ask(router, { inputTokens: 100 })
      if (reload) void router.manciple.replacePolicy(await preparePolicy(parsed.policy))
      router.manciple.endTurn()
      return (router.ledger.pacing as PacingMemory).pacing.solvedMs
    }
    expect(await solvedMs(false)).toBe(START + HOUR)
    expect(await solvedMs(true)).toBe(START + HOUR)
  })

  test('comes out the same each time when prices are worked out between the calls', async () => {
    const requests = fc.sample(asked, { numRuns: 300, seed: 7 })
    const text = policyText({ a: 0.2, b: 0.3, c: 0.4 }, 1, PREFERENCES)
    const once = run(await openRouter(text), requests)
    expect(run(await openRouter(text), requests)).toEqual(once)
    expect(new Set(once).size).toBeGreaterThan(2)
  })
})

describe('precedence', () => {
  const QUOTAS = { a: 0.05, b: 5 }

  test('a policy without a quota is not paced: scores are what they were, and nothing is foreseen', async () => {
    const router = await openRouter('{ budgets: { daily_limit_usd: 5.00 } }')
    for (let i = 0; i < 50; i += 1) expect(call(router, { backend: 'gpt', inputTokens: 100 })).toBe('gpt')
    expect((await router.manciple.explain({ backend: 'gpt', inputTokens: 100 })).candidates.every(({ toll }) => toll === 0)).toBe(true)
    expect(router.manciple.budget().quotas).toEqual([])
  })

  test('floors of 0 turn it off: requests go where they ask, and nothing is told of quotas', async () => {
    const router = await openRouter(policyText(QUOTAS, 1, 'floors: { backend: 0, total: 0 }'))
    for (let hour = 0; hour < 25 * 24; hour += 12) {
      router.clock.advance(12 * HOUR)
      expect(call(router, { backend: 'b', inputTokens: 10, maxOutputTokens: 20 })).toBe('b')
    }
    await tick()
    expect(router.notices).toEqual([])
    expect(router.manciple.budget().quotas.map(({ forecast }) => forecast)).toEqual([null, null])
  })

  test('a forbid and an unknown price stand before a quota that would lapse', async () => {
    const forbid = 'rules: [{ name: not b, conditions: { all: [{ fact: backend, operator: equal, value: b }] }, event: { type: forbid } }]'
    const forbidden = await openRouter(policyText(QUOTAS, 1, forbid))
    const unpriced = await openRouter(policyText(QUOTAS).replace(/ {2}b-m: .*\n/, ''))
    for (const router of [forbidden, unpriced]) {
      for (let hour = 0; hour < 20 * 24; hour += 8) {
        router.clock.advance(8 * HOUR)
        expect(call(router, { taskType: 'chat', inputTokens: 1000, maxOutputTokens: 400 })).not.toBe('b')
      }
    }
  })

  test('a whole answer stands before a higher score', async () => {
    const prefer = 'rules: [{ name: b first, conditions: { all: [{ fact: backend, operator: equal, value: b }] }, event: { type: prefer, params: { by: 1 } } }]'
    const router = await openRouter(policyText({ a: 5, b: 5 }, 1, `limits: [{ name: bit, amount: 0.01/day, backend: b }]\n${prefer}`))
    const request = { inputTokens: 100, maxOutputTokens: 1000 }
    const [a, b] = (await router.manciple.explain(request)).candidates.map(({ candidate }) => candidate)
    expect(b?.score).toBeGreaterThan((a?.score ?? 0) + 0.9)
    expect(call(router, request)).toBe('a')
    expect(call(router, { ...request, maxOutputTokens: 500 })).toBe('b')
  })

  test('work goes to a local backend while a paid one has room only under a shortage, and the decision says so', async () => {
    const router = await openRouter(policyText({ a: 0.5 }, 1, 'preferences: { chat: { a: 0.5, local: 0.3 } }'))
    const reasons: string[] = []
    for (let i = 0; i < 400; i += 1) {
      router.clock.advance(3 * 60_000)
      router.manciple.endTurn()
      const inputTokens = i % 2 === 0 ? 1000 : 20
      const { dispatch, taken } = router.manciple.decideNow({ taskType: 'chat', inputTokens, maxOutputTokens: 400 })
      if (taken?.backend.kind === 'local') reasons.push(dispatch.decision.reasons.join())
      // Two hours say little of a month: until prices were worked out on more than that, nothing may be held back.
      if (i < 40) expect(taken?.backend.name).toBe('a')
      dispatch.settleNow({ inputTokens, outputTokens: 100 })
    }
    expect(router.manciple.budget().quotas[0]?.utilization).toBeLessThan(0.9)
    expect(reasons.length).toBeGreaterThan(0)
    expect(reasons[0]).toMatch(/^a\/a-m: local\/llama scores higher \(.*\); (a is \d+% ahead of pace|a's quota is foreseen to run short)$/)
  })

  test('without a shortage a paid backend with room is taken, though rules put it below a local one', async () => {
    const avoid = 'rules: [{ name: not a, conditions: { all: [{ fact: backend, operator: equal, value: a }] }, event: { type: avoid, params: { by: 0.9 } } }]'
    const router = await openRouter(policyText({ a: 100 }, 1, `preferences: { chat: { a: 0.5, local: 0.3 } }\n${avoid}`))
    const request = { taskType: 'chat', inputTokens: 1000, maxOutputTokens: 400 }
    const [a, local] = (await router.manciple.explain(request)).candidates.map(({ candidate }) => candidate)
    expect(a?.score).toBeLessThan(local?.score ?? 0)
    expect(call(router, request)).toBe('a')
  })

  test('prices choose between backends, never between the models of one', async () => {
    const text = policyText({ a: 1, b: 1 }, 1, '')
      .replace('models: [a-m]', 'models: [a-m, a-dear, a-cheap]')
      .replace('prices:', 'prices:\n  a-dear: { input_mtok: 50, output_mtok: 90 }\n  a-cheap: { input_mtok: 0.01, output_mtok: 0.02 }')
    const router = await openRouter(text)
    for (let hour = 0; hour < 20 * 24; hour += 6) {
      router.clock.advance(6 * HOUR)
      router.manciple.endTurn()
      const { dispatch } = router.manciple.decideNow({ backend: 'a', pinned: true, inputTokens: 1000, maxOutputTokens: 400 })
      expect(dispatch.decision.model).toBe('a-m')
      dispatch.settleNow({ inputTokens: 1000, outputTokens: 400 })
    }
  })
})

describe('an outage', () => {
  const TEXT = policyText({ a: 1, b: 1 })
  const fail = async ({ manciple }: Router): Promise<void> => manciple.decideNow({ backend: 'a', pinned: true, inputTokens: 10 }).dispatch.release('503')
  const told = ({ notices }: Router): string[] => notices.filter(({ kind }) => kind === 'outage').map(({ severity, text }) => `${severity} ${text}`)

  test('is told once after five failures in a row over a minute, and a success ends it', async () => {
    const router = await openRouter(TEXT)
    for (let i = 0; i < 8; i += 1) {
      await fail(router)
      router.clock.advance(20_000)
    }
    await tick()
    expect(told(router)).toEqual(['alert a is down: its last 5 attempts failed, since 2026-11-01 00:00; the quotas of the others are paced without it'])
    router.clock.advance(3 * HOUR)
    call(router, { backend: 'a', pinned: true, inputTokens: 10 })
    await tick()
    expect(told(router)).toHaveLength(2)
    expect(told(router)[1]).toBe('info a is back: it was down since 2026-11-01 00:00')
  })

  test('is neither a burst that fails together, nor failures with successes between them', async () => {
    const router = await openRouter(TEXT)
    for (let i = 0; i < 20; i += 1) await fail(router)
    router.clock.advance(30_000)
    call(router, { backend: 'a', pinned: true, inputTokens: 10 })
    for (let i = 0; i < 20; i += 1) {
      router.clock.advance(30_000)
      await fail(router)
      if (i % 4 === 3) call(router, { backend: 'a', pinned: true, inputTokens: 10 })
    }
    await tick()
    expect(told(router)).toEqual([])
  })

  test('is left out of what the prices of the others are worked out by, until it ends', async () => {
    const request = { taskType: 'chat', inputTokens: 1000, maxOutputTokens: 400 }
    const tollOfB = async (mended: boolean): Promise<number> => {
      const router = await openRouter(policyText({ a: 0.3, b: 0.3 }, 1, 'preferences: { chat: { a: 0.9, b: 0.5, local: 0.1 } }'))
      for (let i = 0; i < 12; i += 1) {
        router.clock.advance(6 * HOUR)
        call(router, request)
      }
      for (let i = 0; i < 6; i += 1) {
        await fail(router)
        router.clock.advance(30_000)
      }
      if (mended) call(router, { backend: 'a', pinned: true, inputTokens: 0, maxOutputTokens: 1 }, 0)
      router.clock.advance(2 * DAY)
      router.manciple.endTurn()
      return (await router.manciple.explain(request)).candidates.find(({ candidate }) => candidate.backend === 'b')?.toll ?? Number.NaN
    }
    expect(Math.abs((await tollOfB(false)) - (await tollOfB(true)))).toBeGreaterThan(0.1)
  })
})

describe('alerts of a running router', () => {
  const kinds = ({ notices }: Router): string[] => notices.map(({ kind, scope }) => `${kind} ${scope}`)

  test('a ledger that began in mid-window is judged from then on', async () => {
    const router = await openRouter(policyText({ a: 10, b: 10 }), { clock: manualClock(START + 20 * DAY) })
    for (let i = 0; i < 4; i += 1) {
      router.clock.advance(6 * HOUR)
      call(router, { backend: 'a', pinned: true, inputTokens: 1000, maxOutputTokens: 400 })
    }
    await tick()
    expect(kinds(router)).toEqual([])
    for (let i = 0; i < 24; i += 1) {
      router.clock.advance(6 * HOUR)
      call(router, { backend: 'a', pinned: true, inputTokens: 1000, maxOutputTokens: 400 })
    }
    await tick()
    expect(kinds(router)).toContain('under-used b')
    expect(router.notices.find(({ kind }) => kind === 'demand-shortfall')?.text).toMatch(
      /^Not enough work for what is paid for: .* \$\d+\.\d\d would lapse as things go; to use them up would take \d+% of the calls to come$/,
    )
  })

  test('an idle router is told of as well', async () => {
    const router = await openRouter(policyText({ a: 10 }))
    router.clock.advance(16 * DAY)
    await tick()
    expect(kinds(router)).toContain('under-used a')
  })
})

describe('what pacing learns of answers', () => {
  test('tells those of short prompts from those of long ones', async () => {
    const router = await openRouter(policyText({ a: 100, b: 100, c: 100 }, 1, PREFERENCES))
    for (let i = 0; i < 20; i += 1) {
      call(router, { taskType: 'chat', inputTokens: 100, maxOutputTokens: 1000 }, 100)
      call(router, { taskType: 'chat', inputTokens: 4000, maxOutputTokens: 1000 }, 900)
    }
    const { sizeCalls, sizeShares } = (router.ledger.pacing as PacingMemory).pacing.outputShares['chat'] ?? { sizeCalls: [], sizeShares: [] }
    const seen = sizeShares.filter((_, size) => (sizeCalls[size] ?? 0) > 0)
    expect(seen).toEqual([0.1, 0.9])
  })
})

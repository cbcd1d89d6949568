import { expect, test } from 'vitest'
import { parsePolicy } from '../config/parse.ts'
import { openMemoryLedger } from '../ledger/memory-ledger.ts'
import { checkRequest } from '../request.ts'
import { best, type Assessment } from './decide.ts'
import { preparePolicy } from './prepare.ts'

const NOW = Date.parse('2026-11-10T12:00:00Z')

async function plannerOf(text: string): Promise<(request: Parameters<typeof checkRequest>[0]) => readonly Assessment[]> {
  const parsed = parsePolicy(text, 'test')
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  const { planner, policy } = await preparePolicy(parsed.policy)
  const ledger = openMemoryLedger()
  await ledger.usePolicy(policy, NOW)
  return (request) => planner.plan(checkRequest(request), ledger.meters, NOW, false)
}

const TEXT = `
backends:
  a: { provider: openai, models: [m] }
  b: { provider: openai, models: [n] }
  local: { kind: local, models: [llama] }
prices: { m: { input_mtok: 1, output_mtok: 1 }, n: { input_mtok: 1, output_mtok: 1 } }
preferences: { chat: { a: 0.6, b: 0.7 }, bulk: { a: 0.9, b: 0.8, local: 0.95 } }
limits: [{ name: thinking-on-a, amount: 0.00/day, backend: a, task_type: thinking }]
`
const TOKENS = { inputTokens: 1000, maxOutputTokens: 500 }

test('each task type has its own order of backends; one that preferences do not mention has the order of declaration', async () => {
  const plan = await plannerOf(TEXT)
  const taken = (taskType?: string): string | undefined => best(plan({ ...TOKENS, ...(taskType && { taskType }) }))?.backend.name
  expect([taken('chat'), taken('bulk'), taken('poetry'), taken(), taken('chat')]).toEqual(['b', 'local', 'a', 'a', 'b'])
})

test('a limit on a task type stops the calls of that type alone, whether they name a backend or not', async () => {
  const plan = await plannerOf(TEXT)
  const out = (request: Partial<Parameters<typeof plan>[0]>): string | undefined =>
    plan({ ...TOKENS, ...request }).find(({ backend }) => backend.name === 'a')?.out
  for (const named of [{}, { backend: 'a' }, { candidates: ['a'] }]) {
    expect([out({ ...named, taskType: 'thinking' }), out({ ...named, taskType: 'chat' }), out(named), out({ ...named, taskType: 'poetry' })]).toEqual([
      'no-room',
      undefined,
      undefined,
      undefined,
    ])
  }
})

test('a named backend comes first, also when the same was asked for before with another task type or pinned', async () => {
  const plan = await plannerOf(TEXT)
  const names = (request: Partial<Parameters<typeof plan>[0]>): readonly string[] => plan({ ...TOKENS, ...request }).map(({ backend }) => backend.name)
  expect(names({ backend: 'b' })).toEqual(['b', 'a', 'local'])
  expect(names({ backend: 'b', pinned: true })).toEqual(['b', 'local'])
  expect(names({ backend: 'b', taskType: 'bulk' })).toEqual(['b', 'a', 'local'])
  expect(plan({ ...TOKENS, backend: 'b', taskType: 'bulk' }).map(({ score }) => score)).toEqual([1, 0.9, 0.95])
  expect(plan({ ...TOKENS, backend: 'b', taskType: 'chat' }).map(({ score }) => score)).toEqual([1, 0.6, 0])
})

test('a model that nobody lists is priced as unknown, each time it is named', async () => {
  const plan = await plannerOf(TEXT)
  for (const model of ['x', 'y', 'x']) expect(plan({ ...TOKENS, backend: 'a', model })[0]).toMatchObject({ model, out: 'price-unknown' })
})

test('a backend that the policy does not have is refused with those it has, and the one that was probably meant', async () => {
  const plan = await plannerOf(TEXT)
  expect(() => plan({ ...TOKENS, backend: 'lcoal' })).toThrow(/backend "lcoal": the policy has a, b, local; did you mean local\?/)
  expect(() => plan({ ...TOKENS, candidates: ['a', 'mistral'] })).toThrow(/backend "mistral": the policy has a, b, local(?!; did)/)
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runFresh } from '../policy/engine.ts'
import type { Condition, Leaf, Operator } from '../policy/policy.ts'
import type { DeclaredBackend } from './backends.ts'
import { factsInTheWay } from './unmatchable.ts'

const backend = (name: string, kind: 'cloud' | 'local', models: readonly string[]): DeclaredBackend => ({
  name,
  kind,
  provider: undefined,
  models,
  quota: undefined,
  paid: undefined,
  limits: [],
})
const BACKENDS = [backend('claude', 'cloud', ['opus', 'sonnet']), backend('local', 'local', ['llama'])]
const leaf = (fact: string, operator: Operator, value: Leaf['value']): Leaf => ({ fact, operator, value })
const inTheWay = (conditions: Condition): readonly string[] | undefined => factsInTheWay(conditions, BACKENDS, new Set())

test.each<[string, Condition, readonly string[]]>([
  ['an hour after the last', { all: [leaf('hour', 'greaterThan', 23)] }, ['hour']],
  ['night from two sides at once', { all: [leaf('hour', 'lessThan', 6), leaf('hour', 'greaterThanInclusive', 22)] }, ['hour']],
  ['no whole number between', { all: [leaf('hour', 'greaterThan', 5), leaf('hour', 'lessThan', 6)] }, ['hour']],
  ['all whole numbers between taken out', { all: [leaf('weekday', 'greaterThan', 5), leaf('weekday', 'notIn', [6, 7])] }, ['weekday']],
  ['two task types', { all: [leaf('task_type', 'equal', 'chat'), leaf('task_type', 'equal', 'bulk')] }, ['task_type']],
  ['a task type and not', { all: [leaf('task_type', 'in', ['chat', 'bulk']), { not: { any: [leaf('task_type', 'in', ['bulk', 'chat'])] } }] }, ['task_type']],
  ['a local backend in the cloud', { all: [leaf('backend', 'equal', 'local'), leaf('backend_kind', 'equal', 'cloud')] }, ['backend', 'backend_kind']],
  ["another backend's model", { all: [leaf('backend', 'equal', 'claude'), leaf('model', 'equal', 'llama')] }, ['backend', 'model']],
  ['a local call that costs', { all: [leaf('backend_kind', 'equal', 'local'), leaf('estimate_usd', 'greaterThan', 1)] }, ['backend_kind', 'estimate_usd']],
  ['every backend excluded', { all: [leaf('backend', 'notIn', ['claude', 'local'])] }, ['backend']],
  ['less than nothing spent', { all: [leaf('all.day.spent', 'lessThan', 0)] }, ['all.day.spent']],
  ['more left than all', { all: [leaf('backend.remaining', 'greaterThan', 1)] }, ['backend.remaining']],
  ['a tag and not', { all: [leaf('tags', 'contains', 'a'), leaf('tags', 'doesNotContain', 'a')] }, ['tags']],
  ['each part of an any', { any: [leaf('hour', 'lessThan', 0), leaf('weekday', 'greaterThan', 7)] }, ['hour', 'weekday']],
])('is found: %s', (_, conditions, facts) => {
  expect(inTheWay(conditions)).toEqual(facts)
})

test.each<[string, Condition]>([
  ['night', { any: [leaf('hour', 'lessThan', 6), leaf('hour', 'greaterThanInclusive', 22)] }],
  ['one way of two', { any: [leaf('hour', 'lessThan', 0), leaf('weekday', 'equal', 7)] }],
  ['a model that no backend lists', { all: [leaf('backend', 'equal', 'claude'), leaf('model', 'equal', 'claude-next')] }],
  ['a cloud call that costs', { all: [leaf('backend', 'equal', 'claude'), leaf('estimate_usd', 'greaterThan', 1)] }],
  ['a local call that costs nothing', { all: [leaf('backend', 'equal', 'local'), leaf('estimate_usd', 'lessThan', 1)] }],
  ['debt', { all: [leaf('all.day.left_usd', 'lessThan', 0)] }],
  ['above a limit', { all: [leaf('all.day.used', 'greaterThan', 1)] }],
  ['two facts', { all: [leaf('all.day.used', 'lessThan', { fact: 'backend.used' }), leaf('all.day.used', 'greaterThan', { fact: 'backend.used' })] }],
  ['other tags', { all: [leaf('tags', 'contains', 'a'), leaf('tags', 'doesNotContain', 'b')] }],
  ['between two fractions', { all: [leaf('all.day.spent', 'greaterThan', 0.5), leaf('all.day.spent', 'lessThan', 0.50001)] }],
  ['no task type', { all: [leaf('task_type', 'notIn', ['chat', 'bulk'])] }],
  ['another model than these', { all: [leaf('backend', 'equal', 'claude'), leaf('model', 'notIn', ['opus', 'sonnet'])] }],
])('is left alone: %s', (_, conditions) => {
  expect(inTheWay(conditions)).toBeUndefined()
})

const numberLeaf = fc
  .tuple(
    fc.constantFrom('hour', 'weekday', 'all.day.spent'),
    fc.constantFrom<Operator>('equal', 'notEqual', 'lessThan', 'lessThanInclusive', 'greaterThan', 'greaterThanInclusive'),
    fc.constantFrom(-1, 0, 0.5, 1, 2, 6.5, 7, 8, 22, 23, 24),
  )
  .map(([fact, operator, value]) => leaf(fact, operator, value))
const textLeaf = fc
  .tuple(
    fc.constantFrom(['backend', 'claude'], ['backend', 'local'], ['backend_kind', 'cloud'], ['model', 'opus'], ['model', 'llama'], ['task_type', 'chat']),
    fc.constantFrom<Operator>('equal', 'notEqual'),
  )
  .map(([[fact = '', value = ''], operator]) => leaf(fact, operator, value))
const { tree } = fc.letrec<{ tree: Condition; node: Condition }>((tie) => ({
  tree: fc.oneof({ maxDepth: 1 }, textLeaf, tie('node')),
  node: fc.oneof(
    { maxDepth: 2 },
    numberLeaf,
    textLeaf,
    fc.array(tie('node'), { minLength: 1, maxLength: 3 }).map((all) => ({ all })),
    fc.array(tie('node'), { minLength: 1, maxLength: 3 }).map((any) => ({ any })),
    tie('node').map((not) => ({ not })),
  ),
}))

/** Every combination of values that these conditions can tell apart. */
const WORLD = ['claude', 'local'].flatMap((name) =>
  (name === 'claude' ? ['opus', 'sonnet', 'other'] : ['llama', 'other']).flatMap((model) =>
    ['', 'chat'].flatMap((task_type) =>
      [0, 1, 2, 6, 7, 8, 21, 22, 23].flatMap((hour) =>
        [1, 2, 6, 7].flatMap((weekday) =>
          [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 6.5, 6.75, 7, 7.5, 8, 9, 22, 22.5, 23, 23.5, 24, 25].map((spent) => ({
            backend: name,
            backend_kind: name === 'claude' ? 'cloud' : 'local',
            model,
            task_type,
            hour,
            weekday,
            'all.day.spent': spent,
          })),
        ),
      ),
    ),
  ),
)

function matches(condition: Condition, facts: Readonly<Record<string, string | number>>): boolean {
  if ('all' in condition) return condition.all.every((child) => matches(child, facts))
  if ('any' in condition) return condition.any.some((child) => matches(child, facts))
  if ('not' in condition) return !matches(condition.not, facts)
  const [fact, value] = [facts[condition.fact]!, condition.value as string | number]
  switch (condition.operator) {
    case 'equal':
      return fact === value
    case 'notEqual':
      return fact !== value
    case 'lessThan':
      return fact < value
    case 'lessThanInclusive':
      return fact <= value
    case 'greaterThan':
      return fact > value
    default:
      return fact >= value
  }
}

test('agrees with trying every request', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(tree, { minLength: 1, maxLength: 4 }), async (all) => {
      const found = WORLD.find((facts) => matches({ all }, facts))
      expect(inTheWay({ all }) === undefined).toBe(found !== undefined)
      if (found !== undefined)
        expect(await runFresh([{ name: 'x', conditions: { all }, event: { type: 'forbid', params: {} }, line: 1 }], found)).toEqual([true])
    }),
    { numRuns: 300 },
  )
})

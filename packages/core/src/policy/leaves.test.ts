import { expect, test } from 'vitest'
import { factCatalogue } from './facts.ts'
import { leafProblem } from './leaves.ts'
import type { Leaf } from './policy.ts'

const catalogue = factCatalogue(['all.day'])

test.each<[Leaf, string]>([
  [{ fact: 'hours', operator: 'equal', value: 3 }, 'unknown fact "hours"'],
  [{ fact: 'hour', operator: 'equal', value: '3' }, 'hour is compared with 3, which is no finite number'],
  [{ fact: 'model', operator: 'equal', value: 3 }, 'model is compared with 3, which is no string'],
  [{ fact: 'hour', operator: 'lessThan', value: Number.NaN }, 'hour is compared with NaN, which is no finite number'],
  [{ fact: 'model', operator: 'lessThan', value: 'b' }, 'lessThan cannot read model, a string'],
  [{ fact: 'model', operator: 'in', value: 'claude-opus' }, 'in takes a list'],
  [{ fact: 'model', operator: 'in', value: ['a', 1] }, 'model is compared with 1, which is no string'],
  [{ fact: 'model', operator: 'equal', value: ['a'] }, 'equal takes a single value'],
  [{ fact: 'model', operator: 'in', value: { fact: 'task_id' } }, 'in takes a constant'],
  [{ fact: 'tags', operator: 'equal', value: 'a' }, 'equal cannot read tags, a list'],
  [{ fact: 'tags', operator: 'contains', value: 1 }, 'tags is compared with 1, which is no string'],
  [{ fact: 'tags', operator: 'contains', value: { fact: 'model' } }, 'contains takes a constant'],
  [{ fact: 'hour', operator: 'lessThan', value: { fact: 'model' } }, 'hour is a number; "model" is not'],
  [{ fact: 'hour', operator: 'lessThan', value: { fact: 'all.week.used' } }, 'hour is a number; "all.week.used" is not'],
])('%j: %s', (leaf, problem) => {
  expect(leafProblem(leaf, catalogue)).toBe(problem)
})

test.each<Leaf>([
  { fact: 'all.day.used', operator: 'greaterThan', value: { fact: 'backend.used' } },
  { fact: 'task_type', operator: 'notIn', value: [] },
  { fact: 'weekday', operator: 'in', value: [6, 7] },
  { fact: 'tags', operator: 'doesNotContain', value: 'vip' },
])('%j is fine', (leaf) => {
  expect(leafProblem(leaf, catalogue)).toBeUndefined()
})

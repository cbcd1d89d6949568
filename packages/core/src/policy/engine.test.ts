import { expect, test } from 'vitest'
import { runFresh, truthTable } from './engine.ts'
import type { Condition, Rule } from './policy.ts'

const leaf: Condition = { fact: 'hour', operator: 'equal', value: 3 }
const rule = (conditions: Condition): Rule => ({ name: 'the same name', conditions, event: { type: 'forbid', params: {} }, line: undefined })

test('a table has the first leaf as its highest bit', async () => {
  expect(await truthTable({ all: [leaf, leaf] }, 2)).toBe('0001')
  expect(await truthTable({ any: [leaf, leaf] }, 2)).toBe('0111')
  expect(await truthTable({ not: leaf }, 1)).toBe('10')
  expect(await truthTable({ all: [leaf, { not: { any: [leaf, leaf] } }] }, 3)).toBe('00001000')
})

test('an empty list of conditions holds, as json-rules-engine has it', async () => {
  expect(await truthTable({ any: [] }, 0)).toBe('1')
})

test('tables of ten leaves asked for at the same time do not disturb each other', async () => {
  const ten = Array.from({ length: 10 }, () => leaf)
  const [all, any] = await Promise.all([truthTable({ all: ten }, 10), truthTable({ any: ten }, 10)])
  expect(all).toBe('0'.repeat(1023) + '1')
  expect(any).toBe('0' + '1'.repeat(1023))
})

test('rules of the same name are answered one by one', async () => {
  const rules = [rule({ all: [leaf] }), rule({ not: leaf }), rule({ any: [leaf, { fact: 'tags', operator: 'contains', value: 'vip' }] })]
  expect(await runFresh(rules, { hour: 4, tags: ['vip'] })).toEqual([false, true, true])
})

test('a fact that is missing is an error, not a rule that does not match', async () => {
  await expect(runFresh([rule({ all: [leaf] })], {})).rejects.toThrow(/hour/)
})

test('conditions that do not begin with all, any or not are refused', async () => {
  await expect(truthTable(leaf, 1)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})

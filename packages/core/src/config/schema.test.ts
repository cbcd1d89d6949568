import fc from 'fast-check'
import { expect, test } from 'vitest'
import { factCatalogue } from '../policy/facts.ts'
import { parseAmount } from './amount.ts'
import { budgetsJsonSchema } from './schema.ts'

type Json = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null

/** What the JSON Schema says at a path of its keys. */
function at(...path: readonly string[]): Json {
  const found = path.reduce<unknown>((schema, key) => (isObject(schema) ? schema[key] : undefined), budgetsJsonSchema())
  return isObject(found) ? found : {}
}

/** Every schema of a property or of a map's values, with its path. */
function schemasIn(schema: unknown, path: string): readonly (readonly [string, Json])[] {
  if (!isObject(schema)) return []
  const properties = isObject(schema['properties']) ? Object.entries(schema['properties']) : []
  return properties.flatMap(([key, below]) => [...(isObject(below) ? [[`${path}.${key}`, below] as const] : []), ...schemasIn(below, `${path}.${key}`)])
}

const AMOUNT = new RegExp(String(at('properties', 'backends', 'additionalProperties', 'properties', 'quota')['pattern']), 'u')

test.each([
  ['20/fortnight'],
  ['-5/day'],
  ['5,00/day'],
  ['5 EUR/day'],
  ['20.00'],
  ['5k/day'],
  ['900K tokens/day'],
  ['5/month@32'],
  ['5/week@Mo'],
  ['5/week@Mon 24:00'],
  ['5/5h@first'],
  ['$5/day'],
])('an editor marks %s', (text) => {
  expect(parseAmount(text)).toHaveProperty('problem')
  expect(AMOUNT.test(text)).toBe(false)
})

test('an editor marks no amount that a file may hold', () => {
  const digits = fc.constantFrom('0', '5', '20.00', '1.5', '900', '0.000000001')
  const unit = fc.constantFrom('', ' tokens', ' requests', 'k tokens', 'M requests', 'k  tokens')
  const window = fc.constantFrom(
    'day',
    'month',
    'month@31',
    'month@01',
    'week@MON',
    'week@sun 9:00',
    'week@Thu 23:45',
    '5h',
    '90m',
    '7d',
    '366d',
    '5h@first-use',
  )
  const text = fc.tuple(digits, unit, fc.constantFrom('/', ' / '), window).map((parts) => parts.join(''))
  fc.assert(
    fc.property(text, (amount) => {
      fc.pre(!('problem' in parseAmount(amount)))
      expect(AMOUNT.test(amount)).toBe(true)
    }),
  )
})

test('an editor explains every section, and every key of limits, rules, backends, floors and prices', () => {
  const missing = (schema: unknown, path: string) =>
    schemasIn(schema, path).flatMap(([name, below]) => (typeof below['description'] === 'string' ? [] : [name]))
  expect(Object.entries(at('properties')).flatMap(([name, schema]) => (isObject(schema) && typeof schema['description'] === 'string' ? [] : [name]))).toEqual(
    [],
  )
  for (const section of ['budgets', 'floors']) expect(missing(at('properties', section), section)).toEqual([])
  expect(missing(at('properties', 'backends', 'additionalProperties'), 'backends')).toEqual([])
  expect(missing(at('properties', 'limits', 'items'), 'limits')).toEqual([])
  expect(missing(at('properties', 'rules', 'items', 'properties', 'event'), 'event').filter((name) => name !== 'event.params')).toEqual([])
})

test('an editor completes facts, operators and providers', () => {
  const [named] = at('$defs', 'condition', 'properties', 'fact')['anyOf'] as readonly Json[]
  expect(named?.['enum']).toEqual([...factCatalogue([]).keys()])
  expect(at('$defs', 'condition', 'properties', 'operator')['enum']).toContain('greaterThan')
  expect(at('properties', 'backends', 'additionalProperties', 'properties', 'provider')['examples']).toContain('anthropic')
})

test('an editor takes the facts of limits', () => {
  const [, ofLimit] = at('$defs', 'condition', 'properties', 'fact')['anyOf'] as readonly Json[]
  for (const name of ['all.day', 'claude.5h@first-use.tokens', 'claude.week@Mon 09:00', 'opus'])
    expect(new RegExp(String(ofLimit?.['pattern']), 'u').test(`${name}.spent`)).toBe(true)
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Policy } from '../policy/policy.ts'
import { doubtOf, policyChanges, type Doubt } from './changes.ts'
import { parsePolicy } from './parse.ts'

const RULE = 'rules: [{ name: r, conditions: { all: [{ fact: hour, operator: equal, value: 3 }] }, event: { type: forbid } }]\n'
const TWO_RULES = RULE.replace(']\n', `, ${RULE.slice(RULE.indexOf('{'), -2).replace('name: r', 'name: s')}]\n`)
const RULE_BLOCK = `rules:\n  - name: r\n    conditions: { all: [{ fact: hour, operator: equal, value: 3 }] }\n    event:\n      type: forbid\n      params:\n        message: MESSAGE`
const BUDGET = 'budgets: { daily_limit_usd: 5 }'
const MODELS = 'backends:\n  gpt:\n    models:\n    - a'

function policyOf(text: string) {
  const parsed = parsePolicy(text, 'v')
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  return parsed.policy
}

function doubt(before: string, after: string): Doubt {
  return doubtOf(policyOf(`${before}\n`), policyOf(`${after}\n`))
}

describe('A new policy looks cut short', () => {
  it.each([
    ['when it drops a limit', 'budgets: { daily_limit_usd: 5, monthly_limit_usd: 50 }', 'budgets: { monthly_limit_usd: 50 }'],
    ['when it drops a rule', `${RULE}timezone: UTC`, 'timezone: UTC'],
    ['when it raises a limit by more than half', 'budgets: { daily_limit_usd: 5 }', 'budgets: { daily_limit_usd: 7.51 }'],
    ['when it lowers a limit by more than half', 'budgets: { daily_limit_usd: 5 }', 'budgets: { daily_limit_usd: 2.49 }'],
    ['when it opens a limit of nothing', 'budgets: { per_backend: { gpt: 0/day } }', 'budgets: { per_backend: { gpt: 1/day } }'],
    ['when a quota moves to another window', 'backends: { gpt: { quota: 5/day } }', 'backends: { gpt: { quota: 5/month } }'],
    ['when a limit moves to another scope', 'limits: [{ name: x, amount: 5/day, backend: gpt }]', 'limits: [{ name: x, amount: 5/day, backend: kimi }]'],
    ['when limits are no longer hard', 'budgets: { daily_limit_usd: 5 }', 'budgets: { daily_limit_usd: 5, hard_stop: false }'],
    ['when it is the beginning of the old text', `budgets: { daily_limit_usd: 5 }\n# as agreed`, 'budgets: { daily_limit_usd: 5 }'],
    ['when it drops a section', `timezone: Asia/Tokyo\n${BUDGET}`, BUDGET],
    ['when it drops a price', 'prices: { a: free, b: free }', 'prices: { b: free }'],
  ])('%s', (_when, before, after) => {
    expect(doubt(before, after)).toBe('cut')
  })

  it.each([
    ['when something new stands at its end, which may be half of it', BUDGET, `${BUDGET}\n${RULE}`],
    ['when what stood at its end has been moved up', `${BUDGET}\ntimezone: UTC`, `timezone: UTC\n${BUDGET}`],
    ['when a list ends with another item', `${BUDGET}\n${MODELS}\n    - b`, `${BUDGET}\n${MODELS}\n    - new`],
  ])('or may still be growing %s', (_when, before, after) => {
    expect(doubt(before, after)).toBe('growing')
  })

  it.each([
    ['when nothing changes', 'budgets: { daily_limit_usd: 5 }', 'budgets: { daily_limit_usd: 5 }'],
    ['when it moves a limit by half', 'budgets: { daily_limit_usd: 5 }', 'budgets: { daily_limit_usd: 7.5 }'],
    ['when it adds a section, a limit and a rule above its end', `${RULE}${BUDGET}`, `timezone: Asia/Tokyo\n${TWO_RULES}${BUDGET}`],
    ['when it says something else at its end', `${BUDGET}\ntimezone: UTC`, `${BUDGET}\ntimezone: Asia/Tokyo`],
    ['when brackets at its end hold more', BUDGET, 'budgets: { daily_limit_usd: 5, monthly_limit_usd: 50 }'],
    [
      'when a rule is rewritten',
      `${RULE}${BUDGET}`,
      `${RULE.replace('{ type: forbid }', '{ type: avoid, params: { by: 0.1 } }').replace('all', 'any')}${BUDGET}`,
    ],
    ['when a comment is added', BUDGET, `${BUDGET}\n# as agreed`],
  ])('but not %s', (_when, before, after) => {
    expect(doubt(before, after)).toBe('none')
  })

  it('when its last line has no line break, which more could have followed', () => {
    expect(doubtOf(policyOf('max_output_tokens: 8192\n'), policyOf('max_output_tokens: 900'))).toBe('cut')
    const prices = (end: string) => `prices:\n  a{1}: free\n  b: { input_mtok: 1, output_mtok: 2 }${end}`
    expect(doubtOf(policyOf(prices('\n')), policyOf(prices('').replace('2', '3')))).toBe('none')
    const message = (end: string) => RULE_BLOCK.replace('MESSAGE', `say {it}${end}`)
    expect(doubtOf(policyOf(message(' so\n')), policyOf(message('').replace('3', '4')))).toBe('cut')
    expect(doubtOf(policyOf(`${BUDGET}\nmax_output_tokens: 900`), policyOf(`${BUDGET.replace('5', '6')}\nmax_output_tokens: 900`))).toBe('none')
  })
})

describe('What a new policy changes', () => {
  const changes = (before: string, after: string) => policyChanges(policyOf(before), policyOf(after))

  it('is each limit, old → new', () => {
    expect(changes('budgets: { daily_limit_usd: 5, monthly_limit_usd: 50 }', 'budgets: { daily_limit_usd: 6, per_backend: { gpt: 900k tokens/day } }')).toEqual(
      ['all.day: 5.00/day → 6.00/day', 'all.month: 50.00/month → none', 'gpt.day.tokens: none → 900k tokens/day'],
    )
    expect(changes('limits: [{ name: x, amount: 5/day, backend: gpt }]', 'limits: [{ name: x, amount: 5/day, backend: kimi }]')).toEqual([
      'x: 5.00/day → 5.00/day of other calls',
    ])
  })

  it('is each rule and each price, a few of them by name', () => {
    expect(
      changes(`${TWO_RULES}prices: { a: free, b: free }`, `# moved down\n${RULE.replace('3', '4')}prices: { b: { input_mtok: 1, output_mtok: 2 }, c: free }`),
    ).toEqual(['rule `r` changed', 'rule `s` dropped', 'price of `a` dropped', 'price of `b` changed', 'price of `c` added'])
    const prices = `prices: { ${Array.from({ length: 8 }, (_, n) => `m${n}: free`).join(', ')} }`
    expect(changes(BUDGET, `${BUDGET}\n${prices}`).slice(-2)).toEqual(['price of `m4` added', '3 more of them'])
  })

  it('is every other section', () => {
    const rest = `${BUDGET.replace('5 ', '5, hard_stop: false, warning_threshold: 0.9 ')}\ntimezone: Asia/Tokyo\nmax_output_tokens: 100\n`
    expect(changes(BUDGET, `${rest}floors: { total: 0.9 }\npreferences: { a: { gpt: 1 } }\nbackends: { gpt: {} }`)).toEqual([
      'hard_stop: true → false',
      'warning_threshold: 0.8 → 0.9',
      'timezone: UTC → Asia/Tokyo',
      'max_output_tokens: 8192 → 100',
      'backends changed',
      'floors changed',
      'preferences changed',
    ])
  })

  it('is nothing where comments are added, lines move, or a default is written out', () => {
    expect(changes(`${RULE}${BUDGET}`, `# a comment\n${BUDGET}\n${RULE}timezone: UTC`)).toEqual([])
  })
})

/** A file as people write it: the sections in this order, each with lines that edits touch. */
const FILE = `budgets:
  daily_limit_usd: 50.00
  monthly_limit_usd: 500.00
  per_backend:
    claude: 200.00/month
    gpt: 100.00/month
backends:
  claude:
    models:
      - claude-sonnet-4-20250514
      - claude-opus-4-8
    limits:
      - 20.00/day
  gpt: { models: [gpt-5] }
limits:
  - name: opus
    amount: 30.00/day
    model: claude-opus-4-8
rules:
  - name: opus is for reasoning
    event: { type: forbid }
    conditions:
      all:
        - { fact: model, operator: equal, value: claude-opus-4-8 }
        - { fact: task_type, operator: notEqual, value: reasoning }
prices:
  gpt-5:
    input_mtok: 50
    output_mtok: 100
timezone: America/New_York
max_output_tokens: 2048
`

type Edit = readonly [old: string, new: string]
const EDITS: readonly Edit[] = [
  ['daily_limit_usd: 50.00', 'daily_limit_usd: 51.00'],
  ['    gpt: 100.00/month', '    gpt: 110.00/month\n    kimi: 15.00/month'],
  ['  gpt: { models: [gpt-5] }', '  kimi:\n    quota: 15.00/month\n    limits: [2.00/day]\n  gpt: { models: [gpt-5] }'],
  ['      - claude-opus-4-8\n', '      - claude-opus-4-8\n      - claude-haiku-4-5\n'],
  ['rules:\n', 'rules:\n  - name: nights\n    conditions:\n      any:\n      - { fact: hour, operator: lessThan, value: 6 }\n    event: { type: avoid }\n'],
  ['        - { fact: task_type', '        - { fact: hour, operator: lessThan, value: 18 }\n        - { fact: task_type'],
  ['prices:\n', 'prices:\n  claude-opus-4-8:\n    input_mtok: 20\n    output_mtok: 90\n    cache_write_mtok: 30\n'],
  ['max_output_tokens: 2048', 'max_output_tokens: 2500'],
]
/** The file in another order ends with a rule, with a limit, or with a list. */
const ORDERS = [FILE, ...['rules', 'limits', 'backends'].map(withLast)]

function withLast(section: string): string {
  const block = new RegExp(`^${section}:\\n(?: .*\\n)+`, 'm').exec(FILE)?.[0] ?? ''
  return FILE.replace(block, '') + block
}

function edited(text: string, edits: readonly Edit[]): string {
  return edits.reduce((sum, [old, now]) => sum.replace(old, now), text)
}

/** What a policy says, without where it says it. */
function meaningOf({ version: _version, text: _text, origins: _origins, outline: _outline, rules, ...rest }: Policy): string {
  const plain = (_key: string, value: unknown): unknown => (value instanceof Map ? [...value] : value)
  return JSON.stringify({ ...rest, rules: rules.map(({ line: _line, ...rule }) => rule) }, plain)
}

/** Whether a file cut there counts at once and says something else than the whole. */
function slipsThrough(before: Policy, whole: string, cut: number): boolean {
  const parsed = parsePolicy(whole.slice(0, cut), 'cut')
  return parsed.ok && meaningOf(parsed.policy) !== meaningOf(policyOf(whole)) && doubtOf(before, parsed.policy) === 'none'
}

describe('A file that is cut anywhere in the middle of a save, after any edits,', () => {
  it('never counts before it has been still, unless it says all of the new text', () => {
    const edits = fc.subarray([...EDITS])
    fc.assert(
      fc.property(fc.constantFrom(...ORDERS), edits, fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean(), (order, chosen, share, isLineEnd) => {
        const whole = edited(order, chosen)
        const anywhere = Math.floor(share * whole.length)
        expect(slipsThrough(policyOf(order), whole, isLineEnd ? whole.indexOf('\n', anywhere) + 1 : anywhere)).toBe(false)
      }),
      { numRuns: 800 },
    )
  })

  it('does not count at any of its bytes where all edits were made', () => {
    const before = policyOf(FILE)
    const whole = edited(FILE, EDITS)
    expect(Array.from({ length: whole.length }, (_, cut) => cut).filter((cut) => slipsThrough(before, whole, cut))).toEqual([])
  })

  it('while the whole of it counts at once, whichever edit was made in the middle', () => {
    for (const edit of EDITS) expect(doubtOf(policyOf(FILE), policyOf(edited(FILE, [edit])))).toBe('none')
  })

  it('counts at once only where the old text ended, which nobody can tell from a file without what was to be added there', () => {
    const before = policyOf(FILE)
    const added = `${FILE.replace('50.00', '51.00')}preferences:\n  bulk:\n    gpt: 0.9\n    claude: 0.1\nfloors: { total: 0.9 }\n`
    const slips = Array.from({ length: added.length }, (_, cut) => cut).filter((cut) => slipsThrough(before, added, cut))
    expect(slips).toEqual([FILE.length])
  })
})

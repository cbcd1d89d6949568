import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Policy } from '../policy/policy.ts'
import { formatAmount } from './amount.ts'
import { formatIssues } from './issues.ts'
import { parsePolicy } from './parse.ts'
import { budgetsJsonSchema } from './schema.ts'

const CONFIGS = join(import.meta.dirname, '../../../../configs')
const BRIEF = `budgets:
  daily_limit_usd: 5.00
  monthly_limit_usd: 50.00
  per_backend:
    claude: 20.00/month
    kimi: 15.00/month
    gpt: 10.00/month
    gemini: 5.00/month
  warning_threshold: 0.8   # warn at 80% spend
  hard_stop: true          # refuse cloud calls at limit
`

function policyOf(text: string): Policy {
  const parsed = parsePolicy(text, 'v')
  if (!parsed.ok) throw new Error(formatIssues(parsed.issues, { file: 'test', text }))
  return parsed.policy
}

function adviceOn(text: string): readonly string[] {
  const parsed = parsePolicy(text, 'v')
  return parsed.ok ? parsed.advice.map((issue) => issue.message) : ['refused']
}

function issuesOf(text: string): readonly string[] {
  const parsed = parsePolicy(text, 'v')
  return parsed.ok ? [] : parsed.issues.map((issue) => issue.message)
}

function limitsOf(policy: Policy): Record<string, string> {
  return Object.fromEntries(policy.limits.map((limit) => [limit.name, formatAmount(limit)]))
}

describe('The policy file of the brief', () => {
  const shipped = readFileSync(join(CONFIGS, 'budgets.yaml'), 'utf8')

  it('stands word for word in configs/budgets.yaml, which means the same', () => {
    expect(shipped).toContain(BRIEF)
    const plain = (text: string) => ({ ...policyOf(text), text: '', origins: undefined })
    expect(plain(shipped)).toEqual(plain(BRIEF))
  })

  it('gives its limits, in order, and the defaults', () => {
    const policy = policyOf(BRIEF)
    expect(Object.entries(limitsOf(policy))).toEqual([
      ['all.day', '5.00/day'],
      ['all.month', '50.00/month'],
      ['claude.month', '20.00/month'],
      ['kimi.month', '15.00/month'],
      ['gpt.month', '10.00/month'],
      ['gemini.month', '5.00/month'],
    ])
    expect(policy.limits.every((limit) => limit.hard)).toBe(true)
    expect(policy.backends.map(({ name, kind, provider, quota }) => [name, kind, provider, quota])).toEqual([
      ['claude', 'cloud', 'anthropic', 'claude.month'],
      ['kimi', 'cloud', 'moonshotai', 'kimi.month'],
      ['gpt', 'cloud', 'openai', 'gpt.month'],
      ['gemini', 'cloud', 'google', 'gemini.month'],
      ['local', 'local', undefined, undefined],
    ])
    expect(policy).toMatchObject({
      timezone: 'UTC',
      warningThreshold: 0.8,
      hardStop: true,
      floors: { backend: 0.5, total: 0.7, lowRemaining: 0.1 },
      maxOutputTokens: 8192,
    })
  })

  it('draws the advice that its day is three times the even pace of its month', () => {
    const parsed = parsePolicy(BRIEF, 'v')
    expect(parsed.ok && parsed.advice.map(({ line, found }) => [line, found])).toEqual([[2, '5.00/day, 3.0 times the even pace of 50.00/month']])
  })

  it('has examples in its comments that are good policies when the # is removed', () => {
    const commented = shipped.slice(shipped.indexOf('# All that follows'))
    const examples = [...commented.matchAll(/^# ((?:timezone|backends|limits|floors|preferences|prices|max_output_tokens|rules):.*(?:\n# +.*)*)/gm)].map(
      ([block]) => block.replace(/^# /gm, ''),
    )
    expect(examples.length).toBe(8)
    const policy = policyOf(`${BRIEF}${examples.join('\n')}\n`)
    expect(policy.rules.map((rule) => rule.name)).toEqual(['opus is for reasoning', 'nights are for gemini', "half of the day's money before noon"])
    expect(policy.backends.find(({ name }) => name === 'claude')).toMatchObject({ quota: 'claude.quota', paidNano: 45_996_837_717 })
    expect(limitsOf(policy)).toMatchObject({ 'claude.5h@first-use.tokens': '900k tokens/5h@first-use', 'gemini.quota': '1500 requests/day', opus: '3.00/day' })
  })

  it('has a JSON Schema for editors that is up to date', () => {
    expect(JSON.parse(readFileSync(join(CONFIGS, 'budgets.schema.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(budgetsJsonSchema())))
  })
})

describe('Backends', () => {
  it('are exactly those that the file names; known names may leave out what is built in', () => {
    const policy = policyOf('backends:\n  gpt: { quota: 10.00/month }\n  mine: { provider: openai, models: [m] }\n  local: {}\n')
    expect(policy.backends.map(({ name, kind, models }) => [name, kind, models])).toEqual([
      ['gpt', 'cloud', ['gpt-5', 'gpt-5-mini']],
      ['mine', 'cloud', ['m']],
      ['local', 'local', ['llama3.1:8b']],
    ])
  })

  it('take the limit of their own with the longest anchored window for their quota', () => {
    const quotas = (text: string) => policyOf(text).backends.map(({ quota }) => quota)
    expect(quotas('backends: { claude: { limits: [5.00/day, 100k tokens/90d, 20.00/week] } }')).toEqual(['claude.week'])
    expect(quotas('backends: { claude: { limits: [900.00/year], quota: 5.00/day } }')).toEqual(['claude.quota'])
    expect(quotas('backends: { claude: { limits: [5.00/5h] } }')).toEqual([undefined])
    expect(
      quotas(
        'backends: { claude: {} }\nlimits: [{ name: x, amount: 5.00/day, backend: claude, task_type: t }, { name: y, amount: 5.00/day, backend: claude }]',
      ),
    ).toEqual(['y'])
  })

  it('say what their plan costs in the window of their quota, to the nano', () => {
    const paid = (text: string) => policyOf(`backends: { claude: ${text} }`).backends[0]?.paidNano
    expect(paid('{ quota: 45M tokens/month@15, paid: 200.00/month }')).toBe(200_000_000_000)
    expect(paid('{ quota: 45M tokens/quarter, paid: 200.00/month }')).toBe(600_000_000_000)
    expect(paid('{ quota: 45M tokens/day, paid: 7.00/week }')).toBe(1_000_000_000)
    expect(paid('{ quota: 45M tokens/day }')).toBeUndefined()
  })
})

describe('Limits', () => {
  it('are not hard without hard_stop', () => {
    expect(policyOf('budgets: { daily_limit_usd: 5, hard_stop: false }\nlimits: [{ name: x, amount: 1/day }]').limits.map(({ hard }) => hard)).toEqual([
      false,
      false,
    ])
  })

  it('keep their scope', () => {
    expect(policyOf('limits: [{ name: x, amount: 1/day, backend: claude, model: claude-opus-4-8, task_type: bulk }]').limits[0]?.scope).toEqual({
      backend: 'claude',
      model: 'claude-opus-4-8',
      taskType: 'bulk',
    })
  })

  it('of nothing are allowed: they switch a backend off', () => {
    expect(policyOf('budgets: { per_backend: { gpt: 0/day } }').limits[0]?.quantity).toBe(0)
  })
})

describe('Rules', () => {
  it('are read word for word, with their line', () => {
    const rule = {
      name: 'r',
      conditions: {
        any: [{ not: { fact: 'tags', operator: 'contains', value: 'x' } }, { fact: 'backend.used', operator: 'lessThan', value: { fact: 'backend.elapsed' } }],
      },
      event: { type: 'prefer', params: { by: 0.3 } },
    }
    expect(policyOf(`rules:\n\n  - ${JSON.stringify(rule)}\n`).rules).toEqual([{ ...rule, line: 3 }])
  })

  it('may speak of every limit', () => {
    const rules = ['all.day.used', 'claude.week@Mon 09:00.tokens.spent', 'x.left_usd'].map((fact, index) => ({
      name: `r${index}`,
      conditions: { all: [{ fact, operator: 'greaterThan', value: 0.5 }] },
      event: { type: 'notify' },
    }))
    const text = `budgets: { daily_limit_usd: 5 }\nbackends: { claude: { limits: [1M tokens/week@Mon 09:00] } }\nlimits: [{ name: x, amount: 1/day }]\nrules: ${JSON.stringify(rules)}`
    expect(policyOf(text).rules.length).toBe(3)
  })

  it('may be a thousand', () => {
    const rule = (index: number) => `  - { name: r${index}, conditions: { all: [{ fact: hour, operator: equal, value: 3 }] }, event: { type: notify } }\n`
    const rules = (count: number) => `rules:\n${Array.from({ length: count }, (_, index) => rule(index)).join('')}`
    expect(policyOf(rules(1_000)).rules.length).toBe(1_000)
    expect(issuesOf(rules(1_001))).toEqual(['A list is too long'])
    expect(issuesOf(`rules: [${Array.from({ length: 1_001 }, () => '{}').join(', ')}]`)).toContain('`rules` cannot be used as it stands')
  })
})

describe('A file beyond bounds is refused before it can hurt', () => {
  const cases: Record<string, [string, string]> = {
    'too many bytes': [`# ${'€'.repeat(90_000)}`, 'The file is too large'],
    'forty thousand keys': [Array.from({ length: 40_000 }, (_, index) => `${index.toString(36)}:`).join('\n'), 'The file has too many parts'],
    'five thousand keys': [Array.from({ length: 5_000 }, (_, index) => `k${index}: 1`).join('\n'), 'A list or mapping is too long'],
    'nested flow lists': ['['.repeat(20_000), 'The file is nested too deeply'],
    'nested block lists': ['- '.repeat(20_000), 'The file is nested too deeply'],
    'nested block mappings': [Array.from({ length: 600 }, (_, index) => `${' '.repeat(index)}a:`).join('\n'), 'The file is nested too deeply'],
    'nested conditions': [
      `rules: [{ name: r, event: { type: forbid }, conditions: ${'{ not: '.repeat(40)}1${' }'.repeat(40)} }]`,
      'The file is nested too deeply',
    ],
    'a bomb of aliases': ['a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]', 'Anchors are not allowed'],
    'endless documents': ['---\n'.repeat(50_000), 'Only one document is allowed'],
  }
  it.each(Object.entries(cases))('%s', (_name, [text, message]) => {
    expect(issuesOf(text)).toEqual([message])
  })

  it('counts 32 levels as the last', () => {
    const nested = (levels: number) => `prices: ${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}`
    expect(issuesOf(nested(32))).toEqual(['`prices` cannot be used as it stands'])
    expect(issuesOf(nested(33))).toEqual(['The file is nested too deeply'])
  })
})

describe('Any text', () => {
  it('gives a policy or issues, and never throws', () => {
    const piece = fc.constantFrom(
      'budgets',
      ':',
      ' ',
      '\n',
      '  ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      ',',
      '"',
      "'",
      'rules',
      'conditions',
      'all',
      'fact',
      '5.00',
      'null',
      '.nan',
      '&a',
      '*a',
      '!!x',
      '---',
      '|',
      '>',
      '#',
      '?',
      '\t',
      '\uFEFF',
      '__proto__',
      'constructor',
      '<<',
      '\r\n',
      '€',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const text = pieces.join('')
        const parsed = parsePolicy(text, 'v')
        if (!parsed.ok) expect(formatIssues(parsed.issues, { file: 'f', text })).toMatch(/^f:\d+:\d+: /)
      }),
      { numRuns: 2_000 },
    )
  })

  it('may begin with a byte-order mark and end its lines as Windows does', () => {
    const windows = `\uFEFF${BRIEF.replaceAll('\n', '\r\n')}`
    expect({ ...policyOf(windows), text: '' }).toEqual({ ...policyOf(BRIEF), text: '' })
    expect(parsePolicy('\uFEFFbudgetz: 1', 'v')).toMatchObject({ issues: [{ line: 1, column: 1 }] })
  })

  it('changes no prototype', () => {
    expect(issuesOf('prices: { __proto__: { polluted: free } }')).toEqual(['The key `__proto__` is not allowed'])
    expect(issuesOf('budgets: { "__proto__": { daily_limit_usd: 5 } }')).toEqual(['The key `__proto__` is not allowed'])
    expect(policyOf('prices: { constructor: free, toString: free }').prices.get('toString')).toBe('free')
  })
})

describe('Advice', () => {
  it('names a limit that another one always reaches first', () => {
    expect(adviceOn('budgets: { daily_limit_usd: 60, monthly_limit_usd: 50 }')).toEqual(['The limit `all.day` can never bind: `all.month` is reached first'])
    expect(adviceOn('budgets: { monthly_limit_usd: 50, per_backend: { claude: 60/month } }')).toEqual([
      'The limit `claude.month` can never bind: `all.month` is reached first',
    ])
    expect(adviceOn('budgets: { monthly_limit_usd: 50, per_backend: { claude: 60/week } }')).toEqual([])
    expect(adviceOn('budgets: { monthly_limit_usd: 50, per_backend: { claude: 50/month } }')).toEqual([])
  })

  it('keeps quiet about a day of five times the even pace', () => {
    expect(adviceOn('budgets: { daily_limit_usd: 8.34, monthly_limit_usd: 50 }')).toEqual([])
    expect(adviceOn('budgets: { daily_limit_usd: 8.33, monthly_limit_usd: 50 }')).toEqual(['The daily limit `all.day` may keep `all.month` from being used up'])
  })

  it('names what has no limit, what has no effect and what is misspelt', () => {
    expect(adviceOn('timezone: UTC')).toEqual(['Nothing limits the calls of claude, kimi, gpt, gemini as a whole'])
    expect(adviceOn('budgets: { monthly_limit_usd: 50, per_backend: { local: 5/month } }')).toEqual([
      'The limit `local.month` can never bind: local calls cost nothing',
    ])
    expect(adviceOn('budgets: { monthly_limit_usd: 50, per_backend: { gpt: 5/month } }\nbackends: { claude: {} }')).toEqual(['There is no backend `gpt`'])
    expect(adviceOn('budgets: { monthly_limit_usd: 50 }\nprices: { kimi-k3: free }')).toEqual(['No backend lists the model `kimi-k3`'])
  })
})

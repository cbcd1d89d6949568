import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parsePolicy } from './parse.ts'

const TEXT = `timezone: "America/New_York"
budgets:
  daily_limit_usd: 5.00   # all together
  per_backend:
    claude: 20.00/month
    'local': 5k requests/day
limits:
  - { name: opus, amount: 3.00/day, model: claude-opus-4-8 }
  - name: bulk
    amount: 900k tokens/5h@first-use
rules:
  - name: "it's late: stop"
    conditions: { all: [{ fact: hour, operator: greaterThan, value: 22 }, { fact: tags, operator: contains, value: 'bulk' }] }
    event:
      type: forbid
`
/** A place, how much of the text goes there, and what comes in its stead. */
const anySlip = fc.tuple(
  fc.nat({ max: TEXT.length }),
  fc.nat({ max: 3 }),
  fc.constantFrom('', '"', "'", '[', ']', '{', '}', ':', ': ', '-', '- ', '\n', '\r\n', ' ', '  ', ',', '#', '|', '\t'),
)

it('A text with slips of the pen is taken, or refused with mistakes that stand in it', () => {
  let refused = 0
  fc.assert(
    fc.property(fc.array(anySlip, { minLength: 1, maxLength: 3 }), (slips) => {
      const text = slips.reduce((before, [at, cut, put]) => before.slice(0, at) + put + before.slice(at + cut), TEXT)
      const parsed = parsePolicy(text, 'test')
      if (parsed.ok) return
      refused += 1
      const lines = text.split('\n')
      expect(parsed.issues.length).toBeGreaterThan(0)
      for (const { line, column, found, expected } of parsed.issues) {
        expect(column).toBeGreaterThan(0)
        expect(column).toBeLessThanOrEqual((lines[line - 1] ?? '').length + 1)
        expect([found, expected]).not.toContain('')
      }
    }),
    { numRuns: 1_000 },
  )
  expect(refused).toBeGreaterThan(300)
})

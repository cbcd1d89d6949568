import { beforeEach, describe, expect, it, vi } from 'vitest'
import { nearest } from '../nearest.ts'
import { parsePolicy } from './parse.ts'
import { MAX_ISSUES } from './tree.ts'

vi.mock('../nearest.ts', { spy: true })

const lines = (count: number, line: (index: number) => string): string => Array.from({ length: count }, (_, index) => `${line(index)}\n`).join('')
const rule = (name: string, leaf: string): string => `  - { name: ${name}, conditions: { all: [${leaf}] }, event: { type: forbid } }`
const limits = (count: number): string => `limits:\n${lines(count, (n) => `  - { name: limit-${n}, amount: 5.00/day, task_type: t${n} }`)}`

/** What grows with the file is looked at once; what is dear, the search for what was meant, is for what is shown. */
describe('In a large file, what was probably meant is looked for only where it is shown:', () => {
  beforeEach(() => {
    vi.mocked(nearest).mockClear()
  })

  it.each([
    ['facts of a thousand limits', limits(1_000) + `rules:\n${lines(900, (n) => rule(`r${n}`, `{ fact: limit-${n}.usd, operator: greaterThan, value: 1 }`))}`],
    ['facts that facts are compared with', `rules:\n${lines(900, (n) => rule(`r${n}`, `{ fact: hour, operator: equal, value: { fact: hou${n} } }`))}`],
    ['backends of rules', `rules:\n${lines(900, (n) => rule(`r${n}`, `{ fact: backend, operator: in, value: [claud, gptt${n}, kimmi] }`))}`],
    ['backends of preferences', `preferences:\n${lines(1_900, (n) => `  task-${n}: { claud: 1.0, gptt: 0.5 }`)}`],
    ['backends and models of limits', `limits:\n${lines(900, (n) => `  - { name: l${n}, amount: 5.00/day, model: gpt-55 }`)}`],
    ['unknown keys', `rules:\n${lines(900, (n) => `  - { nam: r${n} }`)}`],
  ])('%s', (_, text) => {
    const parsed = parsePolicy(text, 'v')
    expect(parsed.ok ? 0 : parsed.issues.length).toBe(MAX_ISSUES)
    expect(vi.mocked(nearest).mock.calls.length).toBeGreaterThan(0)
    expect(vi.mocked(nearest).mock.calls.length).toBeLessThanOrEqual(MAX_ISSUES * 2)
  })

  it.each([
    [
      'models of rules',
      `rules:\n${lines(20, (n) => rule(`r${n}`, `{ fact: model, operator: in, value: [${lines(90, (m) => `m-${m},`).replaceAll('\n', '')}] }`))}`,
    ],
    ['models of prices', `prices:\n${lines(1_900, (n) => `  gpt-${n}x: free`)}`],
  ])('%s, in advice', (_, text) => {
    const parsed = parsePolicy(text, 'v')
    expect(parsed.ok).toBe(true)
    expect(vi.mocked(nearest).mock.calls.length).toBeLessThanOrEqual(MAX_ISSUES)
  })
})

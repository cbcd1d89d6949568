import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { checkCases, type CheckedCases } from '../../packages/cli/src/commands/check-cases.ts'
import { runCaptured, type Captured } from '../captured-run.ts'

const folder = import.meta.dirname
const none = (): never => {
  throw new Error('a file of cases names no policy')
}
const checked = await checkCases(folder, none)

function check(...argv: readonly string[]): Promise<Captured> {
  return runCaptured(['check', ...argv])
}

function newFolder(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'cases-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text)
  return root
}

describe('Policy cases', () => {
  it('are all played', () => {
    expect(checked.map(({ file }) => file)).toEqual(
      readdirSync(folder)
        .filter((name) => name.endsWith('.yaml'))
        .toSorted()
        .map((name) => join(folder, name)),
    )
    expect(checked.flatMap((one) => ('results' in one ? one.results : [])).length).toBeGreaterThanOrEqual(30)
  })

  it.each(checked.map((one): readonly [string, CheckedCases] => [one.file.replace(folder, ''), one]))('%s', (_, one) => {
    expect('results' in one && one.results.flatMap(({ name, ok, differences, reasons }) => (ok ? [] : [{ name, differences, reasons }]))).toEqual([])
  })
})

describe('manciple check --cases', () => {
  const POLICY = 'budgets: { daily_limit_usd: 5.00 }\nbackends: { claude: {}, local: {} }\n'
  const CASES = `cases:
  - name: a spent day goes local
    totals: { all.day: 5.00 }
    request: { backend: claude }
    expect:
      verdict: dispatch
      backend: local
      rules: [all.day, none of ours]
      notices: []
`

  it('says of a case that fails what was expected and found, with the line of each expectation, and fails', async () => {
    const root = newFolder({ 'policy.txt': POLICY, 'a.yaml': CASES })
    const { code, out } = await check(join(root, 'policy.txt'), '--cases', root)
    expect(code).toBe(1)
    const file = join(root, 'a.yaml')
    expect(out).toContain(`${file}:2: failed: a spent day goes local\n  ${file}:6: expect.verdict\n    expected: dispatch\n    found:    reroute\n`)
    expect(out).toContain(`  ${file}:8: expect.rules\n    expected: all.day, none of ours\n    found:    all.day, all.day near`)
    expect(out).toContain(`  ${file}:9: expect.notices\n    expected: none\n    found:    limit-reached, local-only, limit-near`)
    expect(out).toMatch(/because: {4}claude\/claude-sonnet-4-20250514 was left: all\.day has \$0\.00 left/)
    expect(out).toMatch(/\nfailed: 1 case in 1 file, 1 failed\n$/)
  })

  it('gives programs the same', async () => {
    const root = newFolder({ 'policy.txt': POLICY, 'a.yaml': CASES })
    const { code, out } = await check(join(root, 'policy.txt'), '--cases', root, '--json')
    expect(code).toBe(1)
    const [file] = (JSON.parse(out) as { cases: readonly { cases: readonly unknown[] }[] }).cases
    expect(JSON.parse(out)).toMatchObject({ ok: false, limits: 1 })
    expect(file?.cases).toMatchObject([{ name: 'a spent day goes local', line: 2, ok: false }])
    expect(file?.cases[0]).toHaveProperty('differences.0', { what: 'expect.verdict', line: 6, expected: 'dispatch', found: 'reroute' })
  })

  it('passes with the policy of the file that is checked, where a file of cases names none', async () => {
    const root = newFolder({ 'policy.txt': POLICY, 'a.yaml': 'cases: [{ name: x, request: { backend: claude }, expect: { backend: claude } }]' })
    const { code, out } = await check(join(root, 'policy.txt'), '--cases', root)
    expect(out).toMatch(/^ok: 1 limit.*\n\nok: 1 case in 1 file\n$/s)
    expect(code).toBe(0)
  })

  it.each([
    ['a key that is misspelt', 'cases: [{ name: x, expekt: {} }]', /a\.yaml:1:20: Unknown key in `cases\[0\]`.*did you mean `expect`/s],
    ['a verdict that there is not', 'cases: [{ name: x, expect: { verdict: maybe } }]', /expected: one of dispatch, reroute, refuse/],
    ['no cases', 'cases: []', /a list of 1 to 1,000 cases/],
    [
      'a limit that the policy does not have',
      'cases: [{ name: x, totals: { all.dya: 1 }, expect: {} }]',
      /found: {4}totals: there is no limit "all\.dya"; the policy has all\.day/,
    ],
    ['a backend that it does not have', 'cases: [{ name: x, request: { backend: gtp }, expect: {} }]', /backend "gtp": the policy has claude, local/],
    ['a day that no calendar has', 'cases: [{ name: x, at: "2026-02-30T12:00", expect: {} }]', /there is no time 2026-02-30T12:00/],
    ['a policy with mistakes', 'policy: |\n  budgets: { daily: 5 }\ncases: [{ name: x, expect: {} }]', /a\.yaml \(policy\):1:12: Unknown key in `budgets`/],
  ])('refuses %s', async (_, cases, message) => {
    const root = newFolder({ 'policy.txt': POLICY, 'a.yaml': cases })
    const { code, out } = await check(join(root, 'policy.txt'), '--cases', root)
    expect(out).toMatch(message)
    expect(code).toBe(1)
  })

  it('is a wrong use where there is no case, or no policy for one', async () => {
    const root = newFolder({ 'policy.txt': POLICY })
    expect(await check(join(root, 'policy.txt'), '--cases', root)).toMatchObject({ code: 2, err: expect.stringContaining('has no cases') })
    expect(await check(join(root, 'none.yaml'), '--cases', root)).toMatchObject({ code: 2, err: expect.stringContaining('CONFIG_MISSING') })
  })
})

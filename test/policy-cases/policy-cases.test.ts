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
  const POLICY =
    'budgets: { daily_limit_usd: 5.00 }\nbackends: { claude: {}, local: {} }\n' +
    'rules: [{ name: not at three, conditions: { all: [{ fact: hour, operator: equal, value: 3 }] }, event: { type: forbid } }]\n'
  const CASES = `cases:
  - name: a spent day goes local
    totals: { all.day: 5.00 }
    request: { backend: claude }
    expect:
      verdict: dispatch
      backend: local
      rules: [all.day, not at three]
      notices: []
`

  it('says of a case that fails what was expected and found, with the line of each expectation, and fails', async () => {
    const root = newFolder({ 'policy.txt': POLICY, 'a.yaml': CASES })
    const { code, out } = await check(join(root, 'policy.txt'), '--cases', root)
    expect(code).toBe(1)
    const file = join(root, 'a.yaml')
    expect(out).toContain(`${file}:2: failed: a spent day goes local\n  ${file}:6: expect.verdict\n    expected: dispatch\n    found:    reroute\n`)
    expect(out).toContain(`  ${file}:8: expect.rules\n    expected: all.day, not at three\n    found:    all.day, all.day near`)
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
      'a case that expects nothing',
      'cases: [{ name: x, expect: {} }]',
      /a\.yaml:1:28: .*found: {4}an empty mapping\n {2}expected: at least one of verdict, backend/s,
    ],
    ['an empty file', '# none yet\n', /a\.yaml:1:1: The file says nothing.*expected: a list of cases, at least `cases:`\n {2}hint: {5}the least is cases: \[/s],
    ['a day that no calendar has', 'cases: [{ name: x, at: "2026-02-30T12:00", expect: { rules: [] } }]', /there is no time 2026-02-30T12:00/],
  ])('refuses %s', async (_, cases, message) => {
    const root = newFolder({ 'policy.txt': POLICY, 'a.yaml': cases })
    const { code, out } = await check(join(root, 'policy.txt'), '--cases', root)
    expect(out).toMatch(message)
    expect(code).toBe(1)
  })

  it('says of every name that the policy does not have where it stands and what was meant, beside the mistakes of form', async () => {
    const cases = `cases:
  - name: x
    totals: { all.day: 1, al.day: 1 }
    spent: [{ backend: locl, usd: 1 }, { backend: claude, model: claude-opus-4-9 }]
    request: { backend: cluade, candidates: [local, gemini], n: many }
    expect: { backend: locl, model: llama3.1:8, rules: [al.day, not at thre], notices: [limit-reachd] }
  - name: y
    request: { model: claude-opus-4-9 }
    expect: {}
`
    const root = newFolder({ 'policy.txt': POLICY, 'a.yaml': cases })
    const { code, out } = await check(join(root, 'policy.txt'), '--cases', root)
    expect(code).toBe(1)
    const shown = [...out.matchAll(/^.*a\.yaml:(\d+:\d+): (.*)\n.*\n.*\^\n {2}found: .*\n {2}expected: .*\n(?: {2}hint: {5}(.*)\n)?/gm)]
    expect(shown.map(([, place, message, hint]) => [place, message, hint])).toEqual([
      ['3:27', 'There is no limit `al.day`', 'did you mean `all.day`?'],
      ['4:24', 'There is no backend `locl`', 'did you mean `local`?'],
      ['4:66', 'There is no model `claude-opus-4-9`', 'did you mean `claude-opus-4-8`?'],
      ['5:25', 'There is no backend `cluade`', 'did you mean `claude`?'],
      ['5:53', 'There is no backend `gemini`', undefined],
      ['5:65', '`cases[0].request.n` cannot be used as it stands', undefined],
      ['6:24', 'There is no backend `locl`', 'did you mean `local`?'],
      ['6:37', 'There is no model `llama3.1:8`', 'did you mean `llama3.1:8b`?'],
      ['6:57', 'There is no rule or limit `al.day`', 'did you mean `all.day`?'],
      ['6:65', 'There is no rule or limit `not at thre`', 'did you mean `not at three`?'],
      ['6:89', 'There is no kind of notice `limit-reachd`', 'did you mean `limit-reached`?'],
      ['8:23', 'There is no model `claude-opus-4-9`', 'did you mean `claude-opus-4-8`?'],
      ['9:13', '`cases[1].expect` cannot be used as it stands', undefined],
    ])
    expect(out).toMatch(/6 \| {5}expect.*notices.*\n.*\n.*\n {2}expected: one of all\.day, all\.day near, not at three\n/)
    expect(out).toMatch(/failed: 0 cases in 1 file, 1 file with mistakes\n$/)
  })

  it('knows the kinds of notices that own rules raise, and takes a backend at its word for a model', async () => {
    const cases = `policy: |
  rules: [{ name: r, conditions: { all: [{ fact: hour, operator: equal, value: 12 }] }, event: { type: notify, params: { kind: noon } } }]
cases:
  - { name: x, request: { backend: claude, model: claude-opus-4-9 }, expect: { model: claude-opus-4-9, notices: [noon] } }
`
    const { out } = await check('--cases', newFolder({ 'a.yaml': cases }))
    expect(out).not.toContain('There is no')
    expect(out).toContain('  because:    no backend lists the model claude-opus-4-9 (did you mean claude-opus-4-8?); ')
  })

  it('shows the mistakes of a policy where they stand: in its own file, or in the block of the file of cases', async () => {
    const CASE = 'cases: [{ name: x, expect: { rules: [] }, totals: 1 }]\n'
    const block = await check('--cases', newFolder({ 'a.yaml': `# a\npolicy: |   # of its own\n\n    budgets: { daily: 5 }\n    zone: UTC\n${CASE}` }))
    expect(block.out).toMatch(/a\.yaml:4:16: Unknown key in `budgets`\n {2}4 \| {5}budgets: \{ daily: 5 \}\n {4}\| {16}\^\n/)
    expect(block.out).toMatch(/a\.yaml:5:5: Unknown key\n.*a\.yaml:6:51: `cases\[0\]\.totals` cannot be used/s)
    const quoted = await check('--cases', newFolder({ 'a.yaml': `policy: "budgets: { daily: 5 }\\n"\n${CASE}` }))
    expect(quoted.out).toMatch(/a\.yaml:1:9: Unknown key in `budgets`\n/)
    const file = await check('--cases', newFolder({ 'a.yaml': 'policy: p.txt\ncases: [{ name: x, expect: { rules: [] } }]', 'p.txt': 'zone: UTC\n' }))
    expect(file.out).toMatch(/p\.txt:1:1: Unknown key\n {2}1 \| zone: UTC\n/)
    expect([block.code, quoted.code, file.code]).toEqual([1, 1, 1])
  })

  it('is a wrong use where there is no case, or no policy for one', async () => {
    const root = newFolder({ 'policy.txt': POLICY })
    expect(await check(join(root, 'policy.txt'), '--cases', root)).toMatchObject({ code: 2, err: expect.stringContaining('has no cases') })
    expect(await check(join(root, 'none.yaml'), '--cases', root)).toMatchObject({ code: 2, err: expect.stringContaining('CONFIG_MISSING') })
  })
})

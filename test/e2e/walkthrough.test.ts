import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findTraces } from '../pacing/month.ts'
import { runCaptured, type Captured } from '../captured-run.ts'

/** Makes a month of calls from public traces. Where it is not at hand its part is skipped, and said so. */
const makeMonth = findTraces(undefined)

let root = ''
let file = ''
let policy = ''

function manciple(...argv: readonly string[]): Promise<Captured> {
  return runCaptured(argv)
}

/** Writes the file as an editor does, with one text in place of another. */
function edit(from: string, to: string): void {
  expect(policy).toContain(from)
  policy = policy.replace(from, to)
  writeFileSync(file, policy)
}

/** What a message proposes is taken as it is, where it says: a word or an amount to write, or how far to indent. */
function mended(text: string, mistake: string): string {
  const [, line = '', column = ''] = /budgets\.yaml:(\d+):(\d+):/.exec(mistake) ?? []
  const lines = text.split('\n')
  const at = Number(line) - 1
  const old = lines[at] ?? ''
  const spaces = /^ {2}expected: (\d+) spaces/m.exec(mistake)?.[1]
  const meant = /^ {2}hint: +(?:did you mean|write) `?([\w.,/]+)`?\??$/m.exec(mistake)?.[1] ?? ''
  const head = old.slice(0, Number(column) - 1)
  lines[at] = spaces === undefined ? head + old.slice(head.length).replace(/^[\w.,/]*\w/, meant) : ' '.repeat(Number(spaces)) + old.trimStart()
  return lines.join('\n')
}

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'walkthrough-'))
  file = join(root, 'budgets.yaml')
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** What the README shows, and what the commands say, is all that this user knows. Each step goes on from the one before. */
describe('A new user', () => {
  it('writes a first policy by one command, and finds nothing said against it', async () => {
    expect(await manciple('init', file, '--monthly', '160', '--backend', 'claude=100', '--backend', 'kimi=40', '--timezone', 'UTC')).toMatchObject({ code: 0 })
    policy = readFileSync(file, 'utf8')
    const { code, out } = await manciple('check', file)
    expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/^ok: 4 limits, 3 backends, \d+ rules, version [0-9a-f]{12}\n$/) })
  })

  it('adds a limit, a floor, preferences and a rule, by what stands in the comments', async () => {
    edit(
      '# limits:\n#   - { name: opus, amount: 3.00/day, model: claude-opus-4-8 }\n#   - { name: bulk, amount: 10.00/month, task_type: bulk }',
      'limits:\n  - { name: bulk, amount: 30.00/month, task_type: bulk }',
    )
    edit('# floors:\n#   backend: 0.5 ', 'floors:\n  backend: 0.6 ')
    edit(
      '# preferences:\n#   reasoning: { claude: 1.0, gpt: 0.9, gemini: 0.8, kimi: 0.8, local: 0.4 }',
      'preferences:\n  chat: { claude: 0.9, kimi: 0.6, local: 0.1 }',
    )
    policy = policy.slice(0, policy.indexOf('# rules:\n'))
    policy += `rules:
  - name: chat goes to kimi
    conditions:
      all:
        - { fact: task_type, operator: equal, value: chat }
        - { fact: backend, operator: equal, value: kimi }
    event: { type: prefer, params: { by: 1.0, message: "kimi is good enough for chat" } }
`
    writeFileSync(file, policy)
    expect((await manciple('check', file)).out).toMatch(/^ok: 5 limits, 3 backends/)
    const { out } = await manciple('check', file, '--rules')
    expect(out).toMatch(/# line \d+, limit bulk\n- name: bulk\n/)
    expect(out).toMatch(/# line \d+\n- name: chat goes to kimi\n/)
  })

  it.each([
    [
      'names and numbers',
      [
        ['kimi: 40.00/month', 'kimmi: 40.00/month'],
        ['  backend: 0.6 ', '  backend: 60 '],
        ['operator: equal, value: chat', 'operator: equals, value: chat'],
      ],
    ],
    ['an amount', [['kimi: 40.00/month', 'kimi: 40,00/month']]],
    ['the layout', [['    kimi: 40.00/month', '   kimi: 40.00/month']]],
  ])('breaks it by %s, and mends it by what the message says and nothing else', async (_, breaks) => {
    const whole = policy
    for (const [from = '', to = ''] of breaks) edit(from, to)
    const { code, out } = await manciple('check', file)
    expect(code).toBe(1)
    expect(out).toContain(`${breaks.length} mistake${breaks.length === 1 ? '' : 's'}: this file would be refused whole.`)
    const mistakes = out.split('\n\n').filter((mistake) => /^.*budgets\.yaml:\d+:\d+: .*\n.*\n.*\^\n {2}found: .*\n {2}expected: /.test(mistake))
    expect(mistakes).toHaveLength(breaks.length)
    policy = mistakes.reduce(mended, policy)
    writeFileSync(file, policy)
    expect(policy).toBe(whole)
    expect(await manciple('check', file)).toMatchObject({ code: 0, out: expect.stringMatching(/^ok: 5 limits/) })
  })

  it('writes down what should come of it, and has that checked', async () => {
    const cases = join(root, 'cases')
    mkdirSync(cases)
    const bulk = `cases:
  - name: bulk goes local when its own limit is used up
    totals: { bulk: 30.00 }
    request: { backend: claude, task_type: bulk }
    expect: { verdict: reroute, backend: local, rules: [bulk] }
`
    writeFileSync(join(cases, 'bulk.yaml'), bulk)
    expect(await manciple('check', file, '--cases', cases)).toMatchObject({ code: 0, out: expect.stringContaining('ok: 1 case in 1 file') })
  })

  it('asks where a call would go, before there is any ledger', async () => {
    const { out } = await manciple('explain', '--config', file, '--ledger', join(root, 'none'), '--backend', 'claude')
    expect(out).toBe('')
    const asked = await manciple('explain', '--config', file, '--task-type', 'chat')
    expect(asked.out).toMatch(/^dispatch: kimi\/kimi-k2\n/)
    expect(asked.out).toMatch(/prefer {4}"chat goes to kimi" \(line \d+\)/)
  })

  const skipped = makeMonth === undefined ? ' (skipped: there is no make-month.mjs here)' : ''
  it.skipIf(makeMonth === undefined)(`tries it on a month, and sees why call 17 went to kimi${skipped}`, async () => {
    const trace = join(root, 'month.jsonl')
    const calls = execFileSync(process.execPath, [makeMonth ?? '', '--rho', '0.1', '--seed', '1'], { encoding: 'utf8', maxBuffer: 2 ** 28 })
    writeFileSync(trace, calls)
    const seventeenth = JSON.parse(calls.split('\n')[17] ?? '') as { id: string; task_type: string }
    expect(seventeenth.task_type).toBe('chat')
    const { code, out } = await manciple('replay', trace, '--config', file, '--calls', join(root, 'calls.jsonl'))
    expect(code).toBe(0)
    expect(out).toMatch(/^[\d,]+ calls, 2026-04-01/)
    expect(out).toContain('$0.00 overshoot')
    const went =
      readFileSync(join(root, 'calls.jsonl'), 'utf8')
        .split('\n')
        .find((line) => line.includes(`"id":"${seventeenth.id}"`)) ?? ''
    expect(JSON.parse(went)).toMatchObject({ backend: 'kimi' })
    const why = await manciple('replay', trace, '--config', file, '--explain', seventeenth.id)
    expect(why.out).toMatch(/^dispatch: kimi\/kimi-k2\n/)
    expect(why.out).toMatch(
      /^kimi\/kimi-k2: taken, score \d\.\d\d.*\n(?: {2}.*\n)* {2}prefer {4}"chat goes to kimi" \(line \d+\): task_type "chat", backend "kimi"$/m,
    )
    expect(why.out).toMatch(
      /^claude\/claude-sonnet-4-20250514: outscored, .*\n(?: {2}.*\n)* {2}otherwise with a score more than \d\.\d\d higher, or without rule "chat goes to/m,
    )
  })
})

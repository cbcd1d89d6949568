import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { manualClock, openManciple } from '@manciple/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runCaptured, type Captured } from '../../../../test/captured-run.ts'

const NOON = Date.parse('2090-11-20T17:00:00Z')
let root = ''
let ledger = ''

function check(...argv: readonly string[]): Promise<Captured> {
  return runCaptured(['check', ...argv])
}

function policyFile(text: string): string {
  const file = join(root, 'budgets.yaml')
  writeFileSync(file, text)
  return file
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'manciple-'))
  ledger = join(root, 'ledger')
  const router = await openManciple({ config: { text: 'budgets: { daily_limit_usd: 5.00 }' }, ledger, clock: manualClock(NOON) })
  const dispatch = await router.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 2000, pinned: true })
  await dispatch.settle({ inputTokens: 1000, outputTokens: 2000 })
  await router.close()
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

describe('manciple check --rules', () => {
  const OPEN = 'backends: { claude: {}, local: {} }\n'
  const LIMITED = `${OPEN}budgets: { daily_limit_usd: 0.02, monthly_limit_usd: 50.00 }\n`

  test('prints a file that passes, with advice and the cases that were played as comments', async () => {
    const cases = join(root, 'cases')
    mkdirSync(cases, { recursive: true })
    writeFileSync(join(cases, 'a.yaml'), 'cases: [{ name: it fails, totals: { all.day: 0.02 }, expect: { backend: claude } }]')
    const { code, out } = await check(policyFile(LIMITED), '--rules', '--cases', cases)
    expect(code).toBe(1)
    expect(out).toMatch(/^rules:\n# Shorthand/)
    expect(out).toMatch(/\n# ok: 2 limits, .*\n\n# Advice \(\d+\)\n\n# .*budgets\.yaml:2:29: The daily limit/)
    expect(out).toMatch(/\n# .*a\.yaml:1: failed: it fails\n#  .*expect\.backend\n/)
    const again = await check(policyFile(`${LIMITED}${out}`), '--json')
    expect(JSON.parse(again.out)).toMatchObject({ ok: true, rules: 8 })
  })

  test('prints such a file too where there are no rules', async () => {
    const { out } = await check(policyFile(OPEN), '--rules')
    expect(out).toMatch(/^rules: \[\]\n\n# ok: 0 limits/)
    expect((await check(policyFile(`${OPEN}${out}`))).code).toBe(0)
  })
})

describe('manciple check --ledger', () => {
  test('advises on limits that are below what is spent already, in any window that the file asks for', async () => {
    const file = policyFile(
      'budgets:\n  daily_limit_usd: 0.02\n  monthly_limit_usd: 50.00\nlimits:\n  - { name: few, amount: 2k tokens/7d, backend: claude }\n  - { name: gpt, amount: 0.00/day, backend: gpt }\n',
    )
    const { code, out } = await check(file, '--ledger', ledger)
    expect(code).toBe(0)
    expect(out).toContain(`${file}:2:20: The limit \`all.day\` is below what is spent already: it takes no more calls until its window ends\n`)
    expect(out).toContain('  found:    0.02/day, with 0.03 USD spent\n')
    expect(out).toContain(`${file}:5:5: The limit \`few\` is below what is spent already`)
    expect(out).toContain('  found:    2k tokens/7d, with 3000 tokens spent\n')
    expect(out).not.toContain('`gpt` is below')
    const { advice } = JSON.parse((await check(file, '--ledger', ledger, '--json')).out) as { advice: readonly { path: string }[] }
    expect(advice.map(({ path }) => path)).toEqual(expect.arrayContaining(['budgets.daily_limit_usd', 'limits[0]']))
  })

  test('says nothing of limits with room, and fails where there is no such ledger', async () => {
    const file = policyFile('budgets: { daily_limit_usd: 5.00 }')
    expect((await check(file, '--ledger', ledger)).out).not.toContain('Advice')
    expect(await check(file, '--ledger', join(root, 'none'))).toMatchObject({ code: 2, err: expect.stringContaining('LEDGER_MISSING') })
    expect(await check(file)).toMatchObject({ code: 0, err: '' })
  })
})

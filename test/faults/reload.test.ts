import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished, vi } from 'vitest'
import { policyVersion } from '../../packages/core/src/config/watch.ts'
import { scanJournal, START } from '../../packages/core/src/ledger/journal-scan.ts'
import { openManciple } from '../../packages/core/src/manciple.ts'
import { newFolder } from './support.ts'

const SAVES = 200
const CALLERS = 8

/** The nth version: a thousand tokens of input cost n cents, and it has a number of rules that makes some versions take longer to compile than the next. */
function policyOf(save: number): string {
  const rule = (number: number): string => `  - name: never ${number}
    conditions: { any: [{ fact: input_tokens, operator: greaterThan, value: ${1_000_000 + number} }, { fact: hour, operator: greaterThan, value: 23 }] }
    event: { type: forbid, params: { message: never } }`
  return `timezone: UTC
budgets: { daily_limit_usd: 1000000.00 }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  local: { kind: local, models: ["llama3.1:8b"] }
prices: { claude-sonnet-4-20250514: { input_mtok: ${save * 10}, output_mtok: ${save * 10} } }
rules:
${Array.from({ length: save % 3 === 0 ? 40 : 1 }, (_, number) => rule(number)).join('\n')}
`
}

it('rules every decision and its entry by exactly one policy, and ends with the last, when 200 are saved in a row under load', async () => {
  const folder = newFolder()
  const config = `${folder}.yaml`
  writeFileSync(config, policyOf(1))
  const manciple = await openManciple({ config, ledger: folder })
  onTestFinished(() => manciple.close())
  const centsOf = new Map(Array.from({ length: SAVES + 1 }, (_, save) => [policyVersion(policyOf(save)), save]))

  const saved = new AbortController()
  const ruled: { readonly decided: string; readonly entry: string; readonly reserved: number; readonly billed: number }[] = []
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!saved.signal.aborted) {
      const dispatch = await manciple.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 1000 })
      const { policy: decided, estimateNano } = dispatch.decision
      await sleep(Math.random() * 5)
      const { policy: entry, cost_usd: usd } = await dispatch.settle({ inputTokens: 1000, outputTokens: 0 })
      ruled.push({ decided, entry, reserved: Math.round(estimateNano / 2e7), billed: Math.round(usd * 100) })
    }
  })
  for (let save = 1; save <= SAVES; save++) {
    writeFileSync(config, policyOf(save))
    await sleep(save % 4 === 0 ? 60 : 1)
  }
  await vi.waitFor(() => expect(manciple.budget().policy).toBe(policyVersion(policyOf(SAVES))), { timeout: 10_000, interval: 50 })
  await sleep(500)
  expect(manciple.budget().policy).toBe(policyVersion(policyOf(SAVES)))
  saved.abort()
  await Promise.all(callers)

  expect(new Set(ruled.map(({ decided }) => decided)).size).toBeGreaterThan(10)
  for (const { decided, entry, reserved, billed } of ruled) {
    const cents = centsOf.get(decided)
    expect({ entry, reserved, billed }).toEqual({ entry: decided, reserved: cents, billed: cents })
  }
  // In the journal, too: a reservation is ruled by the policy whose text stands before it.
  let inForce = ''
  await scanJournal(folder, START, undefined, (record) => {
    if (record.type === 'policy') inForce = record.version
    if (record.type === 'reserve') expect(record.hold.policy).toBe(inForce)
  })
})

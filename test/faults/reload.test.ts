import { renameSync, truncateSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished, vi } from 'vitest'
import { policyVersion } from '../../packages/core/src/config/watch.ts'
import { scanJournal, START } from '../../packages/core/src/ledger/journal-scan.ts'
import { openManciple } from '../../packages/core/src/manciple.ts'
import { newFolder } from './support.ts'

const SAVES = 1_000
const CALLERS = 8
const RULES = 20

/**
 * The nth version says n in its price, in its limit and in how far its rule moves the score; some versions take longer to compile than the next.
 * None drops a rule or a limit or moves one by half: that would have to stand still for two seconds.
 */
function policyOf(save: number): string {
  const leaves = (count: number): string =>
    Array.from({ length: count }, (_, n) => `{ fact: input_tokens, operator: greaterThan, value: ${1_000_000 + n} }`).join(', ')
  const rule = (number: number): string => `  - name: never ${number}
    conditions: { any: [${leaves(save % 3 === 0 ? 9 : 1)}, { fact: hour, operator: greaterThan, value: ${23 + number} }] }
    event: { type: forbid, params: { message: never } }`
  return `timezone: UTC
budgets: { daily_limit_usd: ${1_000_000 + save}.00 }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  local: { kind: local, models: ["llama3.1:8b"] }
prices: { claude-sonnet-4-20250514: { input_mtok: ${save * 10}, output_mtok: ${save * 10} } }
rules:
  - name: always
    conditions: { all: [{ fact: model, operator: equal, value: claude-sonnet-4-20250514 }] }
    event: { type: prefer, params: { by: ${save / 10_000} } }
${Array.from({ length: RULES }, (_, number) => rule(number)).join('\n')}
`
}

/** As editors save: in place, truncated first, in two parts, or through another file that is put in its place. */
function saveAs(config: string, save: number): void {
  const text = policyOf(save)
  if (save % 4 === 1) writeFileSync(config, text)
  if (save % 4 === 2) {
    truncateSync(config)
    writeFileSync(config, text)
  }
  if (save % 4 === 3) {
    writeFileSync(config, text.slice(0, text.length / 2))
    writeFileSync(config, text.slice(text.length / 2), { flag: 'a' })
  }
  if (save % 4 === 0) {
    writeFileSync(`${config}.new`, text)
    renameSync(`${config}.new`, config)
  }
}

it('rules every decision and its entry by exactly one policy, and ends with the last, when 1,000 are saved in a row under load', async () => {
  const folder = newFolder()
  const config = `${folder}.yaml`
  writeFileSync(config, policyOf(1))
  const manciple = await openManciple({ config, ledger: folder })
  onTestFinished(() => manciple.close())
  const saveOf = new Map(Array.from({ length: SAVES + 1 }, (_, save) => [policyVersion(policyOf(save)), save]))

  const saved = new AbortController()
  const ruled: { readonly decided: string; readonly entry: string; readonly reserved: number; readonly billed: number; readonly moved: number }[] = []
  const limited: { readonly policy: string; readonly usd: number }[] = []
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!saved.signal.aborted) {
      const dispatch = await manciple.decide({ backend: 'claude', inputTokens: 1000, maxOutputTokens: 1000 })
      const { policy: decided, estimateNano, candidates } = dispatch.decision
      const moved = Math.round(((candidates[0]?.score ?? 0) - 1) * 10_000)
      await sleep(Math.random() * 5)
      const { policy: entry, cost_usd: usd } = await dispatch.settle({ inputTokens: 1000, outputTokens: 0 })
      ruled.push({ decided, entry, reserved: Math.round(estimateNano / 2e7), billed: Math.round(usd * 100), moved })
      const { policy, limits } = manciple.budget()
      limited.push({ policy, usd: (limits[0]?.quantity ?? 0) / 1e9 })
    }
  })
  for (let save = 1; save <= SAVES; save++) {
    saveAs(config, save)
    await sleep(save % 20 === 0 ? 60 : 1)
  }
  await vi.waitFor(() => expect(manciple.budget().policy).toBe(policyVersion(policyOf(SAVES))), { timeout: 10_000, interval: 50 })
  await sleep(500)
  expect(manciple.budget().policy).toBe(policyVersion(policyOf(SAVES)))
  saved.abort()
  await Promise.all(callers)

  expect(new Set(ruled.map(({ decided }) => decided)).size).toBeGreaterThan(10)
  for (const { decided, ...found } of ruled) {
    const save = saveOf.get(decided)
    expect(found).toEqual({ entry: decided, reserved: save, billed: save, moved: save })
  }
  for (const { policy, usd } of limited) expect(usd).toBe(1_000_000 + (saveOf.get(policy) ?? Number.NaN))
  // In the journal, too: a reservation is ruled by the policy whose text stands before it.
  let inForce = ''
  await scanJournal(folder, START, undefined, (record) => {
    if (record.type === 'policy') inForce = record.version
    if (record.type === 'reserve') expect(record.hold.policy).toBe(inForce)
  })
})

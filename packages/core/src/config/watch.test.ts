import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { MancipleError } from '../errors.ts'
import type { Policy } from '../policy/policy.ts'
import { loadPolicy, loadPolicyText, policyVersion, readPolicyFile, watchPolicy, type PolicyWatcher } from './watch.ts'

const budget = (day: number, more = '') => `budgets:\n  daily_limit_usd: ${day}\n  monthly_limit_usd: 50.00\n${more}`

let folder: string
let path: string
let watcher: PolicyWatcher | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'policy-'))
  path = join(folder, 'budgets.yaml')
})

afterEach(() => {
  watcher?.close()
  watcher = undefined
  rmSync(folder, { recursive: true })
})

/** Watches `path`, and keeps what is reported with its time. */
function observe() {
  const reports: { readonly what: string; readonly atMs: number }[] = []
  let current: Policy = loadPolicy(path).policy
  watcher = watchPolicy(path, {
    current: () => current,
    onPolicy: ({ policy }) => {
      current = policy
      reports.push({ what: String(Number(policy.limits[0]?.quantity) / 1e9), atMs: performance.now() })
    },
    onRejected: (reason) => reports.push({ what: reason, atMs: performance.now() }),
  })
  const until = (count: number) => vi.waitFor(() => expect(reports.length).toBe(count), { timeout: 8_000, interval: 10 })
  return { reports, until, current: () => current }
}

function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    return error instanceof MancipleError ? error.code : String(error)
  }
  return 'none'
}

describe('The policy file', () => {
  it('is read as it is, byte-order mark and all, and named by the hash of its text', () => {
    writeFileSync(path, `\uFEFF${budget(5)}`)
    expect(readPolicyFile(path)).toBe(`\uFEFF${budget(5)}`)
    expect(loadPolicy(path).policy.version).toBe(policyVersion(`\uFEFF${budget(5)}`))
    expect(policyVersion('')).toBe('e3b0c44298fc')
  })

  it('that is missing, a folder, a pipe, not UTF-8 or too large has a coded error', () => {
    expect(codeOf(() => readPolicyFile(path))).toBe('CONFIG_MISSING')
    expect(codeOf(() => readPolicyFile(join(path, 'below')))).toBe('CONFIG_MISSING')
    expect(codeOf(() => readPolicyFile(folder))).toBe('CONFIG_UNREADABLE')
    writeFileSync(path, Buffer.from([0x61, 0xff, 0xfe]))
    expect(codeOf(() => readPolicyFile(path))).toBe('CONFIG_UNREADABLE')
    writeFileSync(path, '#'.repeat(262_145))
    expect(codeOf(() => readPolicyFile(path))).toBe('CONFIG_UNREADABLE')
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    expect(codeOf(() => readPolicyFile(pipe))).toBe('CONFIG_UNREADABLE')
  })

  it('with mistakes throws all of them, with line and caret', () => {
    expect(codeOf(() => loadPolicyText('budgetz: 1', 'policy'))).toBe('CONFIG_INVALID')
    expect(() => loadPolicyText('budgetz: 1\nlimitz: 2', 'policy')).toThrow(
      /policy:1:1: Unknown key\n {2}1 \| budgetz: 1\n {4}\| \^[^]*policy:2:1: Unknown key/,
    )
  })
})

describe('A watched policy file', () => {
  it('comes into force when it is written, appended to, or replaced by a rename', async () => {
    writeFileSync(path, budget(5))
    const { reports, until } = observe()
    writeFileSync(path, budget(6))
    await until(1)
    appendFileSync(path, '# a comment\n')
    await until(2)
    writeFileSync(`${path}.tmp`, budget(7))
    renameSync(`${path}.tmp`, path)
    await until(3)
    unlinkSync(path)
    writeFileSync(path, budget(8))
    await until(4)
    expect(reports.map(({ what }) => what)).toEqual(['6', '6', '7', '8'])
  })

  it('is followed behind a link whose target is swapped', async () => {
    for (const day of [5, 6]) {
      mkdirSync(join(folder, `v${day}`))
      writeFileSync(join(folder, `v${day}`, 'budgets.yaml'), budget(day))
    }
    symlinkSync('v5', join(folder, '..data'))
    symlinkSync('..data/budgets.yaml', path)
    const { reports, until } = observe()
    symlinkSync('v6', join(folder, '..next'))
    renameSync(join(folder, '..next'), join(folder, '..data'))
    await until(1)
    expect(reports[0]?.what).toBe('6')
  })

  it('that is cut short in the middle of a save never counts', async () => {
    const zone = 'timezone: America/New_York\n'
    writeFileSync(path, budget(5, zone))
    const { reports, until, current } = observe()
    for (let save = 1; save <= 4; save++) {
      const text = budget(5 + save / 10, zone)
      truncateSync(path)
      await sleep(120)
      writeFileSync(path, text.slice(0, text.indexOf(save % 2 === 0 ? '  monthly' : 'timezone')))
      await sleep(400)
      writeFileSync(path, text)
      await until(save)
      expect(current()).toMatchObject({ limits: { length: 2 }, timezone: 'America/New_York' })
    }
    expect(reports.map(({ what }) => what)).toEqual(['5.1', '5.2', '5.3', '5.4'])
  })

  it('that drops a limit counts only when it has been still for two seconds', async () => {
    writeFileSync(path, budget(5))
    const { reports, until, current } = observe()
    writeFileSync(path, 'budgets: { daily_limit_usd: 5 }\n')
    await sleep(500)
    const lastWriteMs = performance.now()
    writeFileSync(path, 'budgets: { daily_limit_usd: 5 } # still writing\n')
    await until(1)
    expect((reports[0]?.atMs ?? 0) - lastWriteMs).toBeGreaterThanOrEqual(2_000)
    expect(current().limits.map(({ name }) => name)).toEqual(['all.day'])
  })

  it('that is wrong or stays missing is rejected once, and the good one put back is reported', async () => {
    writeFileSync(path, budget(5))
    const { reports, until } = observe()
    writeFileSync(path, budget(6, 'budgetz: 1\n'))
    await until(1)
    expect(reports[0]?.what).toMatch(/budgets\.yaml:4:1: Unknown key/)
    unlinkSync(path)
    await until(2)
    expect(reports[1]?.what).toMatch(/does not exist/)
    writeFileSync(path, budget(5))
    await until(3)
    expect(reports[2]?.what).toBe('5')
  })

  it('is left alone after close, and when it is saved without a change', async () => {
    writeFileSync(path, budget(5))
    const { reports } = observe()
    writeFileSync(path, budget(5))
    await sleep(300)
    writeFileSync(path, budget(6))
    watcher?.close()
    await sleep(300)
    expect(reports).toEqual([])
  })
})

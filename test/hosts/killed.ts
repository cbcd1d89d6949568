import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openManciple } from '@manciple/core'
import { booksOf, startFakeProvider, SUITE_POLICY } from '@manciple/router-plugin/conformance'
import type { HostSetting } from '@manciple/router-plugin/conformance'
import { expect } from 'vitest'
import { KILLED } from './billing.ts'
import type { OwnRow } from './billing.ts'

/** Something that is killed while a call is under way. */
export interface Victim {
  /** Makes one call, of which nothing will come back, and lives until it is killed. */
  start(setting: HostSetting, stream: boolean): Promise<{ kill(): Promise<void> }>
}

/** A host of this process's kind, in a process of its own. @param module path of a file that exports a HostUnderTest by `name`. */
export function inProcess(module: string, name: string): Victim {
  return {
    async start(setting, stream) {
      const main = join(import.meta.dirname, 'killed-main.ts')
      const argument = JSON.stringify({ module, name, setting, stream })
      const child = spawn(process.execPath, ['--conditions=manciple-source', '--no-warnings', main, argument], { stdio: ['ignore', 'ignore', 'inherit'] })
      const exited = once(child, 'exit')
      return {
        async kill() {
          child.kill('SIGKILL')
          await exited
        },
      }
    },
  }
}

/** Kills a host in the middle of a call, plain and streamed, and opens its ledger again. @returns the row of the billing matrix. */
export async function killInMidCall(victim: Victim): Promise<OwnRow> {
  return { situation: KILLED, cells: await Promise.all([killOnce(victim, false), killOnce(victim, true)]) }
}

async function killOnce(victim: Victim, stream: boolean): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'manciple-killed-'))
  const provider = await startFakeProvider()
  try {
    const ledger = join(folder, 'ledger')
    provider.script({ does: 'stall' })
    const providers = { claude: provider.url, gpt: provider.url, local: provider.url }
    const started = await victim.start({ policy: SUITE_POLICY, ledger, providers, callTimeoutMs: 60_000 }, stream)
    await provider.stuck()
    await started.kill()
    const books = booksOf(ledger)
    expect([books.holds.length, books.open]).toEqual([1, 1])
    const manciple = await openManciple({ config: { text: SUITE_POLICY }, ledger })
    const day = manciple.budget().limits.find(({ limit }) => limit === 'all.day')
    expect(day?.presumed).toBeGreaterThan(0)
    expect([day?.settled, day?.held]).toEqual([0, 0])
    await manciple.close()
    return `${books.holds[0]?.backend}: the hold, presumed spent`
  } finally {
    await provider.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { scanJournal, START } from '../../packages/core/src/ledger/journal-scan.ts'
import { readLedger } from '../../packages/core/src/ledger/reader.ts'
import { policy } from '../contract/ledger-samples.ts'
import { newFolder, openLedger } from './support.ts'

const KILLS = 30
const WRITER = fileURLToPath(new URL('writer.ts', import.meta.url))

/** A process that writes the ledger; its notes go to a file, which outlives it. */
function startWriter(folder: string, notes: string): ChildProcess {
  const fd = openSync(notes, 'a')
  const child = spawn(process.execPath, ['--conditions=manciple-source', '--disable-warning=ExperimentalWarning', WRITER, folder], {
    stdio: ['ignore', fd, 'ignore'],
  })
  closeSync(fd)
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

/** Until the process has noted something more. */
async function progress(child: ChildProcess, notes: string): Promise<void> {
  const size = (): number => statSync(notes).size
  for (const before = size(); size() === before; await sleep(2)) if (child.exitCode !== null) throw new Error('the writer ended of its own accord')
}

function noted(path: string, mark: string): ReadonlySet<string> {
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  return new Set(lines.filter((line) => line.startsWith(`${mark} `) && line !== '= open').map((line) => line.slice(2)))
}

it(`keeps all that it acknowledged, and nothing that nobody attempted, over ${KILLS} kills`, async () => {
  const folder = newFolder()
  const notes = `${folder}.notes`
  for (let kill = 0; kill < KILLS; kill++) {
    const child = startWriter(folder, notes)
    const exit = once(child, 'exit')
    await progress(child, notes)
    // Moments spread over the writer's work: batches, seals, checkpoints.
    await sleep((kill * 37) % 90)
    child.kill('SIGKILL')
    expect(await exit).toEqual([null, 'SIGKILL'])

    const recovered = new Set<string>()
    const { ending } = await scanJournal(folder, START, undefined, (record) => {
      if (record.type === 'reserve') recovered.add(`reserve ${record.hold.id}`)
      if (record.type === 'settle') recovered.add(`settle ${record.entry.id}`)
    })
    expect(ending.kind, `after kill ${kill + 1}`).not.toBe('damaged')
    const attempted = noted(notes, '+')
    expect(
      [...noted(notes, '=')].filter((line) => !recovered.has(line)),
      `acknowledged and gone after kill ${kill + 1}`,
    ).toEqual([])
    expect(
      [...recovered].filter((line) => !attempted.has(line)),
      `never attempted, after kill ${kill + 1}`,
    ).toEqual([])
  }
  const ledger = await openLedger(folder, { nowMs: Date.now() })
  await ledger.usePolicy(policy([]), Date.now())
  expect(ledger.fault).toBeUndefined()
  const settled = ledger.spend(0, Date.now() * 2).reduce((sum, row) => sum + row.requests, 0)
  const acknowledged = [...noted(notes, '=')].filter((line) => line.startsWith('settle')).length
  const attempted = [...noted(notes, '+')].filter((line) => line.startsWith('settle')).length
  expect(acknowledged).toBeGreaterThan(KILLS)
  expect(settled).toBeGreaterThanOrEqual(acknowledged)
  expect(settled).toBeLessThanOrEqual(attempted)
  // The writes came in pieces: some kill must have found a line half written, or this proves little.
  expect(readdirSync(folder).filter((name) => name.startsWith('cut-')).length).toBeGreaterThan(0)
}, 120_000)

it('is written by one process at a time, and free as soon as that one is dead', async () => {
  const folder = newFolder()
  const notes = `${folder}.notes`
  const child = startWriter(folder, notes)
  await progress(child, notes)
  await expect(openLedger(folder)).rejects.toMatchObject({ code: 'LEDGER_LOCKED' })
  expect((await readLedger(folder)).fault).toBeUndefined()
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
  const ledger = await openLedger(folder)
  expect(ledger.fault).toBeUndefined()
  await expect(openLedger(folder)).rejects.toMatchObject({ code: 'LEDGER_LOCKED' })
  // A refused attempt takes nothing away from the one that holds the lock.
  const second = startWriter(folder, notes)
  expect(await once(second, 'exit')).toEqual([1, null])
  await ledger.close()
  expect((await openLedger(folder)).fault).toBeUndefined()
})

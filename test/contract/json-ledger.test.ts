import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openJsonLedger } from '../../packages/core/src/ledger/json-ledger.ts'
import type { Ledger } from '../../packages/core/src/ledger/ledger.ts'
import { ledgerContract, type OpenedLedger } from './ledger-contract.ts'
import { START_MS } from './ledger-samples.ts'

const base = await mkdtemp(join(tmpdir(), 'json-ledger-'))
const opened: Ledger[] = []
let folders = 0

afterAll(async () => {
  await Promise.all(opened.map((ledger) => ledger.close()))
  await rm(base, { recursive: true })
})

async function openIn(folder: string): Promise<Ledger> {
  const ledger = await openJsonLedger({ folder, nowMs: START_MS, fsync: 'never', segmentBytes: 20_000 })
  opened.push(ledger)
  return ledger
}

function newFolder(): string {
  return join(base, String(++folders))
}

async function closedAndOpened(): Promise<OpenedLedger> {
  const folder = newFolder()
  let ledger = await openIn(folder)
  const reopen = async (): Promise<Ledger> => {
    await ledger.close()
    ledger = await openIn(folder)
    return ledger
  }
  return { ledger, reopen }
}

/** What a process leaves behind that dies: no checkpoint of its end, or none at all. */
function died(keep: (name: string) => boolean): () => Promise<OpenedLedger> {
  return async () => {
    let folder = newFolder()
    let ledger = await openIn(folder)
    const reopen = async (): Promise<Ledger> => {
      await ledger.flush()
      const left = folder
      folder = newFolder()
      for (const name of await readdir(left)) if (keep(name)) await cp(join(left, name), join(folder, name))
      ledger = await openIn(folder)
      return ledger
    }
    return { ledger, reopen }
  }
}

ledgerContract('JSON, closed and opened', closedAndOpened, { restarts: true, runs: 25 })
ledgerContract(
  'JSON, after a process that died',
  died((name) => name.startsWith('journal-') || name === 'checkpoint.json'),
  { restarts: true, runs: 25 },
)
ledgerContract(
  'JSON, without its checkpoint',
  died((name) => name.startsWith('journal-')),
  { restarts: true, runs: 25 },
)

import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isoInstant } from '../instant.ts'
import { Books } from './books.ts'
import { readCheckpoint } from './checkpoint.ts'
import { systemDisk } from './disk.ts'
import { readFault } from './fault-file.ts'
import type { JournalRecord } from './journal-fields.ts'
import { listSegments, segmentPath } from './journal-scan.ts'
import { JournalSurvey } from './journal-survey.ts'
import type { LedgerFault } from './ledger.ts'
import { assertFolder, type OnProgress } from './verify.ts'

export interface LedgerStats {
  readonly ledger: string
  /** What followers of notices know it by. */
  readonly stream: string
  readonly segments: readonly { readonly file: string; readonly bytes: number }[]
  readonly bytes: number
  readonly lines: number
  /** Verified lines by type. */
  readonly types: { readonly [type in JournalRecord['type']]?: number }
  /** Times of the first and the latest record, ISO 8601 UTC; null for a ledger without any. */
  readonly first: string | null
  readonly last: string | null
  readonly openHolds: number
  /** Holds of processes that died, oldest first. */
  readonly presumedHolds: readonly { readonly id: string; readonly at: string; readonly backend: string; readonly model: string; readonly costNano: number }[]
  readonly notices: number
  readonly repairs: number
  /** Null where there is none that can be trusted. `behind`: lines that came after it. */
  readonly checkpoint: { readonly seq: number; readonly written: string; readonly behind: number } | null
  /** Files that openings and repairs put aside. */
  readonly aside: readonly string[]
  /** Stretches of the journal that cannot be verified. */
  readonly damages: number
  readonly fault: LedgerFault | null
}

/**
 * What is in a ledger. Reads every line, also beside a running router; never writes.
 * @throws MancipleError `LEDGER_MISSING`.
 */
export async function ledgerStats(folder: string, { onProgress = () => {} }: { readonly onProgress?: OnProgress } = {}): Promise<LedgerStats> {
  const path = resolve(folder)
  await assertFolder(path)
  const checkpoint = await readCheckpoint(path, systemDisk).catch(() => undefined)
  const books = new Books()
  const types: { [type in JournalRecord['type']]?: number } = {}
  let first: string | null = null
  const survey = new JournalSurvey(path, ({ record }) => {
    types[record.type] = (types[record.type] ?? 0) + 1
    if (record.type === 'seal') return
    books.apply(record)
    if (first === null && books.lastMs > 0) first = isoInstant(books.lastMs)
  })
  const totalBytes = await survey.totalBytes()
  for await (const _ of survey.read()) onProgress({ doneBytes: survey.readBytes, totalBytes })
  const names = [...(await listSegments(path))].sort((left, right) => left - right).map((segment) => segmentPath('', segment))
  const presumed = [...books.presumedHolds.values()]
  return {
    ledger: books.ledger,
    stream: books.stream,
    segments: await Promise.all(names.map(async (file) => ({ file, bytes: (await stat(join(path, file))).size }))),
    bytes: survey.readBytes,
    lines: survey.lines,
    types,
    first,
    last: books.lastMs === 0 ? null : isoInstant(books.lastMs),
    openHolds: books.openHolds.size,
    presumedHolds: presumed.map(({ id, atMs, backend, model, estimate }) => ({ id, at: isoInstant(atMs), backend, model, costNano: estimate.costNano })),
    notices: books.notices.nextNumber - 1,
    repairs: books.repairs,
    checkpoint:
      checkpoint === undefined
        ? null
        : { seq: checkpoint.seq, written: (await stat(join(path, 'checkpoint.json'))).mtime.toISOString(), behind: survey.at.seq - checkpoint.seq },
    aside: (await readdir(path)).filter((name) => name.startsWith('cut-')),
    damages: survey.damages.filter(({ torn }) => !torn).length,
    fault: readFault(path) ?? null,
  }
}

import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { systemDisk, type Disk } from '../../packages/core/src/ledger/disk.ts'
import { scanJournal, START, type Scan } from '../../packages/core/src/ledger/journal-scan.ts'
import { openJsonLedger, type JsonLedgerOptions } from '../../packages/core/src/ledger/json-ledger.ts'
import type { Ledger } from '../../packages/core/src/ledger/ledger.ts'
import { held, notice, order, policy, settlement, START_MS } from '../contract/ledger-samples.ts'

/** A new folder of its own for one test, gone when the test ends. */
export function newFolder(): string {
  const base = mkdtempSync(join(tmpdir(), 'ledger-'))
  onTestFinished(() => rmSync(base, { recursive: true, force: true }))
  return join(base, 'ledger')
}

/** Opens a ledger at the samples' time; closed when the test ends, whatever became of it. */
export async function openLedger(folder: string, options: Partial<JsonLedgerOptions> = {}): Promise<Ledger> {
  const ledger = await openJsonLedger({ folder, nowMs: START_MS, ...options })
  onTestFinished(() => ledger.close())
  return ledger
}

/** Makes `calls` calls one after the other, each on disk before the next: so every line but the last is called synced by a later one. */
export async function makeCalls(ledger: Ledger, calls: number): Promise<void> {
  await ledger.usePolicy(policy(), START_MS)
  for (let call = 0; call < calls; call++) {
    const reserved = ledger.reserve(order({ taskId: `task-${call}` }))
    const { id } = held(reserved)
    if (reserved.ok) await reserved.durable
    await ledger.settle(id, settlement()).durable
  }
  await ledger.notice(notice(), START_MS)
}

/** A journal as a process leaves it that died, with no checkpoint: its files by name. */
export async function journalOf(calls: number, options: Partial<JsonLedgerOptions> = {}): Promise<ReadonlyMap<string, Buffer>> {
  const folder = newFolder()
  const ledger = await openLedger(folder, options)
  await makeCalls(ledger, calls)
  return new Map(
    readdirSync(folder)
      .filter((name) => name.startsWith('journal-'))
      .toSorted()
      .map((name) => [name, readFileSync(join(folder, name))]),
  )
}

/** A copy of a folder, the lock left out. */
export function copyFolder(from: string): string {
  const to = newFolder()
  mkdirSync(to, { recursive: true })
  for (const name of readdirSync(from)) if (name !== 'lock') cpSync(join(from, name), join(to, name))
  return to
}

export function firstSegment(folder: string): string {
  return join(folder, 'journal-000001.jsonl')
}

export function linesOf(bytes: Buffer): readonly string[] {
  return bytes.toString('latin1').split(/(?<=\n)/)
}

/** The bytes with one bit another. */
export function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
  return copy
}

/** The system's disk with some calls replaced. */
export function diskWith(replaced: Partial<Disk>): Disk {
  return { ...systemDisk, ...replaced }
}

/** What a scan makes of a journal. */
export interface Found {
  readonly scan: Scan
  /** What was accepted, in bytes of JSON. */
  readonly accepted: readonly string[]
}

/** Puts these files, and no others, into a folder and scans it. */
export async function scan(folder: string, files: ReadonlyMap<string, Buffer>): Promise<Found> {
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) if (!files.has(name)) rmSync(join(folder, name))
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes)
  return scanAgain(folder)
}

export async function scanAgain(folder: string): Promise<Found> {
  const accepted: string[] = []
  return { scan: await scanJournal(folder, START, undefined, (record) => accepted.push(JSON.stringify(record))), accepted }
}

/** An altered journal is either found damaged, or what is accepted of it is a prefix and every byte after that is reported. */
export function expectNoneAcceptedSilently(whole: Found, altered: Found, size: number, what: string): void {
  const { accepted, scan: result } = altered
  expect(accepted, what).toEqual(whole.accepted.slice(0, accepted.length))
  if (result.ending.kind === 'damaged') return
  expect(result.ending.kind, what).toBe('torn')
  if (result.ending.kind === 'torn') expect(result.at.offset + result.ending.bytes, what).toBe(size)
}

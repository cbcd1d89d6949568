import { constants, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { LedgerFault } from './ledger.ts'

const NAME = 'fault.json'
const faultSchema = z.object({ code: z.enum(['LEDGER_FAULT', 'LEDGER_DAMAGED']), reason: z.string(), since: z.string() }) satisfies z.ZodType<LedgerFault>

/** Tells readers of the fault that the journal cannot take. Best effort: the disk that failed may refuse this too. @returns whether it was written. */
export function writeFault(folder: string, fault: LedgerFault): boolean {
  try {
    writeFileSync(join(folder, NAME), `${JSON.stringify(fault)}\n`, { mode: 0o600 })
    return true
  } catch {
    return false
  }
}

/** The fault that closed the ledger, or undefined. One that cannot be read is a fault still. */
export function readFault(folder: string): LedgerFault | undefined {
  let content: string
  try {
    // A pipe in its place would keep a reader waiting for ever.
    content = readFileSync(join(folder, NAME), { encoding: 'utf8', flag: constants.O_RDONLY | constants.O_NONBLOCK })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    content = String(error)
  }
  try {
    return faultSchema.parse(JSON.parse(content))
  } catch {
    return { code: 'LEDGER_FAULT', reason: `${NAME} is there and cannot be read: ${content.slice(0, 200)}`, since: new Date(0).toISOString() }
  }
}

/** A ledger that opened whole has no fault. */
export function clearFault(folder: string): void {
  rmSync(join(folder, NAME), { force: true })
}

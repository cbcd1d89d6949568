import { resolve } from 'node:path'
import { MancipleError } from '../errors.ts'
import { NANO_PER_USD } from '../money.ts'
import { ENTRY_FIELDS, entryOf } from './history.ts'
import { JournalSurvey } from './journal-survey.ts'
import type { LedgerEntry } from './record.ts'
import { assertFolder, type OnProgress } from './verify.ts'

export interface ExportOptions {
  readonly format: 'csv' | 'jsonl'
  /** Only entries whose `timestamp` is from `from` up to, not including, `to`. */
  readonly from?: Date
  readonly to?: Date
  readonly onProgress?: OnProgress
}

/**
 * Every entry of a ledger, imports and corrections included, in the order of the journal: CSV (RFC 4180, plain newlines, a head) or one JSON object a line.
 * Works beside a running router. Stops where the journal is damaged.
 *
 * @throws MancipleError `LEDGER_MISSING`, `LEDGER_DAMAGED` after all that comes before the damage.
 */
export async function* exportLedger(folder: string, options: ExportOptions): AsyncGenerator<string, void, undefined> {
  const { format, from, to, onProgress = () => {} } = options
  const path = resolve(folder)
  await assertFolder(path)
  const textOf = format === 'csv' ? csvOf : jsonOf
  let text = format === 'csv' ? `${ENTRY_FIELDS.join(',')}\n` : ''
  const survey = new JournalSurvey(path, ({ record }) => {
    const entry = record.type === 'seal' || survey.damages.length > 0 ? undefined : entryOf(record)
    if (entry === undefined) return
    const ms = Date.parse(entry.timestamp)
    if (ms >= (from?.getTime() ?? Number.NEGATIVE_INFINITY) && ms < (to?.getTime() ?? Number.POSITIVE_INFINITY)) text += textOf(entry)
  })
  const totalBytes = await survey.totalBytes()
  for await (const _ of survey.read()) {
    onProgress({ doneBytes: survey.readBytes, totalBytes })
    if (text === '') continue
    yield text
    text = ''
  }
  if (text !== '') yield text
  const damage = survey.damages.find(({ torn }) => !torn)
  if (damage !== undefined) throw new MancipleError('LEDGER_DAMAGED', `${damage.file}: the line of seq ${damage.seq} ${damage.reason}`, { folder: path })
}

function jsonOf(entry: LedgerEntry): string {
  return `${JSON.stringify(entry)}\n`
}

function csvOf(entry: LedgerEntry): string {
  const cells = ENTRY_FIELDS.map((column) => {
    const value = entry[column]
    return column === 'cost_usd' ? exactUsd(entry.cost_usd) : quoted(String(value ?? ''))
  })
  return `${cells.join(',')}\n`
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** All nine decimals: small numbers are never written with an exponent. */
function exactUsd(usd: number): string {
  const nano = Math.round(usd * NANO_PER_USD)
  const digits = String(Math.abs(nano)).padStart(10, '0')
  return `${nano < 0 ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`
}

import { formatInstant, openOutsideView, type LedgerFault, type OutsideView } from '@manciple/core'
import type { Command } from 'commander'
import { wrap, type Terminal } from './terminal.ts'

/** Options of the commands that look into a ledger. */
export interface LedgerOptions {
  readonly ledger: string
  readonly latest?: true
  readonly json?: true
}

const DAY_MS = 86_400_000

export function addLedgerOptions(command: Command): Command {
  return command
    .option('--ledger <folder>', 'folder of the ledger', 'data/ledger')
    .option('--latest', "as of the ledger's last record, where the router ran on a clock of its own")
    .option('--json', 'for programs: one JSON object')
}

export function openView({ ledger, latest }: LedgerOptions): Promise<OutsideView> {
  return openOutsideView(ledger, latest ? { at: 'latest' } : {})
}

/** The time, zone and policy that the figures speak of, and whether the ledger has been still for long. */
export function footer({ asOf, lastRecord, policy }: OutsideView, { colours, width }: Terminal): string {
  const { timezone, version } = policy
  const lines = [`as of ${local(asOf, timezone)} ${timezone}, policy ${version}`]
  if (Date.parse(asOf) - Date.parse(lastRecord) > DAY_MS) {
    lines.push(wrap(`The last record is of ${local(lastRecord, timezone)}; --latest shows the books as of then.`, width, 0))
  }
  return lines.map((line) => colours.dim(line)).join('\n')
}

/** What stands above everything else, in words: cloud calls are stopped. */
export function banner(text: string, { colours, width }: Terminal): string {
  return `${colours.bold(colours.red('ALERT'))}  ${wrap(text, width, 7)}`
}

export function faultText({ reason, since }: LedgerFault, zone: string): string {
  return `Cloud calls are stopped since ${local(since, zone)}: ${reason}`
}

function local(iso: string, zone: string): string {
  return formatInstant(Date.parse(iso), zone)
}

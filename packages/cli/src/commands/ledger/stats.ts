import { formatUsd, ledgerStats, type LedgerStats } from '@manciple/core'
import type { Command } from 'commander'
import { counted, jsonText, shortCount, size } from '../../amounts.ts'
import { duration, withProgress } from '../../progress.ts'
import { renderTable, type Row } from '../../table.ts'
import { printable, terminalOf, type Io } from '../../terminal.ts'

interface StatsOptions {
  readonly ledger: string
  readonly json?: true
}

/** Presumed holds that are listed; `--json` has all. */
const LISTED = 20
const EXAMPLES = `
Exit codes: 0 shown, 2 wrong use or unreadable.

Examples:
  $ manciple ledger stats
  $ manciple ledger stats --json | jq .types.settle`

export function defineStats(parent: Command, io: Io, done: (code: number) => void): void {
  parent
    .command('stats')
    .summary('segments, lines by type, holds, notices, age of the checkpoint')
    .description('What is in a ledger. Reads every line; works beside a running router.')
    .option('--ledger <folder>', 'folder of the ledger', 'data/ledger')
    .option('--json', 'for programs: one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async (options: StatsOptions) => done(await stats(io, options)))
}

async function stats(io: Io, { ledger, json }: StatsOptions): Promise<number> {
  const found = await withProgress(io, 'Reading', (onProgress) => ledgerStats(ledger, { onProgress }))
  io.stdout.write(json ? jsonText(found) : `${asText(found, io)}\n`)
  return 0
}

function asText(stats: LedgerStats, io: Io): string {
  const terminal = terminalOf(io)
  const { checkpoint, presumedHolds, fault } = stats
  const presumed = presumedHolds.reduce((sum, { costNano }) => sum + costNano, 0)
  const rows: Row[] = [
    ['ledger', stats.stream],
    ['journal', `${counted(stats.segments.length, 'segment')}, ${size(stats.bytes)}, ${counted(stats.lines, 'line')}`],
    ['time', stats.first === null ? 'no records yet' : `${stats.first} to ${stats.last ?? ''}`],
    ['open holds', shortCount(stats.openHolds)],
    ['presumed', presumedHolds.length === 0 ? '0' : `${presumedHolds.length}, ${formatUsd(presumed)}`],
    ['notices', shortCount(stats.notices)],
    ['checkpoint', checkpoint === null ? 'none' : `${duration(Date.now() - Date.parse(checkpoint.written))} old, ${counted(checkpoint.behind, 'line')} behind`],
    ...(stats.repairs > 0 ? [['repairs', shortCount(stats.repairs)]] : []),
    ...(stats.aside.length > 0 ? [['aside', counted(stats.aside.length, 'file')]] : []),
    ...(stats.damages > 0 ? [['damage', `${counted(stats.damages, 'stretch', 'stretches')}: see manciple ledger verify`]] : []),
    ...(fault === null ? [] : [['fault', printable(fault.reason)]]),
  ]
  const types = Object.entries(stats.types).sort(([, left = 0], [, right = 0]) => right - left)
  const parts = [
    renderTable([{ head: '' }, { head: '' }], rows, terminal).trimStart(),
    renderTable(
      [{ head: 'lines' }, { head: '', align: 'right' }],
      types.map(([type, count]) => [type, shortCount(count)]),
      terminal,
    ),
    ...(presumedHolds.length === 0 ? [] : [presumedText(presumedHolds, io)]),
  ]
  return parts.join('\n\n')
}

function presumedText(holds: LedgerStats['presumedHolds'], io: Io): string {
  const rows = holds.slice(0, LISTED).map(({ id, at, backend, model, costNano }): Row => [id, at, printable(`${backend}/${model}`), formatUsd(costNano, 4)])
  const more = holds.length > LISTED ? `\nand ${holds.length - LISTED} more` : ''
  const columns = [{ head: 'presumed spent' }, { head: 'since' }, { head: '' }, { head: 'at most', align: 'right' as const }]
  return `${renderTable(columns, rows, terminalOf(io))}${more}\nEnd one that was never billed: manciple ledger adjust --drop-presumed ID --reason TEXT`
}

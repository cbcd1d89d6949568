import { formatUsd, nanoToUsd, type CostsReport, type OutsideView, type Spend } from '@manciple/core'
import type { Command } from 'commander'
import { decimalsFor, jsonText, shortCount } from '../amounts.ts'
import { addLedgerOptions, banner, faultText, footer, openView, type LedgerOptions } from '../outside.ts'
import { renderTable, type Column, type Row } from '../table.ts'
import { terminalOf, type Io, type Terminal } from '../terminal.ts'

export function defineCosts(program: Command, io: Io, done: (code: number) => void): void {
  addLedgerOptions(program.command('costs'))
    .summary('what has been spent today and this month, by backend')
    .description('What has been spent today and this month, by backend, at list price. Works beside a running router.')
    .addHelpText(
      'after',
      '\nExit codes: 0 shown, 2 wrong use, or no ledger to read.\n\nExamples:\n  $ manciple costs\n  $ manciple costs --ledger /var/lib/router/ledger\n  $ manciple costs --json | jq .month.costUsd',
    )
    .action(async (options: LedgerOptions) => done(await costs(io, options)))
}

async function costs(io: Io, options: LedgerOptions): Promise<number> {
  const view = await openView(options)
  const report = view.costs()
  if (options.json) {
    io.stdout.write(jsonText(costsFigures(view, report)))
    return 0
  }
  const terminal = terminalOf(io)
  const fault = view.fault === undefined ? [] : [banner(faultText(view.fault, report.timezone), terminal), '']
  io.stdout.write(`${[...fault, costsTable(report, terminal), '', footer(view, terminal)].join('\n')}\n`)
  return 0
}

/** The report for programs: in USD too. */
export function costsFigures({ lastRecord, fault }: OutsideView, report: CostsReport): Record<string, unknown> {
  const figures = { ...report, today: withUsd(report.today), month: withUsd(report.month), backends: report.backends.map(backendJson) }
  return { ...figures, lastRecord, fault: fault ?? null }
}

const right = (head: string): Column => ({ head, align: 'right' })
const COLUMNS: readonly Column[] = [{ head: 'backend' }, right('today'), right('calls'), right('tokens'), right('this month'), right('calls'), right('tokens')]

/** The report for people. */
export function costsTable({ backends, today, month }: CostsReport, terminal: Terminal): string {
  const days = decimalsFor([today, ...backends.map((one) => one.today)].map(({ costNano }) => costNano))
  const months = decimalsFor([month, ...backends.map((one) => one.month)].map(({ costNano }) => costNano))
  const cells = (name: string, day: Spend, whole: Spend): string[] => [name, ...spendCells(day, days), ...spendCells(whole, months)]
  const rows: Row[] = backends.map((one) => cells(one.backend, one.today, one.month))
  return renderTable(COLUMNS, [...rows, 'rule', cells('total', today, month).map((cell) => terminal.colours.bold(cell))], terminal)
}

function spendCells({ costNano, requests, tokens }: Spend, decimals: number): string[] {
  return [formatUsd(costNano, decimals), shortCount(requests), shortCount(tokens)]
}

function backendJson({ backend, today, month }: CostsReport['backends'][number]): Record<string, unknown> {
  return { backend, today: withUsd(today), month: withUsd(month) }
}

function withUsd(spend: Spend): Spend & { readonly costUsd: number } {
  return { costUsd: nanoToUsd(spend.costNano), ...spend }
}

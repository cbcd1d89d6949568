import { repairLedger, type Damage, type RepairReport } from '@manciple/core'
import type { Command } from 'commander'
import { counted, jsonText } from '../../amounts.ts'
import { addLedgerOptions, type LedgerOptions } from '../../outside.ts'
import { withProgress } from '../../progress.ts'
import { printable, terminalOf, wrap, type Io } from '../../terminal.ts'

const EXAMPLES = `
Nothing is deleted: all that is cut stays in the folder, in cut-….

Exit codes: 0 repaired, or nothing to repair; 2 locked or unreadable.

Examples:
  $ manciple ledger repair
  $ manciple ledger repair --json | jq .lost`

export function defineRepair(parent: Command, io: Io, done: (code: number) => void): void {
  addLedgerOptions(parent.command('repair'))
    .summary('make a damaged ledger whole; cloud calls go again')
    .description(
      'Keeps the journal up to the damage, writes again all that stands behind it and can be verified, puts back what the checkpoint still knew, and notes what is lost. The router must be stopped.',
    )
    .addHelpText('after', EXAMPLES)
    .action(async (options: LedgerOptions) => done(await repair(io, options)))
}

async function repair(io: Io, { ledger, latest, json }: LedgerOptions): Promise<number> {
  const report = await withProgress(io, 'Repairing', (onProgress) => repairLedger(ledger, { onProgress, ...(latest ? { nowMs: 0 } : {}) }))
  io.stdout.write(json ? jsonText(report) : `${asText(report, io)}\n`)
  return 0
}

function asText(report: RepairReport, io: Io): string {
  const { colours, width } = terminalOf(io)
  const { repaired, damages, lost, salvaged, imported, restored, files } = report
  if (!repaired) return `${colours.bold(colours.green('ok'))}: nothing to repair.`
  const lostLines = lost.reduce((sum, { from, to }) => sum + to - from + 1, 0)
  const ranges = lost.map(({ from, to }) => (from === to ? String(from) : `${from} to ${to}`)).join(', ')
  const parts = [
    ...damages.map(damageText),
    `${counted(salvaged, 'line')} from behind the damage written again${imported > 0 ? `, ${counted(imported, 'settlement')} of them without its reservation` : ''}`,
    lostLines === 0 ? 'no line is lost' : `${counted(lostLines, 'line')} lost: seq ${ranges}`,
    ...(restored > 0 ? [`${counted(restored, 'correction')} for what the checkpoint still knew of lost lines`] : []),
    ...(files.length > 0 ? [`kept aside: ${files.join(', ')}`] : []),
  ]
  const list = parts.map((part) => `- ${wrap(printable(part), width, 2)}`).join('\n')
  return `${colours.bold(colours.green('repaired'))}: cloud calls go again when the router starts.\n${list}`
}

function damageText({ file, line, offset, bytes, seq, reason }: Damage): string {
  return `${file}:${line}, byte ${offset}: ${bytes === 0 ? reason : `the line of seq ${seq} ${reason}; ${bytes} bytes`}`
}

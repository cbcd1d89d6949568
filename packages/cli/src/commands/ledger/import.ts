import { formatUsd, importSpend, type ImportReport } from '@manciple/core'
import type { Command } from 'commander'
import { counted, decimalsFor, jsonText, shortCount } from '../../amounts.ts'
import { addLedgerOptions, type LedgerOptions } from '../../outside.ts'
import { withProgress } from '../../progress.ts'
import { terminalOf, wrap, type Io } from '../../terminal.ts'

interface ImportOptions extends LedgerOptions {
  readonly backend?: string
}

const EXAMPLES = `
CSV has a head; columns are known by timestamp, backend, model, prompt_tokens,
completion_tokens, cost_usd, task_id, task_type, duration_ms, id, and names like
them. JSON lines have the same fields. Folders are searched for *.jsonl.
A cost that is not given is computed at list price, or by the policy's own.
The same call counts once, however often it is imported.

Exit codes: 0 imported, 2 mistakes in a file, locked or unreadable.

Examples:
  $ manciple ledger import spend-before.csv
  $ manciple ledger import ~/.claude/projects --backend claude
  $ manciple ledger import other-ledger.jsonl --json | jq .imported`

export function defineImport(parent: Command, io: Io, done: (code: number) => void): void {
  addLedgerOptions(parent.command('import'))
    .summary('count spend from before Manciple or beside it')
    .description(
      "Counts spend from before Manciple, or beside it, in the windows of its own time: CSV, JSON lines, Claude Code's logs. The router must be stopped.",
    )
    .argument('<paths...>', 'files, or folders of logs')
    .option('--backend <name>', 'backend of calls that do not name one')
    .addHelpText('after', EXAMPLES)
    .action(async (paths: readonly string[], options: ImportOptions) => done(await run(io, paths, options)))
}

async function run(io: Io, paths: readonly string[], { ledger, latest, json, backend }: ImportOptions): Promise<number> {
  const report = await withProgress(io, 'Reading', (onProgress) =>
    importSpend(ledger, paths, { onProgress, ...(backend === undefined ? {} : { backend }), ...(latest ? { nowMs: 0 } : {}) }),
  )
  io.stdout.write(json ? jsonText(report) : `${asText(report, io)}\n`)
  return 0
}

function asText({ files, calls, imported, known, costNano, tokens, from, to, notes }: ImportReport, io: Io): string {
  const { width, colours } = terminalOf(io)
  const { bold, green, yellow } = colours
  const read = `${counted(calls, 'call')} in ${counted(files, 'file')}`
  const before = known === 0 ? '' : `, ${shortCount(known)} known before`
  if (imported === 0) return `${bold(green('ok'))}: ${read}${before}: nothing new.`
  return `${bold(green('ok'))}: ${read}${before}.\nImported ${counted(imported, 'call')}: ${formatUsd(costNano, decimalsFor([costNano]))}, ${shortCount(tokens)} tokens,
from ${from ?? ''} to ${to ?? ''}.${notes.map((note) => `\n${yellow(wrap(note, width, 0))}`).join('')}`
}

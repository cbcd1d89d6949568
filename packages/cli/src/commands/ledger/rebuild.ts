import { rebuildLedger } from '@manciple/core'
import type { Command } from 'commander'
import { jsonText } from '../../amounts.ts'
import { withProgress } from '../../progress.ts'
import { terminalOf, type Io } from '../../terminal.ts'

interface RebuildOptions {
  readonly ledger: string
  readonly json?: true
}

const EXAMPLES = `
Exit codes: 0 rebuilt, 2 wrong use or unreadable.

Examples:
  $ manciple ledger rebuild
  $ manciple ledger rebuild --ledger /var/lib/router/ledger`

export function defineRebuild(parent: Command, io: Io, done: (code: number) => void): void {
  parent
    .command('rebuild')
    .summary('make checkpoint and SQLite history anew from the journal')
    .description('Makes checkpoint and SQLite history anew from the journal. Beside a running router, which keeps its own checkpoint, the history alone.')
    .option('--ledger <folder>', 'folder of the ledger', 'data/ledger')
    .option('--json', 'for programs: one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async (options: RebuildOptions) => done(await rebuild(io, options)))
}

async function rebuild(io: Io, { ledger, json }: RebuildOptions): Promise<number> {
  const report = await withProgress(io, 'Rebuilding', (onProgress) => rebuildLedger(ledger, { onProgress }))
  const { green, bold } = terminalOf(io).colours
  const what = report.checkpoint ? 'checkpoint and history' : 'the history (a router is running and keeps its own checkpoint)'
  io.stdout.write(json ? jsonText(report) : `${bold(green('ok'))}: made ${what} anew, up to seq ${report.seq}.\n`)
  return 0
}

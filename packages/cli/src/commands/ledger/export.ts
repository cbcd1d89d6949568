import { exportLedger, openOutsideView, parseTime } from '@manciple/core'
import type { Command } from 'commander'
import { withProgress } from '../../progress.ts'
import type { Io } from '../../terminal.ts'

interface ExportOptions {
  readonly ledger: string
  readonly since?: string
  readonly until?: string
  readonly json?: true
}

const EXAMPLES = `
Days are those of the policy's time zone. --until with a date takes in that day.
Imports have the status imported, corrections adjusted.

Exit codes: 0 exported, 2 wrong use or unreadable.

Examples:
  $ manciple ledger export > all.csv
  $ manciple ledger export --since 2026-04-01 --until 2026-04-30 > april.csv
  $ manciple ledger export --json | jq -r 'select(.overrun) | .id'`

export function defineExport(parent: Command, io: Io, done: (code: number) => void): void {
  const command = parent
    .command('export')
    .summary('every call, as CSV or JSON lines')
    .description('Every call, import and correction, in the order of the journal, as CSV on standard output.')
    .option('--ledger <folder>', 'folder of the ledger', 'data/ledger')
    .option('--since <time>', 'from this date, or time (2026-04-01T14:30), on')
    .option('--until <time>', 'through this date, or up to this time')
    .option('--json', 'one JSON object a line instead of CSV')
    .addHelpText('after', EXAMPLES)
  command.action(async (options: ExportOptions) => done(await run(io, options, command)))
}

async function run(io: Io, { ledger, since, until, json }: ExportOptions, command: Command): Promise<number> {
  const zone = since === undefined && until === undefined ? 'UTC' : (await openOutsideView(ledger)).policy.timezone
  const timeOf = (name: string, text: string): { readonly startMs: number; readonly endMs: number } =>
    parseTime(text, zone) ??
    command.error(`error: option '--${name} <time>' argument '${text}' is invalid. It is to be a date or time, as 2026-04-01 or 2026-04-01T14:30.`)
  const from = since === undefined ? {} : { from: new Date(timeOf('since', since).startMs) }
  const to = until === undefined ? {} : { to: new Date(timeOf('until', until).endMs) }
  await withProgress(io, 'Exporting', async (onProgress) => {
    for await (const text of exportLedger(ledger, { format: json ? 'jsonl' : 'csv', ...from, ...to, onProgress })) await written(io, text)
  })
  return 0
}

/** Waits for a reader that is slower than the disk. */
async function written({ stdout }: Io, text: string): Promise<void> {
  if (stdout.write(text) === false && 'once' in stdout && typeof stdout.once === 'function') {
    const { once } = stdout
    await new Promise((resolve) => {
      once.call(stdout, 'drain', resolve)
    })
  }
}

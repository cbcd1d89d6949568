import type { Command } from 'commander'
import type { Io } from '../terminal.ts'
import { defineAdjust } from './ledger/adjust.ts'
import { defineExport } from './ledger/export.ts'
import { defineImport } from './ledger/import.ts'
import { defineRebuild } from './ledger/rebuild.ts'
import { defineRepair } from './ledger/repair.ts'
import { defineStats } from './ledger/stats.ts'
import { defineVerify } from './ledger/verify.ts'

const EXAMPLES = `
Exit codes: 0 done, 1 verify found something, 2 wrong use, locked or unreadable.
verify, stats, export and rebuild work beside a running router;
repair, import and adjust need it stopped, and say which process holds the lock.

Examples:
  $ manciple ledger verify
  $ manciple ledger repair
  $ manciple ledger import ~/.claude/projects --backend claude
  $ manciple ledger export --since 2026-04-01 > april.csv
  $ manciple ledger adjust --backend claude --cost -1.25 --reason "refund 4711"`

export function defineLedger(program: Command, io: Io, done: (code: number) => void): void {
  const ledger = program
    .command('ledger')
    .summary('look after a ledger: verify, repair, import, correct')
    .description('Looks after the ledger: every line of it, what it was made into, and what it lacks.')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
  for (const define of [defineVerify, defineRepair, defineRebuild, defineStats, defineExport, defineImport, defineAdjust]) define(ledger, io, done)
}

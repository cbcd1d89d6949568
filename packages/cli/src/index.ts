import { readFileSync } from 'node:fs'
import { MancipleError } from '@manciple/core'
import type { BridgeError } from '@manciple/evennia-adapter'
import { Command, CommanderError } from 'commander'
import { defineBudget } from './commands/budget.ts'
import { defineCheck } from './commands/check.ts'
import { defineCosts } from './commands/costs.ts'
import { defineEvennia } from './commands/evennia.ts'
import { defineExplain } from './commands/explain.ts'
import { defineHistory } from './commands/history.ts'
import { defineInit } from './commands/init.ts'
import { defineLedger } from './commands/ledger.ts'
import { defineNotices } from './commands/notices.ts'
import { defineObserve } from './commands/observe.ts'
import { defineReplay } from './commands/replay.ts'
import { defineWatch } from './commands/watch.ts'
import { terminalOf, type Io } from './terminal.ts'

export type { Io } from './terminal.ts'

const EXAMPLES = `
Exit codes: 0 done, 1 the policy file or the ledger has mistakes, 2 wrong use or
unreadable, 3 --fail-on found what it asks for.

Examples:
  $ manciple init
  $ manciple check configs/budgets.yaml
  $ manciple watch
  $ manciple budget --fail-on near
  $ manciple history --last-week --by day
  $ manciple explain --backend claude --task-type chat
  $ manciple notices --follow
  $ manciple ledger verify`

/** Exit code for a wrong use, a file or ledger that cannot be read, and any other error. */
const UNUSABLE = 2

/**
 * Runs one `manciple` command and resolves with its exit code; never throws.
 * 0 done, 1 the policy file has mistakes or the ledger contradicts itself, 2 wrong use or unreadable, 3 `--fail-on` found something.
 * @param argv arguments after the name of the program.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let code = 0
  try {
    await createProgram(io, (ended) => (code = ended)).parseAsync(argv, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : UNUSABLE
    io.stderr.write(`${errorText(error, io)}\n`)
    return UNUSABLE
  }
}

function createProgram(io: Io, done: (code: number) => void): Command {
  const program = new Command('manciple')
    .description('Budgets for model routers that are never overshot, and paid quota that is used.')
    .version(version(), '--version', 'print the version')
    .helpOption('--help', 'show help')
    .helpCommand(false)
    .showHelpAfterError('Add --help for what it takes.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => terminalOf(io).width,
      getErrHelpWidth: () => terminalOf(io).width,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('after', EXAMPLES)
  for (const define of [
    defineInit,
    defineCheck,
    defineCosts,
    defineBudget,
    defineWatch,
    defineHistory,
    defineExplain,
    defineReplay,
    defineNotices,
    defineObserve,
    defineLedger,
    defineEvennia,
  ])
    define(program, io, done)
  return program
}

/** `error CODE: what happened, and what to do`; never a stack. */
function errorText(error: unknown, io: Io): string {
  const { red } = terminalOf(io).colours
  const head = error instanceof MancipleError || isBridgeError(error) ? `error ${error.code}` : 'error'
  // A message quotes what it found, which may be anything.
  const message = (error instanceof Error ? error.message : String(error)).replaceAll(/[^\P{Cc}\n]/gu, ' ')
  return `${red(head)}: ${message}`
}

/** By its name: the class comes with the bridge, which only its own command loads. */
function isBridgeError(error: unknown): error is BridgeError {
  return error instanceof Error && error.name === 'BridgeError'
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : ''
}

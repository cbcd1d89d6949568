import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { journalEnd } from '@manciple/core'
import type { Command } from 'commander'
import { addLedgerOptions, openView, type LedgerOptions } from '../outside.ts'
import { terminalOf, type Dialogue, type Io, type Terminal } from '../terminal.ts'
import { budgetFigures, budgetText } from './budget.ts'
import { costsFigures, costsTable } from './costs.ts'

/** How often the ledger is looked at, which is one question to the file system. */
const LOOK_MS = 250
/** Time passes without calls as well: windows end, and paces fall. */
const REDRAW_MS = 30_000
/** q, Ctrl-C and Ctrl-D: in raw mode they are keys like any other. */
const QUIT = ['q', 'Q', '\u0003', '\u0004']
const EXAMPLES = `
Drawn anew whenever the ledger changes; q or Ctrl-C ends it. Without a terminal,
or with --json, a snapshot is printed at each change instead.
Exit codes: 0 ended, 2 wrong use, or no ledger to read.

Examples:
  $ manciple watch
  $ manciple watch --ledger /var/lib/router/ledger
  $ manciple watch --json | jq .costs.today.costUsd`

export function defineWatch(program: Command, io: Io, done: (code: number) => void): void {
  addLedgerOptions(program.command('watch'))
    .summary('costs and budget, live')
    .description('What has been spent, and limits and quotas, as they change. Works beside a running router.')
    .addHelpText('after', EXAMPLES)
    .action(async (options: LedgerOptions) => {
      await watch(io, options)
      done(0)
    })
}

async function watch(io: Io, options: LedgerOptions): Promise<void> {
  const ended = new AbortController()
  const signal = io.signal === undefined ? ended.signal : AbortSignal.any([io.signal, ended.signal])
  if (io.dialogue !== undefined && !options.json) return live(io, io.dialogue, options, signal, () => ended.abort())
  if (!options.json) io.stderr.write('There is no terminal here: a plain snapshot is printed at each change, until Ctrl-C.\n')
  for await (const _ of changes(options.ledger, Number.POSITIVE_INFINITY, signal)) {
    const { figures, text } = await snapshot(io, options)
    io.stdout.write(options.json ? `${JSON.stringify(figures)}\n` : `${text}\n\n`)
  }
}

/** Draws in place, and leaves the terminal as it was. */
async function live(io: Io, { input, output }: Dialogue, options: LedgerOptions, signal: AbortSignal, end: () => void): Promise<void> {
  const { createLogUpdate } = await import('log-update')
  const draw = createLogUpdate(output, { showCursor: false })
  const stopReading = onQuit(input, end)
  try {
    for await (const _ of changes(options.ledger, REDRAW_MS, signal)) {
      // A terminal may be made wider or narrower meanwhile.
      const now = { ...io, columns: sizeOf(output, 'columns') ?? io.columns }
      const { text } = await snapshot(now, options)
      draw(fitted(text, sizeOf(output, 'rows'), terminalOf(now)))
    }
  } finally {
    draw.done()
    stopReading()
  }
}

/** At once, and whenever the journal has grown, or `atLatestMs` have passed. */
async function* changes(folder: string, atLatestMs: number, signal: AbortSignal): AsyncGenerator<void, void, undefined> {
  let end: string | undefined
  for (let drawnMs = 0; !signal.aborted;) {
    const now = JSON.stringify((await journalEnd(folder)) ?? null)
    if (now !== end || performance.now() - drawnMs >= atLatestMs) {
      end = now
      drawnMs = performance.now()
      yield
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)
  }
}

async function snapshot(io: Io, options: LedgerOptions): Promise<{ figures: Record<string, unknown>; text: string }> {
  const view = await openView(options)
  const terminal = terminalOf(io)
  const [costs, budget] = [view.costs(), view.budget()]
  return {
    figures: { costs: costsFigures(view, costs), budget: budgetFigures(view, budget) },
    text: `${costsTable(costs, terminal)}\n\n${budgetText(view, budget, terminal, false)}`,
  }
}

function sizeOf(output: Writable & { readonly columns?: unknown; readonly rows?: unknown }, side: 'columns' | 'rows'): number | undefined {
  const size = output[side]
  return typeof size === 'number' ? size : undefined
}

/** The head of a text that is taller than the terminal: what does not fit is said. */
function fitted(text: string, rows: number | undefined, { colours }: Terminal): string {
  const lines = text.split('\n')
  const hint = colours.dim('q ends')
  if (rows === undefined || lines.length + 2 < rows) return `${text}\n${hint}`
  const shown = Math.max(1, rows - 3)
  return [...lines.slice(0, shown), colours.dim(`… ${lines.length - shown} more lines; q ends`)].join('\n')
}

/** Calls `end` at q, Ctrl-C or Ctrl-D. @returns what stops reading and gives the keys back. */
function onQuit(input: Readable & { readonly setRawMode?: (raw: boolean) => unknown }, end: () => void): () => void {
  const onKeys = (keys: Buffer | string): void => {
    if (QUIT.some((key) => keys.toString().includes(key))) end()
  }
  input.setRawMode?.(true)
  input.on('data', onKeys)
  input.on('end', end)
  input.resume()
  return () => {
    input.off('data', onKeys)
    input.off('end', end)
    input.setRawMode?.(false)
    input.pause()
  }
}

import { followNotices, formatInstant, type Notice, type Severity } from '@manciple/core'
import { InvalidArgumentError, type Command } from 'commander'
import { openView, type LedgerOptions } from '../outside.ts'
import { printable, terminalOf, wrap, type Io, type Terminal } from '../terminal.ts'

interface NoticesOptions extends LedgerOptions {
  readonly follow?: true
  readonly last: number
}

const SEVERITY_WIDTH = 7
const EXAMPLES = `
Examples:
  $ manciple notices
  $ manciple notices --last 5 --follow
  $ manciple notices --follow --json | jq -r .text`

export function defineNotices(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('notices')
    .summary('what people should read: limits near, cloud stopped, quota under-used')
    .description('The latest notices, oldest first. Works beside a running router.')
    .option('--ledger <folder>', 'folder of the ledger', 'data/ledger')
    .option('--follow', 'go on with new notices until Ctrl-C')
    .option('--last <count>', 'how many of the latest to show', count, 20)
    .option('--json', 'for programs: one JSON object a line')
    .addHelpText('after', EXAMPLES)
    .action(async (options: NoticesOptions) => done(await notices(io, options)))
}

function count(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('It is to be a whole number, 0 or more.')
  return Number(text)
}

async function notices(io: Io, { ledger, follow, last, json }: NoticesOptions): Promise<number> {
  const view = await openView({ ledger })
  const terminal = terminalOf(io)
  const print = (notice: Notice): void => {
    io.stdout.write(json ? `${JSON.stringify(notice)}\n` : `${noticeLines(notice, view.policy.timezone, terminal, io.isTTY)}\n`)
  }
  const shown = last === 0 ? [] : view.notices.slice(-last)
  for (const notice of shown) print(notice)
  if (!follow) {
    if (view.notices.length === 0) io.stderr.write('No notices yet.\n')
    return 0
  }
  const seen = view.notices.at(-1)?.number ?? 0
  for await (const notice of followNotices(ledger, seen, io.signal ?? new AbortController().signal)) print(notice)
  return 0
}

/** On a terminal the text is broken to its width; elsewhere a notice is one line, for grep. */
function noticeLines({ time, severity, kind, text }: Notice, zone: string, { colours, width }: Terminal, isTTY: boolean): string {
  const paint: Record<Severity, (word: string) => string> = { info: colours.dim, advice: colours.cyan, warning: colours.yellow, alert: colours.red }
  const at = formatInstant(Date.parse(time), zone)
  const indent = at.length + SEVERITY_WIDTH + 4
  const body = wrap(`${printable(kind)}: ${printable(text)}`, isTTY ? width : Number.POSITIVE_INFINITY, indent)
  return `${colours.dim(at)}  ${(paint[severity] ?? String)(printable(severity).padEnd(SEVERITY_WIDTH))}  ${body}`
}

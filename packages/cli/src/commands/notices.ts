import { followNotices, formatInstant, type Notice, type OutsideView, type Severity } from '@manciple/core'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { openView, type LedgerOptions } from '../outside.ts'
import { execSink } from '../sinks/exec-sink.ts'
import { cursorPath, readCursor, writeCursor } from '../sinks/notice-cursor.ts'
import { deliverSurely, type NoticeSink } from '../sinks/notice-sink.ts'
import { webhookSink } from '../sinks/webhook-sink.ts'
import { printable, terminalOf, wrap, type Io, type Terminal } from '../terminal.ts'

interface NoticesOptions extends LedgerOptions {
  readonly follow?: true
  readonly last: number
  readonly webhook?: string
  readonly secretEnv?: string
  readonly exec?: string
  readonly cursor?: string
}

const SEVERITY_WIDTH = 7
const SECRET_ENV = 'MANCIPLE_WEBHOOK_SECRET'
const EXAMPLES = `
--webhook posts each notice as JSON, signed; --exec runs a command with the
notice as JSON on its standard input. Either tries again, with longer and longer
waits, until the notice is taken, and keeps in a cursor file how far it has
come: a restart loses none and repeats none that was taken, save the one that
was on its way when the process was killed. That has the same id again, in the
header idempotency-key and in the field "id". The first time it begins with the
next new notice, or with --last.
  x-manciple-timestamp  seconds since 1970
  x-manciple-signature  v1=HMAC-SHA256 of "TIMESTAMP.BODY" with the secret, hex
Exit codes: 0 shown or ended by Ctrl-C, 2 wrong use, or no ledger to read.

Examples:
  $ manciple notices
  $ manciple notices --last 5 --follow
  $ manciple notices --follow --json | jq -r .text
  $ manciple notices --follow --webhook https://ops.example.com/manciple
  $ manciple notices --follow --exec 'jq -r .text | mail -s budget me@here'`

export function defineNotices(program: Command, io: Io, done: (code: number) => void): void {
  const command = program
    .command('notices')
    .summary('what people should read: limits near, cloud stopped, quota under-used')
    .description('The latest notices, oldest first. Works beside a running router.')
    .option('--ledger <folder>', 'folder of the ledger', 'data/ledger')
    .option('--follow', 'go on with new notices until Ctrl-C')
    .option('--last <count>', 'how many of the latest to show', count, 20)
    .addOption(new Option('--webhook <url>', 'with --follow: post each to this address, https').conflicts('exec'))
    .option('--secret-env <name>', `the environment variable with the secret to sign by; ${SECRET_ENV} unless given`)
    .option('--exec <command>', 'with --follow: run this command of the shell for each')
    .option('--cursor <file>', 'where it is kept how far they have come; beside the ledger unless given')
    .option('--json', 'for programs: one JSON object a line')
    .addHelpText('after', EXAMPLES)
  command.action(async (options: NoticesOptions) => {
    const { follow, webhook, exec, cursor } = options
    if (!follow && (webhook ?? exec ?? cursor) !== undefined) command.error("error: '--webhook', '--exec' and '--cursor' go with '--follow'.")
    await (webhook === undefined && exec === undefined ? notices(io, options) : deliver(io, options, command))
    done(0)
  })
}

function count(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('It is to be a whole number, 0 or more.')
  return Number(text)
}

async function notices(io: Io, options: NoticesOptions): Promise<void> {
  const { ledger, follow, last } = options
  const view = await openView({ ledger })
  const print = printer(io, view, options)
  const shown = last === 0 ? [] : view.notices.slice(-last)
  for (const notice of shown) print(notice)
  if (!follow) {
    if (view.notices.length === 0) io.stderr.write('No notices yet.\n')
    return
  }
  const seen = view.notices.at(-1)?.number ?? 0
  for await (const notice of followNotices(ledger, seen, signalOf(io))) print(notice)
}

/** Hands every notice to a sink, each when the one before was taken, and prints those that were. */
async function deliver(io: Io, options: NoticesOptions, command: Command): Promise<void> {
  const { ledger, last } = options
  const sink = sinkOf(io, options)
  const view = await openView({ ledger })
  const path = options.cursor ?? cursorPath(ledger, sink.target)
  const newest = view.notices.at(-1)?.number ?? 0
  const begin = command.getOptionValueSource('last') === 'cli' ? Math.max(0, newest - last) : newest
  const known = readCursor(path)
  // After a repair it is another stream, which is delivered from its beginning.
  const cursor = known === undefined ? { stream: view.stream, number: begin } : known.stream === view.stream ? known : { stream: view.stream, number: 0 }
  // At once: what comes before the first delivery must not be lost by a restart.
  writeCursor(path, cursor)
  const print = printer(io, view, options)
  const signal = signalOf(io)
  for await (const notice of followNotices(ledger, cursor.number, signal)) {
    const delivery = { id: `${cursor.stream}:${notice.number}`, notice }
    const taken = await deliverSurely(sink, delivery, signal, (reason, waitMs) => {
      io.stderr.write(`Notice ${notice.number} was not taken: ${sink.name} ${printable(reason)}. Next try in ${(waitMs / 1000).toFixed(1)} s.\n`)
    })
    if (!taken) return
    writeCursor(path, { stream: cursor.stream, number: notice.number })
    print(notice)
  }
}

function sinkOf({ env }: Io, { webhook, exec, secretEnv = SECRET_ENV }: NoticesOptions): NoticeSink {
  return webhook === undefined ? execSink(exec ?? '') : webhookSink(webhook, env[secretEnv], secretEnv)
}

function signalOf({ signal }: Io): AbortSignal {
  return signal ?? new AbortController().signal
}

function printer(io: Io, { policy }: OutsideView, { json }: NoticesOptions): (notice: Notice) => void {
  const terminal = terminalOf(io)
  return (notice) => io.stdout.write(json ? `${JSON.stringify(notice)}\n` : `${noticeLines(notice, policy.timezone, terminal, io.isTTY)}\n`)
}

/** On a terminal the text is broken to its width; elsewhere a notice is one line, for grep. */
function noticeLines({ time, severity, kind, text }: Notice, zone: string, { colours, width }: Terminal, isTTY: boolean): string {
  const paint: Record<Severity, (word: string) => string> = { info: colours.dim, advice: colours.cyan, warning: colours.yellow, alert: colours.red }
  const at = formatInstant(Date.parse(time), zone)
  const indent = at.length + SEVERITY_WIDTH + 4
  const body = wrap(`${printable(kind)}: ${printable(text)}`, isTTY ? width : Number.POSITIVE_INFINITY, indent)
  return `${colours.dim(at)}  ${(paint[severity] ?? String)(printable(severity).padEnd(SEVERITY_WIDTH))}  ${body}`
}

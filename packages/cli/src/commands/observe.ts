import { formatInstant, MancipleError, openOutsideView, parseTime, recordReading, type Observation, type Policy, type QuotaReading } from '@manciple/core'
import { InvalidArgumentError, type Command } from 'commander'
import { jsonText, percent } from '../amounts.ts'
import { addLedgerOptions, type LedgerOptions } from '../outside.ts'
import { printable, terminalOf, wrap, type Io } from '../terminal.ts'

interface ObserveOptions extends LedgerOptions {
  readonly used: number
  readonly quota?: string
  readonly at?: string
  readonly source: string
}

const EXAMPLES = `
For what a provider's own page says of a plan that others draw on as well. What
it counts and the ledger does not is then set aside until the window ends. The
router must be stopped: one process writes a ledger. A running router takes
readings itself, by \`manciple.observe\`.
Exit codes: 0 noted, 2 wrong use, the ledger is locked or cannot be read.

Examples:
  $ manciple observe claude --used 61%
  $ manciple observe claude --used 0.61 --at 2026-11-20T09:30 --source console
  $ manciple observe claude --used 12% --quota claude.5h@first-use.tokens`

export function defineObserve(program: Command, io: Io, done: (code: number) => void): void {
  const command = addLedgerOptions(program.command('observe'))
    .summary("note a provider's own reading of a quota, by hand")
    .description("Notes in the ledger how much of a backend's quota its provider says is used.")
    .argument('<backend>', 'whose quota')
    .requiredOption('--used <share>', 'how much of it is used: 61% or 0.61, at most 100%', share)
    .option('--quota <limit>', 'which limit of the backend is read; its quota unless given')
    .option('--at <time>', 'when it was read (2026-11-20T09:30); now unless given')
    .option('--source <text>', 'who says so; stands in every reason that the reading gives', 'by hand')
    .addHelpText('after', EXAMPLES)
  command.action(async (backend: string, options: ObserveOptions) => {
    await observe(io, backend, options, command)
    done(0)
  })
}

/** `61%` or `0.61`. A bare 61 would be 61 times the quota. */
function share(text: string): number {
  const match = /^(\d{1,3}(?:\.\d{1,9})?)(%?)$/.exec(text)
  if (match === null) throw new InvalidArgumentError('It is to be a share, as 61% or 0.61.')
  const used = match[2] === '%' ? Number(match[1]) / 100 : Number(match[1])
  if (used <= 1) return used
  if (match[2] === '' && used > 2 && used <= 100) throw new InvalidArgumentError(`It is to be a share, as 61% or 0.61; did you mean ${text}%?`)
  throw new InvalidArgumentError(
    'More than all of a quota cannot be used of it. Where the provider reports more, give 100%: nothing is let through then either.',
  )
}

async function observe(io: Io, backend: string, options: ObserveOptions, command: Command): Promise<void> {
  const { ledger, latest, json, used, quota, at, source } = options
  const { policy } = await openOutsideView(ledger)
  const { timezone } = policy
  if (quota === undefined) assertQuota(policy, backend)
  const time = at === undefined ? undefined : parseTime(at, timezone)
  if (at !== undefined && time === undefined) {
    command.error(`error: option '--at <time>' argument '${at}' is invalid. It is to be a date or time, as 2026-04-01 or 2026-04-01T14:30.`)
  }
  const reading: QuotaReading = { used, source, ...(quota === undefined ? {} : { quota }), ...(time === undefined ? {} : { at: new Date(time.startMs) }) }
  const observation = await recordReading(ledger, backend, reading, latest ? { nowMs: 0 } : {}).catch((error: unknown) => {
    throw isLocked(error) ? besideRouter(error, backend, used) : error
  })
  io.stdout.write(json ? jsonText(observation) : `${doneText(observation, timezone, io)}\n`)
}

/** Without a quota there is nothing that a reading could be of. */
function assertQuota({ backends }: Policy, name: string): void {
  const backend = backends.find((one) => one.name === name)
  if (backend === undefined || backend.quota !== undefined) return
  const remedy = `Give it one in the policy first, as \`backends: ${name}: { quota: 20.00/month }\``
  throw new MancipleError('REQUEST_INVALID', `${name} has no quota, so a reading would limit nothing. ${remedy}.`, { backend: name })
}

function isLocked(error: unknown): error is MancipleError {
  return error instanceof MancipleError && error.code === 'LEDGER_LOCKED'
}

/** The router can do what this command may not. */
function besideRouter(error: MancipleError, backend: string, used: number): MancipleError {
  const [found = ''] = error.message.split('\n')
  const call = `manciple.observe('${backend}', { used: ${used}, source: 'by hand' })`
  return new MancipleError(error.code, `${found}; a router that runs takes the reading itself: ${call}`, error.details, { cause: error })
}

function doneText({ backend, used, at, source, limit, until }: Observation, zone: string, io: Io): string {
  const { colours, width } = terminalOf(io)
  const what = limit ?? backend
  const counts = until === at ? 'Its window is over: it counts for nothing now.' : `It counts until ${formatInstant(Date.parse(until ?? at), zone)} ${zone}.`
  const text = `${percent(used)} used of ${what}, at ${formatInstant(Date.parse(at), zone)}, says ${printable(source)}. ${counts}`
  return `${colours.green('ok')}: ${wrap(text, width, 4)}`
}

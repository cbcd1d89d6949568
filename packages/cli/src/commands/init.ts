import { existsSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { budgetsJsonSchema, formatIssues, makeFolders, parsePolicy, usdToNano } from '@manciple/core'
import { InvalidArgumentError, type Command } from 'commander'
import { jsonText } from '../amounts.ts'
import { terminalOf, wrap, type Dialogue, type Io } from '../terminal.ts'
import { BUILT_IN_BACKENDS, dailyFor, policyFileText, usdText, type PolicyAnswers } from './init-template.ts'

interface InitOptions {
  readonly monthly?: string
  readonly daily?: string
  readonly backend?: ReadonlyMap<string, string | undefined>
  readonly timezone?: string
  readonly localModel?: string
  readonly local: boolean
  readonly hardStop: boolean
  readonly schema: boolean
  readonly yes?: true
  readonly force?: true
  readonly json?: true
}

const SHARES: Readonly<Record<string, string>> = { claude: '20.00', kimi: '15.00', gpt: '10.00', gemini: '5.00' }
const MONTHLY = '50.00'
const LOCAL_MODEL = 'llama3.1:8b'
const FILE = 'configs/budgets.yaml'
const SCHEMA = 'budgets.schema.json'
const EXAMPLES = `
On a terminal it asks a few questions; with --yes, with any answer as an option,
or without a terminal it asks none. Never overwrites a file without --force.
Exit codes: 0 written, 1 check would advise against it and nothing was written,
2 wrong use, the file exists, or it cannot be written.

Examples:
  $ manciple init
  $ manciple init --yes
  $ manciple init /etc/router/budgets.yaml --monthly 200 --timezone Europe/Paris
  $ manciple init --monthly 80 --backend claude=50 --backend gpt --no-local`

export function defineInit(program: Command, io: Io, done: (code: number) => void): void {
  const command = program
    .command('init')
    .summary('write a first policy file, after a few questions')
    .description('Writes a commented policy file that `manciple check` has nothing to say against.')
    .argument('[file]', 'where to', FILE)
    .option('--monthly <usd>', `what all cloud models together may cost a month (default: ${MONTHLY})`, usd)
    .option('--daily <usd>', 'and a day (default: five times the even pace of the month)', usd)
    .option(
      '--backend <name[=usd]>',
      'an account, and what it may take a month; may be repeated (default: all four, with 20, 15, 10 and 5 of the default month)',
      backend,
    )
    .option('--timezone <zone>', "the zone of days and months (default: the system's)")
    .option('--local-model <model>', `model of the local backend (default: ${LOCAL_MODEL})`)
    .option('--no-local', 'no local backend: what the cloud may not take is refused')
    .option('--no-hard-stop', 'limits warn and refuse nothing')
    .option('--no-schema', `no ${SCHEMA} beside it for editors`)
    .option('--yes', 'ask nothing')
    .option('--force', 'overwrite the file')
    .option('--json', 'for programs: one JSON object')
    .addHelpText('after', EXAMPLES)
  command.action(async (file: string, options: InitOptions) => done(await init(io, file, options, command)))
}

function usd(text: string): string {
  const nano = usdToNano(text)
  if (nano === undefined) throw new InvalidArgumentError('It is to be an amount in USD, as 20 or 20.00.')
  return usdText(nano)
}

function backend(text: string, before: ReadonlyMap<string, string | undefined> = new Map()): ReadonlyMap<string, string | undefined> {
  const [name = '', amount] = text.split('=')
  if (!(BUILT_IN_BACKENDS as readonly string[]).includes(name)) {
    throw new InvalidArgumentError(`It is to be one of ${BUILT_IN_BACKENDS.join(', ')}; other backends need a provider and models, in the file.`)
  }
  return new Map([...before, [name, amount === undefined ? undefined : usd(amount)]])
}

async function init(io: Io, file: string, options: InitOptions, command: Command): Promise<number> {
  const exists = existsSync(file)
  if (exists && !options.force) command.error(`error: ${file} exists. Give --force to overwrite it, or another path.`)
  const answers = io.dialogue === undefined || isAnswered(options, command) ? answersOf(options) : await ask(io.dialogue, answersOf(options))
  if (answers === undefined) {
    io.stderr.write('Nothing was written.\n')
    return 2
  }
  const text = policyFileText(answers, options.schema ? SCHEMA : undefined)
  const parsed = parsePolicy(text, '')
  // That limits do not refuse was asked for in so many words.
  const issues = parsed.ok ? parsed.advice.filter(({ path }) => path !== 'budgets.hard_stop') : parsed.issues
  if (issues.length > 0) {
    io.stdout.write(options.json ? jsonText({ ok: false, file, issues }) : `${formatIssues(issues, { file: basename(file), text })}\n\nNothing was written.\n`)
    return 1
  }
  const schema = write(file, text, options)
  if (options.json) io.stdout.write(jsonText({ ok: true, file, schema, replaced: exists }))
  else io.stdout.write(`${doneText(io, file, schema)}\n`)
  return 0
}

async function ask(dialogue: Dialogue, usual: PolicyAnswers): Promise<PolicyAnswers | undefined> {
  const { askForPolicy } = await import('./init-questions.ts')
  return askForPolicy(dialogue, usual)
}

/** Whether the command line answers anything itself: then it is to answer all. */
function isAnswered(options: InitOptions, command: Command): boolean {
  const questions = ['monthly', 'daily', 'backend', 'timezone', 'localModel', 'local', 'hardStop']
  return options.yes === true || options.json === true || questions.some((name) => command.getOptionValueSource(name) === 'cli')
}

function answersOf(options: InitOptions): PolicyAnswers {
  const { monthly = MONTHLY, daily = dailyFor(monthly), backend: asked, timezone = systemZone(), local, localModel = LOCAL_MODEL, hardStop } = options
  const usual = new Map(BUILT_IN_BACKENDS.map((name) => [name, options.monthly === undefined ? SHARES[name] : undefined]))
  return { monthly, daily, backends: asked ?? usual, timezone, localModel: local ? localModel : undefined, hardStop }
}

function systemZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone
}

/** @returns the path of the schema, where there is one beside the file now. */
function write(file: string, text: string, { schema: wanted, force }: InitOptions): string | null {
  const folder = dirname(file)
  const schema = join(folder, SCHEMA)
  makeFolders(folder)
  writeFileSync(file, text)
  if (!wanted) return null
  if (force || !existsSync(schema)) writeFileSync(schema, `${JSON.stringify(budgetsJsonSchema(), null, 2)}\n`)
  return schema
}

function doneText(io: Io, file: string, schema: string | null): string {
  const { colours, width } = terminalOf(io)
  const beside = schema === null ? '' : ` and ${schema}, which editors complete it by`
  const next = `Look through it, then: manciple check ${file}`
  return `${colours.green('ok')}: ${wrap(`wrote ${file}${beside}.`, width, 4)}\n${next}`
}

import { existsSync } from 'node:fs'
import {
  explainEntry,
  explainOutside,
  formatInstant,
  formatUsd,
  NANO_PER_USD,
  openOutsideView,
  parsePolicy,
  parseTime,
  policyVersion,
  readPolicyFile,
  type DecideRequest,
  type Explanation,
  type PastExplanation,
  type Policy,
  MancipleError,
  formatIssues,
} from '@manciple/core'
import { InvalidArgumentError, type Command } from 'commander'
import { jsonText } from '../amounts.ts'
import { candidatesText, explanationJson, fitted, verdictText } from '../explanation-text.ts'
import { addLedgerOptions, type LedgerOptions } from '../outside.ts'
import { printable, terminalOf, wrap, type Io } from '../terminal.ts'

interface ExplainOptions extends LedgerOptions {
  readonly backend?: string
  readonly model?: string
  readonly taskType?: string
  readonly taskId?: string
  readonly tags?: readonly string[]
  readonly inputTokens: number
  readonly maxOutputTokens?: number
  readonly candidates?: readonly string[]
  readonly pinned?: true
  readonly at?: string
  readonly config?: string
}

const EXAMPLES = `
Without an id: what such a call would get, on the totals of the ledger and by
the policy that was last in force there. Nothing is reserved.
With the id of an entry: why that call went where it did, by the policy and on
the totals of its moment. Works beside a running router.
Exit codes: 0 explained, 2 wrong use, or no such ledger, policy or entry.

Examples:
  $ manciple explain --backend claude --task-type chat
  $ manciple explain --backend claude --at 2026-12-01T09:00
  $ manciple explain --config new-budgets.yaml --task-type reasoning
  $ manciple explain k3x9pq2m-1f
  $ manciple explain --json | jq '.candidates[] | {backend, model, whatIf}'`

/** Options that go with the id of an entry. */
const OF_PAST: ReadonlySet<string> = new Set(['ledger', 'json'])

export function defineExplain(program: Command, io: Io, done: (code: number) => void): void {
  const command = addLedgerOptions(program.command('explain'))
    .summary('why a call went where it did, or where one would go now')
    .description('Explains a decision: candidates, rules that matched and the facts they read, headroom, and what would have to be different.')
    .argument('[entry-id]', 'a past call, by the id of its entry')
    .option('--backend <name>', 'the backend that the call asks for')
    .option('--model <name>', 'the model that it asks for')
    .option('--task-type <type>', 'its task type')
    .option('--task-id <id>', 'its task')
    .option('--tags <tags>', 'its tags, with commas between', list)
    .option('--input-tokens <count>', 'size of its prompt', count, 1000)
    .option('--max-output-tokens <count>', "bound on its answer; the policy's unless given", count)
    .option('--candidates <backends>', 'backends that may serve it, with commas between', list)
    .option('--pinned', 'the named backend or a local one, no other')
    .option('--at <time>', 'at this time (2026-12-01T09:00) in place of now')
    .option('--config <file>', 'by this policy file in place of the one in force')
    .addHelpText('after', EXAMPLES)
  command.action(async (id: string | undefined, options: ExplainOptions) => {
    if (id === undefined) await explainNow(io, options, command)
    else {
      assertAlone(command)
      await explainPast(io, id, options)
    }
    done(0)
  })
}

/** A past call is what it was: all else would be left unheard. */
function assertAlone(command: Command): void {
  const extra = command.options.filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli' && !OF_PAST.has(option.attributeName()))
  if (extra.length === 0) return
  const flags = extra.map(({ long }) => long ?? '').join(', ')
  command.error(`error: ${flags} cannot go with the id of an entry, which is explained as it was. Leave it out, or leave out the id to ask about another call.`)
}

function count(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It is to be a whole number, as 1500.')
  return Number(text)
}

function list(text: string): readonly string[] {
  return text.split(',').map((part) => part.trim())
}

async function explainNow(io: Io, options: ExplainOptions, command: Command): Promise<void> {
  const policy = options.config === undefined ? undefined : readPolicy(options.config)
  // A new file can be asked before there is any ledger.
  const ledger = policy === undefined || existsSync(options.ledger) || command.getOptionValueSource('ledger') !== 'default' ? options.ledger : undefined
  const at = await timeOf(options, policy, ledger, command)
  const explained = await explainOutside(ledger, requestOf(options), { ...(at === undefined ? {} : { at }), ...(policy === undefined ? {} : { policy }) })
  const { explanation } = explained
  if (options.json) return void io.stdout.write(jsonText({ at: explained.at, ...explanationJson(explanation) }))
  const terminal = terminalOf(io)
  const zone = explained.policy.timezone
  const head = [
    `${verdictText(explanation, terminal)}`,
    ...explanation.reasons.map((reason) => `  ${fitted(reason, terminal.width, 2)}`),
    terminal.colours.dim(`at ${formatInstant(Date.parse(explained.at), zone)} ${zone}, policy ${explanation.policy}`),
  ]
  io.stdout.write(`${head.join('\n')}\n\n${candidatesText(explanation, terminal)}\n`)
}

async function explainPast(io: Io, id: string, { ledger, json }: ExplainOptions): Promise<void> {
  const past = await explainEntry(ledger, id)
  const { hold, entry, released, explanation, policy, same, recorded } = past
  if (json) {
    const { candidates: _recorded, ...facts } = hold
    const call = { ...facts, entry: entry ?? null, released: released ?? null, same, recorded }
    return void io.stdout.write(jsonText({ ...explanationJson(explanation), ...call }))
  }
  const terminal = terminalOf(io)
  const { width, colours } = terminal
  const reasons = same ? explanation.reasons.map((reason) => `  ${fitted(reason, width, 2)}`) : []
  const head = [
    same ? verdictText(explanation, terminal) : colours.bold(`${hold.backend}/${hold.model}`),
    ...reasons,
    `  ${wrap(callText(past), width, 2)}`,
    colours.dim(`at ${formatInstant(hold.atMs, policy.timezone)} ${policy.timezone}, policy ${hold.policy}`),
  ]
  const parts = [head.join('\n'), ...(same ? [] : [fitted(differsText(past), width, 0)]), candidatesText(explanation, terminal)]
  io.stdout.write(`${parts.join('\n\n')}\n`)
}

function callText({ hold, entry, released }: PastExplanation): string {
  const asked = hold.requestedBackend === null ? '' : `asked for ${hold.requestedBackend}; `
  const size = `${asked}${hold.inputTokens} input tokens, at most ${hold.maxOutputTokens} output tokens, ${formatUsd(hold.estimate.costNano, 4)} set aside`
  if (entry !== undefined) return `${size}; billed ${formatUsd(Math.round(entry.cost_usd * NANO_PER_USD), 4)} (${entry.status})`
  return `${size}; ${released === undefined ? 'not billed yet' : `given back: ${printable(released)}`}`
}

/** What the ledger wrote down then, where judging it again comes to something else. */
function differsText({ explanation, recorded: then }: PastExplanation): string {
  const recorded = then.map(({ backend, model, out, limits = [], rules = [] }) => {
    const why = [...limits, ...rules].join(', ')
    return `${backend}/${model} ${out ?? 'taken'}${why === '' ? '' : ` (${why})`}`
  })
  return (
    `The ledger keeps neither tags nor a thinking budget, and one of them decided here: without it the call would ${whither(explanation)}. ` +
    `The ledger says: ${recorded.join('; ')}.`
  )
}

function whither({ backend, model }: Explanation): string {
  return backend === undefined ? 'be refused' : `have gone to ${backend}/${model ?? ''}, or there for other reasons`
}

function readPolicy(file: string): Policy {
  const text = readPolicyFile(file)
  const parsed = parsePolicy(text, policyVersion(text))
  if (parsed.ok) return parsed.policy
  throw new MancipleError('CONFIG_INVALID', formatIssues(parsed.issues, { file, text }))
}

async function timeOf(options: ExplainOptions, policy: Policy | undefined, ledger: string | undefined, command: Command): Promise<Date | 'latest' | undefined> {
  if (options.at === undefined) return options.latest ? 'latest' : undefined
  const zone = policy?.timezone ?? (ledger === undefined ? 'UTC' : (await openOutsideView(ledger)).policy.timezone)
  const time = parseTime(options.at, zone)
  if (time !== undefined) return new Date(time.startMs)
  return command.error(`error: option '--at <time>' argument '${options.at}' is invalid. It is to be a date or time, as 2026-04-01 or 2026-04-01T14:30.`)
}

function requestOf(options: ExplainOptions): DecideRequest {
  const { backend, model, taskType, taskId, tags, inputTokens, maxOutputTokens, candidates, pinned } = options
  const given = { backend, model, taskType, taskId, tags, maxOutputTokens, candidates, pinned }
  return { inputTokens, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) }
}

import { closeSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  comparePolicies,
  MancipleError,
  parsePolicy,
  parseTime,
  policyVersion,
  readPolicyFile,
  replayTrace,
  type Explanation,
  type OnProgress,
  type Outage,
  type ReplayComparison,
  type ReplayedCall,
  type ReplayReport,
} from '@manciple/core'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { counted, jsonText, shortCount } from '../amounts.ts'
import { withProgress } from '../progress.ts'
import { explanationJson, explanationText } from '../explanation-text.ts'
import { comparisonText, replayText } from '../replay-text.ts'
import { terminalOf, type Io } from '../terminal.ts'

interface ReplayCommandOptions {
  readonly config: string
  readonly compare?: string
  readonly history?: string
  readonly outage: readonly OutageText[]
  readonly calls?: string
  readonly explain?: string
  readonly json?: true
}

/** `BACKEND@FROM/TO`, its times not yet read: they are in the policy's zone. */
interface OutageText {
  readonly backend: string
  readonly from: string
  readonly to: string
}

const EXAMPLES = `
A trace is JSON lines of {t, id, task_type, prompt_tokens, completion_tokens,
max_output_tokens, duration_ms}, with backend, model and task_id where known; a
ledger's folder; Claude Code's logs; CSV or JSON lines as ledger import reads;
any file of these packed by gzip.
The same trace and policy give the same output, byte for byte.

Exit codes: 0 replayed, 2 wrong use, or a trace or policy with mistakes.

Examples:
  $ manciple replay april.jsonl --config configs/budgets.yaml
  $ manciple replay data/ledger --config new.yaml --compare configs/budgets.yaml
  $ manciple replay ~/.claude/projects --config configs/budgets.yaml
  $ manciple replay april.jsonl --history march.jsonl --json | jq .utilization
  $ manciple replay april.jsonl --explain r17
  $ manciple replay april.jsonl --calls - | jq -r .backend | sort | uniq -c
  $ manciple replay april.jsonl --outage gemini@2026-04-10/2026-04-13`

export function defineReplay(program: Command, io: Io, done: (code: number) => void): void {
  const command = program
    .command('replay')
    .summary('what a policy would have made of past calls')
    .description(
      'Runs past calls through a policy, by the code that rules live ones: what would have been refused, rerouted, sent local; spend, use and waste of quotas.',
    )
    .argument('<trace>', 'file, folder of logs, or folder of a ledger')
    .option('--config <file>', 'the policy', 'configs/budgets.yaml')
    .option('--compare <file>', 'another policy, side by side: --config is before, this is after')
    .option('--history <trace>', 'a trace from before, for the forecast to learn from')
    .option('--outage <backend@from/to>', 'a time in which a backend fails every call; may be given again', outageText, [])
    .option('--calls <file>', 'write what became of each call, under --config, as JSON lines; - prints them in place of the report', onlyOnce)
    .addOption(new Option('--explain <id>', 'why the call of this id went where it did, in place of the report').conflicts('compare'))
    .option('--json', 'for programs: one JSON object')
    .addHelpText('after', EXAMPLES)
  command.action(async (trace: string, options: ReplayCommandOptions) => done(await replay(io, trace, options, command)))
}

async function replay(io: Io, trace: string, options: ReplayCommandOptions, command: Command): Promise<number> {
  const { config, compare, history, calls, explain, json } = options
  const explained: Explanation[] = []
  const outages = options.outage.length === 0 ? [] : outagesIn(zoneOf(config), options.outage, command)
  const startMs = performance.now()
  if (calls === STDOUT && (json || compare !== undefined || explain !== undefined))
    command.error('error: --calls - prints calls in place of the report: it cannot be used with --json, --compare or --explain; give it a file')
  const result = await withCalls(io, calls, command, (onCall) =>
    withProgress(io, 'Replaying', (onProgress: OnProgress): Promise<ReplayReport | ReplayComparison> => {
      const input = { trace, outages, onProgress, ...(history === undefined ? {} : { history }), ...(onCall === undefined ? {} : { onCall }) }
      const asked = explain === undefined ? {} : { explain: { id: explain, onExplained: (explanation: Explanation) => void explained.push(explanation) } }
      return compare === undefined ? replayTrace({ config, ...input, ...asked }) : comparePolicies({ configs: [config, compare], ...input })
    }),
  )
  const seconds = (performance.now() - startMs) / 1000
  if (explain !== undefined) io.stdout.write(explainedText(io, explain, explained, json, command))
  else if (json) io.stdout.write(jsonText(result))
  else if (calls !== STDOUT) io.stdout.write('before' in result ? comparisonText(result, terminalOf(io)) : replayText(result, terminalOf(io)))
  const replayed = 'before' in result ? result.before.calls + result.after.calls : result.calls
  io.stderr.write(`${counted(replayed, 'call')} replayed in ${seconds.toFixed(1)} s, ${shortCount(Math.round(replayed / seconds))} a second\n`)
  return 0
}

/** Each call of the id: an id that a trace uses twice is explained twice. */
function explainedText(io: Io, id: string, explained: readonly Explanation[], json: true | undefined, command: Command): string {
  if (explained.length === 0) command.error(`error: the trace has no call '${id}'.`)
  const terminal = terminalOf(io)
  return json ? explained.map((one) => jsonText(explanationJson(one))).join('') : `${explained.map((one) => explanationText(one, terminal)).join('\n\n')}\n`
}

type OnCall = (call: ReplayedCall) => void

/** As a path: standard output. */
const STDOUT = '-'
const PENDING_CHARS = 1 << 16

/** Writes calls to where they are to go, if anywhere. */
async function withCalls<T>(io: Io, path: string | undefined, command: Command, work: (onCall: OnCall | undefined) => Promise<T>): Promise<T> {
  if (path === undefined) return work(undefined)
  return path === STDOUT ? withLines((text) => void io.stdout.write(text), work) : withFile(path, command, work)
}

/** Lines, many at a time. */
async function withLines<T>(write: (text: string) => void, work: (onCall: OnCall) => Promise<T>): Promise<T> {
  let pending = ''
  const result = await work((call) => {
    pending += `${JSON.stringify(call)}\n`
    if (pending.length <= PENDING_CHARS) return
    write(pending)
    pending = ''
  })
  write(pending)
  return result
}

/** A file that is there when all calls are in it, and not before. */
async function withFile<T>(path: string, command: Command, work: (onCall: OnCall) => Promise<T>): Promise<T> {
  assertWritable(path, command)
  const unfinished = `${path}.${process.pid}.tmp`
  const file = openSync(unfinished, 'wx')
  try {
    const result = await withLines((text) => {
      for (let rest = Buffer.from(text); rest.length > 0;) rest = rest.subarray(writeSync(file, rest))
    }, work)
    renameSync(unfinished, path)
    return result
  } finally {
    closeSync(file)
    rmSync(unfinished, { force: true })
  }
}

/** Before anything is replayed. */
function assertWritable(path: string, command: Command): void {
  const folder = dirname(path)
  if (!isFolder(folder)) command.error(`error: --calls ${path}: there is no folder ${folder}`)
  if (isFolder(path)) command.error(`error: --calls ${path}: expected a file, found a folder`)
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function onlyOnce(text: string, before: string | undefined): string {
  if (before !== undefined) throw new InvalidArgumentError('It may be given once.')
  return text
}

function outageText(text: string, before: readonly OutageText[]): readonly OutageText[] {
  const [, backend, from, to] = /^([^@]+)@([^/]+)\/([^/]+)$/.exec(text) ?? []
  if (backend === undefined || from === undefined || to === undefined)
    throw new InvalidArgumentError('It is to be BACKEND@FROM/TO, as gemini@2026-04-10/2026-04-13.')
  return [...before, { backend, from, to }]
}

function outagesIn(zone: string, texts: readonly OutageText[], command: Command): readonly Outage[] {
  return texts.map(({ backend, from, to }) => {
    const [fromMs, toMs] = [parseTime(from, zone)?.startMs, parseTime(to, zone)?.startMs]
    if (fromMs !== undefined && toMs !== undefined && fromMs < toMs) return { backend, fromMs, toMs }
    return command.error(`error: --outage ${backend}@${from}/${to}: expected two times, the earlier first, as 2026-04-10 or 2026-04-10T14:30Z`)
  })
}

/** A file that is wrong is told by the replay itself. */
function zoneOf(config: string): string {
  const text = readPolicyFile(config)
  const parsed = parsePolicy(text, policyVersion(text))
  if (!parsed.ok) throw new MancipleError('CONFIG_INVALID', `${config} has mistakes; \`manciple check ${config}\` shows them`)
  return parsed.policy.timezone
}

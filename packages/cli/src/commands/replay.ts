import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
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
ledger's folder; Claude Code's logs; CSV or JSON lines as ledger import reads.
The same trace and policy give the same output, byte for byte.

Exit codes: 0 replayed, 2 wrong use, or a trace or policy with mistakes.

Examples:
  $ manciple replay april.jsonl --config configs/budgets.yaml
  $ manciple replay data/ledger --config new.yaml --compare configs/budgets.yaml
  $ manciple replay ~/.claude/projects --config configs/budgets.yaml
  $ manciple replay april.jsonl --history march.jsonl --json | jq .utilization
  $ manciple replay april.jsonl --explain r17
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
    .option('--calls <file>', 'write what became of each call, under --config, as JSON lines')
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
  const result = await withCalls(calls, (onCall) =>
    withProgress(io, 'Replaying', (onProgress: OnProgress): Promise<ReplayReport | ReplayComparison> => {
      const input = { trace, outages, onProgress, ...(history === undefined ? {} : { history }), ...(onCall === undefined ? {} : { onCall }) }
      const asked = explain === undefined ? {} : { explain: { id: explain, onExplained: (explanation: Explanation) => void explained.push(explanation) } }
      return compare === undefined ? replayTrace({ config, ...input, ...asked }) : comparePolicies({ configs: [config, compare], ...input })
    }),
  )
  const seconds = (performance.now() - startMs) / 1000
  if (explain !== undefined) io.stdout.write(explainedText(io, explain, explained, json, command))
  else if (json) io.stdout.write(jsonText(result))
  else io.stdout.write('before' in result ? comparisonText(result, terminalOf(io)) : replayText(result, terminalOf(io)))
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

const PENDING_CHARS = 1 << 16

/** Writes calls into a file that is there when all of them are, and not before. */
async function withCalls<T>(path: string | undefined, work: (onCall: ((call: ReplayedCall) => void) | undefined) => Promise<T>): Promise<T> {
  if (path === undefined) return work(undefined)
  const unfinished = `${path}.${process.pid}.tmp`
  const file = openSync(unfinished, 'wx')
  let pending = ''
  const flush = (): void => {
    for (let rest = Buffer.from(pending); rest.length > 0;) rest = rest.subarray(writeSync(file, rest))
    pending = ''
  }
  try {
    const result = await work((call) => {
      pending += `${JSON.stringify(call)}\n`
      if (pending.length > PENDING_CHARS) flush()
    })
    flush()
    renameSync(unfinished, path)
    return result
  } finally {
    closeSync(file)
    rmSync(unfinished, { force: true })
  }
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

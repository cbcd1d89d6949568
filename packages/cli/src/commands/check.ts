import { existsSync } from 'node:fs'
import {
  adviseOnSpent,
  compileShorthand,
  formatIssues,
  formatUsd,
  MancipleError,
  openOutsideView,
  pacingPlanOf,
  parsePolicy,
  policyVersion,
  readPolicyFile,
  type Issue,
  type Policy,
  type Rule,
  type SourceFile,
} from '@manciple/core'
import type { Command } from 'commander'
import { counted, jsonText } from '../amounts.ts'
import { ruleYaml } from '../rule-text.ts'
import { terminalOf, type Io } from '../terminal.ts'
import { allPass, casesJson, casesText, checkCases } from './check-cases.ts'

interface CheckOptions {
  readonly rules?: true
  readonly cases?: string
  readonly ledger?: string
  readonly latest?: true
  readonly json?: true
}

/** A good file with the advice on it. */
interface Checked {
  readonly policy: Policy
  readonly advice: readonly Issue[]
  readonly source: SourceFile
}

const FILE = 'configs/budgets.yaml'
const LEDGER = 'data/ledger'
const EXAMPLES = `
Exit codes: 0 the file is good and every case passes, 1 it has mistakes or a
case fails, 2 it cannot be read. Advice changes no exit code.

Examples:
  $ manciple check
  $ manciple check /etc/router/budgets.yaml
  $ manciple check --rules          every rule that the file stands for
  $ manciple check --cases cases/   play what should be decided on which totals
  $ manciple check --ledger /var/lib/router/ledger
  $ manciple check --json | jq -r '.issues[] | "\\(.line): \\(.message)"'`

export function defineCheck(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('check')
    .summary('whether a policy file is right, and what it stands for')
    .description('Checks a policy file: every mistake with its line, what was expected, and what to do.')
    .argument('[file]', `the policy file (default: "${FILE}")`)
    .option('--rules', 'print every rule that is enforced, shorthand included, as it would stand in a file, with the line it comes from; all else as comments')
    .option('--cases <folder>', 'play the cases of its *.yaml files: totals and a request, and what should come of them')
    .option('--ledger <folder>', `advise on limits below what is spent already (default: "${LEDGER}", if there is one)`)
    .option('--latest', "as of the ledger's last record, where the router ran on a clock of its own")
    .option('--json', 'for programs: one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined, options: CheckOptions) => done(await check(io, file, options)))
}

async function check(io: Io, asked: string | undefined, options: CheckOptions): Promise<number> {
  const { cases, json } = options
  const file = asked ?? FILE
  // Cases may bring their own policies: then the default file may be missing.
  const checked = asked === undefined && cases !== undefined && !existsSync(file) ? undefined : await checkFile(io, file, options)
  if (checked !== undefined && 'issues' in checked) {
    const { issues, source } = checked
    io.stdout.write(json ? jsonText({ ok: false, file, issues }) : mistakesText(issues, source, io))
    return 1
  }
  if (cases === undefined) {
    if (checked !== undefined) io.stdout.write(json ? jsonText(goodJson(checked, options)) : goodText(checked, options, io))
    return 0
  }
  const played = await checkCases(cases, () => checked?.policy ?? missing(file))
  const ok = allPass(played)
  const text = casesText(played, io)
  if (json) io.stdout.write(jsonText({ ...(checked === undefined ? {} : goodJson(checked, options)), ok, cases: casesJson(played) }))
  else io.stdout.write(checked === undefined ? text : `${goodText(checked, options, io)}\n${options.rules ? commented(text) : text}`)
  return ok ? 0 : 1
}

function missing(file: string): never {
  throw new MancipleError('CONFIG_MISSING', `${file} does not exist, and a file of cases names no policy of its own`)
}

async function checkFile(io: Io, file: string, options: CheckOptions): Promise<Checked | { readonly issues: readonly Issue[]; readonly source: SourceFile }> {
  const text = readPolicyFile(file)
  const parsed = parsePolicy(text, policyVersion(text))
  const source: SourceFile = { file, text }
  if (!parsed.ok) return { issues: parsed.issues, source }
  return { policy: parsed.policy, advice: [...parsed.advice, ...(await spentAdvice(io, parsed.policy, options))], source }
}

/** A ledger that was not asked for is looked at where it can be. */
async function spentAdvice(io: Io, policy: Policy, { ledger, latest }: CheckOptions): Promise<readonly Issue[]> {
  if (ledger === undefined && !existsSync(LEDGER)) return []
  try {
    const view = await openOutsideView(ledger ?? LEDGER, { policy, ...(latest ? { at: 'latest' } : {}) })
    return adviseOnSpent(
      policy,
      view.budget().limits.map(({ settled }) => settled),
    )
  } catch (error) {
    if (ledger !== undefined || !(error instanceof MancipleError)) throw error
    io.stderr.write(`What is spent already was not looked at: ${error.message.split('\n')[0]}\n`)
    return []
  }
}

function mistakesText(issues: readonly Issue[], source: SourceFile, io: Io): string {
  const { colours } = terminalOf(io)
  return `${formatIssues(issues, source)}\n\n${colours.bold(colours.red(`${counted(issues.length, 'mistake')}`))}: this file would be refused whole.\n`
}

function goodJson({ policy, advice, source }: Checked, { rules: wanted }: CheckOptions): Record<string, unknown> {
  const { version, timezone, limits, backends } = policy
  const rules = [...compileShorthand(policy), ...policy.rules]
  return { ok: true, file: source.file, version, timezone, limits: limits.length, backends: backends.length, rules: wanted ? rules : rules.length, advice }
}

function goodText({ policy, advice, source }: Checked, { rules: wanted }: CheckOptions, io: Io): string {
  const { colours } = terminalOf(io)
  const { version, limits, backends, rules: own } = policy
  const shorthand = compileShorthand(policy)
  const rules = counted(shorthand.length + own.length, 'rule')
  const ok = `${colours.bold(colours.green('ok'))}: ${counted(limits.length, 'limit')}, ${counted(backends.length, 'backend')}, ${rules}, version ${version}\n`
  const advised = advice.length === 0 ? '' : `\n${colours.bold(`Advice (${advice.length})`)}\n\n${formatIssues(advice, source)}\n`
  return wanted ? `${rulesText(shorthand, own, policy)}${commented(`${ok}${advised}`)}` : `${ok}${advised}`
}

/** As YAML comments: what is printed with rules may be kept in a file as it is. */
function commented(text: string): string {
  return text.replace(/^(?=.)/gm, '# ')
}

function rulesText(shorthand: readonly Rule[], own: readonly Rule[], policy: Policy): string {
  const part = (title: string, rules: readonly Rule[]): string[] =>
    rules.length === 0 ? [] : [`# ${title}: ${counted(rules.length, 'rule')}`, ...rules.map(ruleYaml)]
  const parts = [...part('Shorthand', shorthand), ...part('Own', own), ...pacingText(policy)]
  return `${shorthand.length + own.length === 0 ? 'rules: []' : 'rules:'}\n${parts.join('\n\n')}${parts.length === 0 ? '' : '\n'}\n`
}

/** Floors are no rules: they forbid nothing, and what they add to a score changes by the hour. */
function pacingText(policy: Policy): string[] {
  const plan = pacingPlanOf(policy)
  if (plan === undefined) return []
  const { floors } = policy
  const share = (part: number): string => `${Number((part * 100).toFixed(2))}%`
  const lines = plan.limits.map(({ name, quota, backends, paid }) => {
    const drawing = backends.map((backend) => plan.backends[backend] ?? '').join(', ')
    return quota ? `#   ${name}: the quota of ${drawing}, floor ${share(floors.backend)}, weighs ${formatUsd(paid)}` : `#   ${name}: bounds ${drawing}`
  })
  const total = `#   all quotas together: floor ${share(floors.total)}; told when less than ${share(floors.lowRemaining)} of one is left`
  return [['# Paced: scores are moved by what a call draws from these, and nothing is forbidden by it', ...lines, total].join('\n')]
}

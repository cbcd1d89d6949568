import { compileShorthand, formatIssues, parsePolicy, policyVersion, readPolicyFile, type Issue, type Policy, type Rule, type SourceFile } from '@manciple/core'
import type { Command } from 'commander'
import { counted, jsonText } from '../amounts.ts'
import { ruleYaml } from '../rule-text.ts'
import { terminalOf, type Io } from '../terminal.ts'

interface CheckOptions {
  readonly rules?: true
  readonly json?: true
}

const EXAMPLES = `
Exit codes: 0 the file is good, 1 it has mistakes, 2 it cannot be read.

Examples:
  $ manciple check
  $ manciple check /etc/router/budgets.yaml
  $ manciple check --rules          every rule that the file stands for
  $ manciple check --json | jq -r '.issues[] | "\\(.line): \\(.message)"'`

export function defineCheck(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('check')
    .summary('whether a policy file is right, and what it stands for')
    .description('Checks a policy file: every mistake with its line, what was expected, and what to do.')
    .argument('[file]', 'the policy file', 'configs/budgets.yaml')
    .option('--rules', 'print every rule that is enforced, shorthand included, as it would stand under `rules:`')
    .option('--json', 'for programs: one JSON object')
    .addHelpText('after', EXAMPLES)
    .action((file: string, options: CheckOptions) => done(check(io, file, options)))
}

function check(io: Io, file: string, { rules: wanted, json }: CheckOptions): number {
  const text = readPolicyFile(file)
  const parsed = parsePolicy(text, policyVersion(text))
  const source: SourceFile = { file, text }
  if (!parsed.ok) {
    io.stdout.write(json ? jsonText({ ok: false, file, issues: parsed.issues }) : mistakesText(parsed.issues, source, io))
    return 1
  }
  const { policy, advice } = parsed
  const shorthand = compileShorthand(policy)
  if (json) {
    const rules = [...shorthand, ...policy.rules]
    const { version, timezone, limits, backends } = policy
    io.stdout.write(
      jsonText({ ok: true, file, version, timezone, limits: limits.length, backends: backends.length, rules: wanted ? rules : rules.length, advice }),
    )
    return 0
  }
  if (wanted) io.stdout.write(rulesText(shorthand, policy.rules))
  io.stdout.write(goodText(policy, shorthand.length + policy.rules.length, advice, source, io))
  return 0
}

function mistakesText(issues: readonly Issue[], source: SourceFile, io: Io): string {
  const { colours } = terminalOf(io)
  return `${formatIssues(issues, source)}\n\n${colours.bold(colours.red(`${counted(issues.length, 'mistake')}`))}: this file would be refused whole.\n`
}

function goodText({ version, limits, backends }: Policy, rules: number, advice: readonly Issue[], source: SourceFile, io: Io): string {
  const { colours } = terminalOf(io)
  const parts = [counted(limits.length, 'limit'), counted(backends.length, 'backend'), counted(rules, 'rule'), `version ${version}`]
  const ok = `${colours.bold(colours.green('ok'))}: ${parts.join(', ')}\n`
  return advice.length === 0 ? ok : `${ok}\n${colours.bold(`Advice (${advice.length})`)}\n\n${formatIssues(advice, source)}\n`
}

function rulesText(shorthand: readonly Rule[], own: readonly Rule[]): string {
  const part = (title: string, rules: readonly Rule[]): string[] =>
    rules.length === 0 ? [] : [`# ${title}: ${counted(rules.length, 'rule')}`, ...rules.map(ruleYaml)]
  return `rules:\n${[...part('Shorthand', shorthand), ...part('Own', own)].join('\n\n')}\n\n`
}

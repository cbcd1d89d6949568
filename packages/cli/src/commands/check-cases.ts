import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import {
  formatIssues,
  parsePolicy,
  parsePolicyCases,
  policyVersion,
  readPolicyFile,
  runPolicyCase,
  type CaseResult,
  type Issue,
  type NamedPolicy,
  type Parsed,
  type Policy,
  type SourceFile,
} from '@manciple/core'
import { counted } from '../amounts.ts'
import { printable, terminalOf, type Io } from '../terminal.ts'

/** What came of one file of cases: its mistakes, or a result for each case. */
export type CheckedCases =
  | { readonly file: string; readonly issues: readonly Issue[]; readonly source: SourceFile }
  | { readonly file: string; readonly results: readonly CaseResult[] }

/**
 * Plays every `*.yaml` of a folder, in the order of their names.
 * @param own reads the policy of the cases whose file names none.
 * @throws Error where the folder cannot be read or has no cases.
 */
export async function checkCases(folder: string, own: () => Policy): Promise<readonly CheckedCases[]> {
  const files = readdirSync(folder)
    .filter((name) => /\.ya?ml$/.test(name))
    .toSorted()
    .map((name) => join(folder, name))
  if (files.length === 0) throw new Error(`${folder} has no cases: no file there ends in .yaml.`)
  const checked: CheckedCases[] = []
  for (const file of files) checked.push(await checkFile(file, own))
  return checked
}

async function checkFile(file: string, own: () => Policy): Promise<CheckedCases> {
  const text = readFileSync(file, 'utf8')
  let mistaken: { readonly issues: readonly Issue[]; readonly source: SourceFile } = { issues: [], source: { file, text } }
  const parsed = parsePolicyCases(text, (named) => {
    const read = readPolicy(file, named, own)
    if (!read.parsed.ok && read.source !== undefined) mistaken = { issues: read.parsed.issues, source: read.source }
    return read.parsed
  })
  if (!parsed.ok) return { file, ...(parsed.issues.length > 0 ? { issues: parsed.issues, source: { file, text } } : mistaken) }
  const { policy, cases } = parsed.cases
  const results: CaseResult[] = []
  for (const one of cases) results.push(await runPolicyCase(policy, one))
  return { file, results }
}

/** The policy of a file of cases, and the file that it stands in where it has one of its own. */
function readPolicy(file: string, named: NamedPolicy, own: () => Policy): { readonly parsed: Parsed; readonly source?: SourceFile } {
  if (named === undefined) return { parsed: { ok: true, policy: own(), advice: [] } }
  if ('text' in named) return { parsed: parsePolicy(named.text, policyVersion(named.text)) }
  const text = readPolicyFile(resolve(dirname(file), named.path))
  return { parsed: parsePolicy(text, policyVersion(text)), source: { file: join(dirname(file), named.path), text } }
}

/** Whether every file could be read and every case came out as it expects. */
export function allPass(checked: readonly CheckedCases[]): boolean {
  return checked.every((one) => 'results' in one && one.results.every(({ ok }) => ok))
}

/** For programs: every case with what was expected and found. */
export function casesJson(checked: readonly CheckedCases[]): readonly Record<string, unknown>[] {
  return checked.map((one) => ('results' in one ? { file: one.file, cases: one.results } : { file: one.file, issues: one.issues }))
}

/** What failed, and how many did not. */
export function casesText(checked: readonly CheckedCases[], io: Io): string {
  const { colours } = terminalOf(io)
  const parts = checked.flatMap((one) =>
    'results' in one ? one.results.filter(({ ok }) => !ok).map((result) => failureText(one.file, result, colours.red)) : [formatIssues(one.issues, one.source)],
  )
  const results = checked.flatMap((one) => ('results' in one ? one.results : []))
  const failed = results.filter(({ ok }) => !ok).length
  const unread = checked.length - checked.filter((one) => 'results' in one).length
  const sum = `${counted(results.length, 'case')} in ${counted(checked.length, 'file')}`
  const bad = [...(failed === 0 ? [] : [`${failed} failed`]), ...(unread === 0 ? [] : [`${counted(unread, 'file')} with mistakes`])]
  const verdict = bad.length === 0 ? `${colours.bold(colours.green('ok'))}: ${sum}` : `${colours.bold(colours.red('failed'))}: ${sum}, ${bad.join(', ')}`
  return `${[...parts, verdict].join('\n\n')}\n`
}

function failureText(file: string, { name, line, differences, reasons }: CaseResult, red: (text: string) => string): string {
  const rows = differences.flatMap((one) => [
    `  ${file}:${one.line}: ${one.what}`,
    `    expected: ${printable(one.expected)}`,
    `    found:    ${printable(one.found)}`,
  ])
  const why = reasons.length === 0 ? [] : [`  because:    ${printable(reasons.join('; '))}`]
  return [`${file}:${line}: ${red('failed')}: ${printable(name)}`, ...rows, ...why].join('\n')
}

import { verifyLedger, type Finding, type Verification } from '@manciple/core'
import type { Command } from 'commander'
import { counted, jsonText, size } from '../../amounts.ts'
import { withProgress } from '../../progress.ts'
import { printable, terminalOf, wrap, type Io } from '../../terminal.ts'

interface VerifyOptions {
  readonly ledger: string
  readonly json?: true
}

const EXAMPLES = `
Exit codes: 0 whole, 1 something contradicts itself, 2 there is no ledger.

Examples:
  $ manciple ledger verify
  $ manciple ledger verify --json | jq -r '.findings[] | "\\(.file):\\(.line)"'`

export function defineVerify(parent: Command, io: Io, done: (code: number) => void): void {
  parent
    .command('verify')
    .summary('read every line, and compare all that is said more than once')
    .description(
      'Reads every line: checksums, seals, gaps. Compares checkpoint, SQLite history and the running numbers of all limits with a full replay, to the nano. Never writes; works beside a running router.',
    )
    .option('--ledger <folder>', 'folder of the ledger', 'data/ledger')
    .option('--json', 'for programs: one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async (options: VerifyOptions) => done(await verify(io, options)))
}

async function verify(io: Io, { ledger, json }: VerifyOptions): Promise<number> {
  const found = await withProgress(io, 'Verifying', (onProgress) => verifyLedger(ledger, { onProgress }))
  const ok = found.findings.length === 0
  io.stdout.write(json ? jsonText({ ok, ...found }) : `${asText(found, io)}\n`)
  return ok ? 0 : 1
}

function asText({ findings, lines, bytes, seq, lastRecord, checked, tornBytes }: Verification, io: Io): string {
  const { colours, width } = terminalOf(io)
  const parts = [`${counted(lines, 'line')}, ${size(bytes)}, up to seq ${seq} of ${lastRecord}`]
  if (tornBytes > 0) parts.push(`${tornBytes} bytes at the end are not written yet, or will be cut aside at the next start`)
  const compared = Object.entries(checked).flatMap(([part, done]) => (done ? [part] : []))
  if (compared.length > 0) parts.push(`compared with the journal: ${compared.join(', ')}`)
  const said = parts.map((part) => colours.dim(part)).join('\n')
  if (findings.length === 0) return `${colours.bold(colours.green('ok'))}: the ledger is whole.\n${said}`
  const list = findings.map((finding) => `- ${wrap(printable(findingText(finding)), width, 2)}`).join('\n')
  return `${colours.bold(colours.red(counted(findings.length, 'finding')))}:\n${list}\n${said}`
}

/** `journal-000001.jsonl:6, byte 1234: the line of seq 6 does not match its checksum`. */
function findingText({ part, file, line, offset, text }: Finding): string {
  const place = `${file ?? part}${line === null ? '' : `:${line}`}${offset === null ? '' : `, byte ${offset}`}`
  return `${place}: ${text}`
}

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SITUATIONS } from '@manciple/router-plugin/conformance'
import type { Billed, Ended } from '@manciple/router-plugin/conformance'
import { expect } from 'vitest'

const FILE = join(import.meta.dirname, '..', '..', 'docs', 'billing.md')
export const KILLED = 'process killed in mid-call'

/** A row that no case of the suite makes: plain and streamed. */
export interface OwnRow {
  readonly situation: string
  readonly cells: readonly [plain: string, stream: string]
}

/**
 * Holds the host's table in docs/billing.md against what its tests have just shown. `UPDATE_BILLING=1` writes it instead;
 * run one file at a time then: `UPDATE_BILLING=1 vitest run test/hosts --no-file-parallelism`.
 */
export function expectBilling(host: string, billed: readonly Billed[], own: readonly OwnRow[]): void {
  const found = tableOf(billed, own)
  const text = readFileSync(FILE, 'utf8')
  const [begin, end] = [`<!-- ${host} -->\n`, `<!-- end of ${host} -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < 0) throw new Error(`docs/billing.md has no place for ${host}: a line ${begin.trim()} and a line ${end}`)
  const written = text.slice(from + begin.length, to)
  if (process.env['UPDATE_BILLING'] === '1') writeFileSync(FILE, `${text.slice(0, from + begin.length)}\n${found}\n${text.slice(to)}`)
  else expect(rowsOf(written), 'the table in docs/billing.md is stale: UPDATE_BILLING=1 vitest run test/hosts --no-file-parallelism').toEqual(rowsOf(found))
}

/** Without the padding that a formatter gives to a table. */
function rowsOf(table: string): readonly string[] {
  return table
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').replace(/-{3,}/g, '---').trim())
    .filter((line) => line !== '')
}

function tableOf(billed: readonly Billed[], own: readonly OwnRow[]): string {
  const cell = (situation: string, stream: boolean): string => {
    const found = billed.find((one) => one.situation === situation && one.stream === stream)
    return found === undefined ? '–' : cellOf(found)
  }
  const rows = SITUATIONS.map(({ name }) => [name, cell(name, false), cell(name, true)])
  const all = [['situation', 'plain', 'stream'], ['---', '---', '---'], ...rows, ...own.map(({ situation, cells }) => [situation, ...cells])]
  return all.map((row) => `| ${row.join(' | ')} |\n`).join('')
}

function cellOf({ ended, client }: Billed): string {
  return `${ended.map(attemptOf).join('; then ')}${client === 'hung' ? ' (the client waits for ever)' : ''}`
}

function attemptOf({ hold, entry }: Ended): string {
  if (entry === undefined) return `${hold.backend}: nothing`
  const input = entry.usage_source !== 'reported' && entry.prompt_tokens === hold.inputTokens ? 'bound' : String(entry.prompt_tokens)
  const amount = entry.usage_source === 'hold' ? 'the hold' : `${input} + ${entry.completion_tokens}`
  const cached = entry.cache_read_tokens === 0 ? '' : `, ${entry.cache_read_tokens} cached`
  return `${entry.backend}: ${amount}${cached}, \`${entry.status}\`, \`${entry.usage_source}\`${entry.overrun === true ? ', overrun' : ''}`
}

import {
  formatInstant,
  formatUsd,
  HISTORY_FIELDS,
  HISTORY_FIGURES,
  HISTORY_KEYS,
  nanoToUsd,
  parseTime,
  periodOf,
  PERIODS,
  type HistoryField,
  type HistoryFigures,
  type HistoryKey,
  type HistoryQuery,
  type HistoryReading,
  type HistoryRow,
  type OutsideView,
  type Period,
} from '@manciple/core'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { decimalsFor, percent, shortCount } from '../amounts.ts'
import { addLedgerOptions, banner, faultText, footer, openView, type LedgerOptions } from '../outside.ts'
import { renderTable, type Column, type Row } from '../table.ts'
import { printable, terminalOf, wrap, type Io, type Terminal } from '../terminal.ts'

interface HistoryOptions extends LedgerOptions {
  readonly by: readonly HistoryKey[]
  readonly since?: string
  readonly until?: string
  readonly csv?: true
  /** The periods and the filters, by their options in camel case. */
  readonly [option: string]: unknown
}

/** A history that lacks more calls than this is told of: a router that runs has them in within a second. */
const BEHIND = 10_000
const FILTERS: Readonly<Record<HistoryField, string>> = { backend: 'backend', model: 'model', task_type: 'type', task_id: 'task', status: 'status' }
const DESCRIPTIONS: Readonly<Record<Period, string>> = {
  today: 'since midnight',
  yesterday: 'the day before',
  'this-week': 'since Monday',
  'last-week': 'the last whole week, Monday to Sunday',
  'this-month': 'since the first of the month, which is what you get unless you ask',
  'last-month': 'the month before',
}
const EXAMPLES = `
Days, weeks and months are those of the policy's time zone.
--until with a date takes in that day.

Exit codes: 0 shown, 2 wrong use, or no ledger to read.

Examples:
  $ manciple history --last-week
  $ manciple history --last-month --by day
  $ manciple history --since 2026-04-01 --until 2026-04-30 --by backend,model
  $ manciple history --task issue-94 --since 2026-01-01 --by day,status
  $ manciple history --today --by hour --csv > today.csv
  $ manciple history --last-week --json | jq .total.cost_usd`

export function defineHistory(program: Command, io: Io, done: (code: number) => void): void {
  const command = addLedgerOptions(program.command('history'))
    .summary('what was spent in any time, by backend, day, task and more')
    .description('What was spent in any time, at list price, by any keys. Works beside a running router.')
  const others = (name: string): string[] => [...PERIODS, 'since', 'until'].filter((other) => other !== name).map(camelCase)
  for (const period of PERIODS) command.addOption(new Option(`--${period}`, DESCRIPTIONS[period]).conflicts(others(period)))
  command
    .option('--since <time>', 'from this date, or time (2026-04-01T14:30), on')
    .option('--until <time>', 'through this date, or up to this time')
    .option('--by <keys>', `what to sum by: ${HISTORY_KEYS.join(', ')}`, keysOf, ['backend'])
  for (const field of HISTORY_FIELDS) command.option(`--${FILTERS[field]} <text>`, `only calls of this ${field}`)
  command
    .addOption(new Option('--csv', 'for spreadsheets').conflicts('json'))
    .addHelpText('after', EXAMPLES)
    .action(async (options: HistoryOptions) => done(await history(io, options, command)))
}

function keysOf(text: string): readonly HistoryKey[] {
  const keys = [...new Set(text.split(','))].map((name) => HISTORY_KEYS.find((key) => key === name))
  if (keys.includes(undefined)) throw new InvalidArgumentError(`It is to be one or more of ${HISTORY_KEYS.join(', ')}, with commas between.`)
  return keys.filter((key) => key !== undefined)
}

async function history(io: Io, options: HistoryOptions, command: Command): Promise<number> {
  const view = await openView(options)
  const query = queryOf(options, view, command)
  const reading = await view.history(query)
  if (options.json) io.stdout.write(`${JSON.stringify(asJson(query, reading, view), null, 2)}\n`)
  else if (options.csv) io.stdout.write(asCsv(query, reading.rows))
  else io.stdout.write(asText(query, reading, view, terminalOf(io)))
  return 0
}

function queryOf(options: HistoryOptions, { asOf, policy }: OutsideView, command: Command): HistoryQuery {
  const { since, until, by } = options
  const nowMs = Date.parse(asOf)
  const timeOf = (name: string, text: string): { readonly startMs: number; readonly endMs: number } =>
    parseTime(text, policy.timezone) ??
    command.error(`error: option '--${name} <time>' argument '${text}' is invalid. It is to be a date or time, as 2026-04-01 or 2026-04-01T14:30.`)
  const filters = HISTORY_FIELDS.flatMap((field) => (typeof options[FILTERS[field]] === 'string' ? [[field, options[FILTERS[field]]]] : []))
  const where = Object.fromEntries(filters) as HistoryQuery['where'] & object
  if (since === undefined && until === undefined) {
    const period = PERIODS.find((name) => options[camelCase(name)] === true) ?? 'this-month'
    const { startMs, endMs } = periodOf(period, nowMs, policy.timezone)
    return { from: new Date(startMs), to: new Date(endMs), by, where }
  }
  const fromMs = since === undefined ? 0 : timeOf('since', since).startMs
  const toMs = until === undefined ? periodOf('today', nowMs, policy.timezone).endMs : timeOf('until', until).endMs
  if (fromMs > toMs) command.error(`error: --since ${since ?? ''} comes after ${until === undefined ? 'today' : `--until ${until}`}.`)
  return { from: new Date(fromMs), to: new Date(toMs), by, where }
}

function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

function totalOf(rows: readonly HistoryRow[]): HistoryFigures {
  const total: Record<string, number> = {}
  for (const row of rows) for (const figure of HISTORY_FIGURES) total[figure] = (total[figure] ?? 0) + (row[figure] ?? 0)
  return { cost_nano: 0, calls: 0, tokens: 0, ...total }
}

function asJson({ from, to, by, where }: HistoryQuery, { rows, asOfSeq, behind }: HistoryReading, { policy, fault }: OutsideView): Record<string, unknown> {
  const priced = <R extends HistoryFigures>(row: R): R & { cost_usd: number } => ({ ...row, cost_usd: nanoToUsd(row.cost_nano) })
  return { from, to, timezone: policy.timezone, by, where, rows: rows.map(priced), total: priced(totalOf(rows)), asOfSeq, behind, fault: fault ?? null }
}

/** RFC 4180, with plain newlines. */
function asCsv({ by }: HistoryQuery, rows: readonly HistoryRow[]): string {
  const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  const lines = rows.map((row) => [
    ...by.map((key) => quoted(row[key] ?? '')),
    exactUsd(row.cost_nano),
    ...HISTORY_FIGURES.map((figure) => String(row[figure] ?? '')),
  ])
  return [[...by, 'cost_usd', ...HISTORY_FIGURES], ...lines].map((cells) => `${cells.join(',')}\n`).join('')
}

/** All nine decimals. */
function exactUsd(nano: number): string {
  const digits = String(nano).padStart(10, '0')
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`
}

function asText(query: HistoryQuery, { rows, behind }: HistoryReading, view: OutsideView, terminal: Terminal): string {
  const { colours } = terminal
  const { timezone } = view.policy
  const filters = Object.entries(query.where ?? {}).map(([field, text]) => `, ${field} ${printable(text) || 'none'}`)
  const from = query.from.getTime() === 0 ? 'the beginning' : formatInstant(query.from.getTime(), timezone)
  const parts = [
    ...(view.fault === undefined ? [] : [banner(faultText(view.fault, timezone), terminal)]),
    `From ${from} to ${formatInstant(query.to.getTime(), timezone)}${filters.join('')}:`,
    rows.length === 0 ? 'No calls.' : table(query, rows, terminal),
    ...(behind > BEHIND ? [colours.dim(`${shortCount(behind)} calls were read from the journal: history.sqlite has yet to take them in.`)] : []),
    footer(view, terminal),
  ]
  return `${parts.join('\n\n')}\n`
}

function table({ by }: HistoryQuery, rows: readonly HistoryRow[], terminal: Terminal): string {
  const { glyphs, colours } = terminal
  const total = totalOf(rows)
  const dearest = Math.max(...rows.map((row) => row.cost_nano))
  const decimals = decimalsFor([total, ...rows].map((row) => row.cost_nano))
  const shareOf = (nano: number): string => (total.cost_nano === 0 ? '-' : percent(nano / total.cost_nano))
  const figures = ({ cost_nano, calls, tokens }: HistoryFigures): string[] => [
    formatUsd(cost_nano, decimals),
    shareOf(cost_nano),
    shortCount(calls),
    shortCount(tokens),
  ]
  const bar = (nano: number, width: number): string => {
    const length = nano === 0 ? 0 : Math.max(1, Math.round((nano / dearest) * width))
    return colours.cyan(glyphs.full.repeat(length))
  }
  const name = names(by, rows, terminal)
  const lines = rows.map((row): Row => [name(by.map((key) => textOf(row, key))), ...figures(row), (width) => bar(row.cost_nano, width)])
  const sum = ['total', ...figures(total), ''].map((cell) => colours.bold(cell))
  const columns: readonly Column[] = [{ head: name(by) }, ...['cost', 'share', 'calls', 'tokens'].map(right), { head: '', grow: { min: 6, max: 30 } }]
  return renderTable(columns, [...lines, 'rule', sum], terminal)
}

function right(head: string): Column {
  return { head, align: 'right' }
}

/** What figures and a short bar take of a line. */
const FIGURES_WIDTH = 46

/** Several keys stand side by side in the first column, aligned, or, where there is no room for that, as a list on lines as they come. */
function names(by: readonly HistoryKey[], rows: readonly HistoryRow[], { width }: Terminal): (texts: readonly string[]) => string {
  const room = width - FIGURES_WIDTH
  const widths = by.map((key) => Math.max(key.length, ...rows.map((row) => textOf(row, key).length)))
  if (widths.reduce((sum, one) => sum + 2 + one, -2) > room) return (texts) => wrap(texts.join(', '), room, 0)
  return (texts) => texts.map((text, index) => text.padEnd(widths[index] ?? 0)).join('  ')
}

function textOf(row: HistoryRow, key: HistoryKey): string {
  const text = printable(row[key] ?? '')
  if (text === '') return '-'
  // `2026-11-20 14:00`, and where the offset tells two hours apart, `2026-11-20 01:00-05:00`.
  return key === 'hour' ? text.replace('T', ' ') : text
}

import { formatUsd, nanoToUsd, type BudgetReport, type LimitReport, type OutsideView, type QuotaReport, type Standing } from '@manciple/core'
import { Option, type Command } from 'commander'
import { percent, shortAmount, shortInstant, shortQuantity } from '../amounts.ts'
import { drawBar } from '../bar.ts'
import { drawCourse } from '../plot.ts'
import { addLedgerOptions, banner, faultText, footer, openView, type LedgerOptions } from '../outside.ts'
import { renderTable, type Column, type Row } from '../table.ts'
import { printable, terminalOf, type Io, type Terminal } from '../terminal.ts'

/** Exit code of `--fail-on`, unlike that of mistakes and of faults. */
const FAILED = 3
/** A quota is judged by its floor from the middle of its window on. */
const JUDGED_FROM = 0.5

type FailOn = 'near' | 'over' | 'under-used'

interface BudgetOptions extends LedgerOptions {
  readonly failOn?: FailOn
  readonly plot: boolean
}

const EXAMPLES = `
Exit codes: 0, or 3 when --fail-on finds what it asks for:
  near        a limit is near or over, or cloud calls are stopped
  over        a limit is over, or cloud calls are stopped
  under-used  past the middle of its window, a quota is used less than its floor

Examples:
  $ manciple budget
  $ manciple budget --fail-on near || mail -s 'budget' ops@example.com
  $ manciple budget --json | jq '.limits[] | {limit, freeUsd}'`

export function defineBudget(program: Command, io: Io, done: (code: number) => void): void {
  addLedgerOptions(program.command('budget'))
    .summary('limits and quotas: spent, left, pace, forecast and resets')
    .description(
      'Limits with what is spent and left of them; quotas with how well they are used, what is foreseen and what would lapse. Works beside a running router.',
    )
    .option('--no-plot', 'without the plots of use against pace')
    .addOption(new Option('--fail-on <standing>', 'exit 3 when a limit or quota stands so, for cron').choices(['near', 'over', 'under-used']))
    .addHelpText('after', EXAMPLES)
    .action(async (options: BudgetOptions) => done(await budget(io, options)))
}

async function budget(io: Io, options: BudgetOptions): Promise<number> {
  const view = await openView(options)
  const report = view.budget()
  const floor = view.policy.floors.backend
  if (options.json) io.stdout.write(`${JSON.stringify(budgetFigures(view, report), null, 2)}\n`)
  else io.stdout.write(`${budgetText(view, report, terminalOf(io), options.plot)}\n`)
  const found = options.failOn === undefined ? [] : failures(report, options.failOn, floor, view.fault?.reason)
  for (const text of found) io.stderr.write(`${text}\n`)
  return found.length === 0 ? 0 : FAILED
}

/** The report for programs: in USD too, where the unit is money. */
export function budgetFigures({ lastRecord, fault }: OutsideView, report: BudgetReport): Record<string, unknown> {
  const figures = { ...report, limits: report.limits.map(limitJson), quotas: report.quotas.map(quotaJson) }
  return { ...figures, lastRecord, fault: fault ?? null }
}

/** The report for people. @param plot whether to draw each quota's use against its pace. */
export function budgetText(view: OutsideView, report: BudgetReport, terminal: Terminal, plot: boolean): string {
  const stopped = [...(view.fault === undefined ? [] : [faultText(view.fault, report.timezone)]), ...(report.localOnly === null ? [] : [report.localOnly.text])]
  const parts = [
    ...stopped.map((text) => banner(text, terminal)),
    limitsTable(report, terminal),
    quotasTable(report, view.policy.floors.backend, terminal),
    ...(plot ? report.quotas.map((quota) => coursePlot(quota, report, terminal)) : []),
    footer(view, terminal),
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

/** What stands as `--fail-on` asks, in words. */
function failures(report: BudgetReport, failOn: FailOn, floor: number, fault: string | undefined): readonly string[] {
  if (failOn === 'under-used') {
    const below = report.quotas.filter((quota) => isUnderUsed(quota, floor))
    return below.map(
      ({ backend, utilization, elapsed }) => `${backend} is under-used: ${percent(utilization)} of its quota with ${percent(elapsed)} of its window gone`,
    )
  }
  const asked: readonly Standing[] = failOn === 'over' ? ['over'] : ['near', 'over']
  const limits = report.limits.filter(({ standing }) => asked.includes(standing))
  return [
    ...(fault === undefined ? [] : [`cloud calls are stopped: ${fault}`]),
    ...(report.localOnly === null ? [] : [report.localOnly.text]),
    ...limits.map(({ limit, standing, spent }) => `${limit} is ${standing}: ${percent(spent)} is spent`),
  ]
}

function isUnderUsed({ elapsed, utilization }: QuotaReport, floor: number): boolean {
  return elapsed >= JUDGED_FROM && utilization < floor
}

const right = (head: string): Column => ({ head, align: 'right' })
const LIMIT_COLUMNS: readonly Column[] = [
  { head: 'limit' },
  { head: 'standing', grow: { min: 11, max: 25 } },
  { head: '' },
  right('spent'),
  right('of'),
  right('free'),
  { head: 'resets' },
]

function limitsTable(report: BudgetReport, terminal: Terminal): string {
  if (report.limits.length === 0) return 'The policy has no limits.'
  const { colours } = terminal
  const paint: Record<Standing, (text: string) => string> = { within: colours.green, near: colours.yellow, over: colours.red }
  const rows = report.limits.flatMap((limit): Row[] => {
    const { standing, spent, settled, quantity, free, unit } = limit
    const bar = (width: number): string => paint[standing](drawBar(spent, width, terminal))
    const figures = [shortQuantity(settled, unit), shortAmount(quantity, unit), shortQuantity(free, unit)]
    const row = [limit.limit, bar, paint[standing](standing), ...figures, resets(limit, report)]
    const aside = setAside(limit)
    return aside === '' ? [row] : [row, { across: colours.dim(`  ${aside}`) }]
  })
  const soft = report.limits.some(({ hard }) => !hard) ? '\nhard_stop is false: limits warn and do not refuse.' : ''
  return renderTable(LIMIT_COLUMNS, rows, terminal) + soft
}

/** What is neither spent nor free: stands on a line of its own. */
function setAside({ held, presumed, beside, reading, unit }: LimitReport): string {
  const parts = []
  if (held > 0) parts.push(`${shortQuantity(held, unit)} held for calls under way`)
  if (presumed > 0) parts.push(`${shortQuantity(presumed, unit)} presumed spent after a crash`)
  if (beside > 0 && reading !== null) parts.push(`${shortQuantity(beside, unit)} used beside the router, read by ${printable(reading.source)}`)
  return parts.join(', ')
}

const PLOT_WIDTH = 72

const QUOTA_COLUMNS: readonly Column[] = [
  { head: 'quota' },
  { head: 'utilization', grow: { min: 13, max: 25 } },
  right('elapsed'),
  right('pace'),
  { head: 'floor' },
  right('of'),
  { head: 'resets' },
]

function quotasTable(report: BudgetReport, floor: number, terminal: Terminal): string {
  if (report.quotas.length === 0) return ''
  const { colours, glyphs } = terminal
  const rows = report.quotas.flatMap((quota): Row[] => {
    const { utilization, elapsed, pace, quantity, unit } = quota
    const under = isUnderUsed(quota, floor)
    const bar = (width: number): string => (under ? colours.yellow : colours.cyan)(drawBar(utilization, width, terminal, elapsed))
    const state = under ? colours.yellow('under') : utilization >= floor ? 'met' : 'open'
    const row = [quota.backend, bar, percent(elapsed), pace === null ? '-' : pace.toFixed(2), state, shortAmount(quantity, unit), resets(quota, report)]
    return [row, { across: colours.dim(`  ${outlook(quota)}`) }]
  })
  const { utilization, elapsed, pace, floor: totalFloor } = report.total
  const behind = pace !== null && pace < totalFloor ? ' (below)' : ''
  rows.push({
    across: `  together ${percent(utilization)} used, ${percent(elapsed)} elapsed, pace ${pace?.toFixed(2) ?? '-'}, floor ${percent(totalFloor)}${behind}`,
  })
  const legend = `${glyphs.mark} is the time elapsed; pace = utilization / elapsed, 1 is on plan; floor = ${percent(floor)}.`
  return `${renderTable(QUOTA_COLUMNS, rows, terminal)}\n${colours.dim(legend)}`
}

/** What is foreseen of a quota, on a line of its own. */
function outlook({ forecast, lapseNano }: QuotaReport): string {
  if (forecast === null) return 'nothing is foreseen yet'
  const { low, mid, high } = forecast
  const lapse = lapseNano === null ? '' : lapseNano === 0 ? ', nothing would lapse' : `, ${formatUsd(lapseNano)} would lapse`
  return `at its end ${percent(mid)} used (${percent(low)} to ${percent(high)})${lapse}`
}

function coursePlot(quota: QuotaReport, report: BudgetReport, terminal: Terminal): string {
  const { backend, course, elapsed, utilization, forecast, began, resets: end } = quota
  if (began === null || end === null || course.length === 0) return ''
  const { colours, width } = terminal
  const lines = drawCourse({ used: course, elapsed, utilization, forecast: forecast?.mid ?? null }, Math.min(width, PLOT_WIDTH), terminal)
  const [from, to] = [shortInstant(began, report.timezone, report.at), shortInstant(end, report.timezone, report.at)]
  const axis = `     ${from}${to.padStart(Math.min(width, PLOT_WIDTH) - 5 - from.length)}`
  return [`${backend}: use against even pace, and what is foreseen`, ...lines, colours.dim(axis)].join('\n')
}

function resets({ resets: iso, window }: { readonly resets: string | null; readonly window?: string }, { timezone, at }: BudgetReport): string {
  if (iso !== null) return shortInstant(iso, timezone, at)
  return window === undefined || window.includes('@') ? 'first use' : `rolls ${window}`
}

/** In USD too, where the unit is money. */
function limitJson(limit: LimitReport): Record<string, unknown> {
  if (limit.unit !== 'usd') return { ...limit }
  const { quantity, settled, held, presumed, beside, free } = limit
  const usd = { quantityUsd: quantity, settledUsd: settled, heldUsd: held, presumedUsd: presumed, besideUsd: beside, freeUsd: free }
  return { ...limit, ...Object.fromEntries(Object.entries(usd).map(([key, nano]) => [key, nanoToUsd(nano)])) }
}

function quotaJson(quota: QuotaReport): Record<string, unknown> {
  const lapse = quota.lapseNano === null ? {} : { lapseUsd: nanoToUsd(quota.lapseNano) }
  return quota.unit === 'usd' ? { ...quota, ...lapse, quantityUsd: nanoToUsd(quota.quantity), settledUsd: nanoToUsd(quota.settled) } : { ...quota, ...lapse }
}

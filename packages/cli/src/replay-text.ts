import {
  formatInstant,
  formatUsd,
  NANO_PER_USD,
  type ReplayAlert,
  type ReplayComparison,
  type ReplayReport,
  type ReplayRule,
  type ReplayWindow,
} from '@manciple/core'
import { counted, decimalsFor, percent, shortCount, shortQuantity } from './amounts.ts'
import { drawBar } from './bar.ts'
import { drawSpend } from './spend-plot.ts'
import { renderTable, type Column, type Row } from './table.ts'
import { printable, wrap, type Terminal } from './terminal.ts'

/** Windows and alerts that are shown of each kind; `--json` has all. */
const SHOWN = 12
const PLOT_WIDTH = 72

const right = (head: string): Column => ({ head, align: 'right' })

/** A report to read. */
export function replayText(report: ReplayReport, terminal: Terminal): string {
  const parts = [
    headText(report, terminal),
    backendsTable(report, terminal),
    rulesTable(report.rules, terminal),
    windowsTable(report, terminal),
    ...report.course.map((course) => plotText(course, report, terminal)),
    alertsText(report.alerts, report.timezone, terminal),
    leftOutText(report, terminal),
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

function headText(report: ReplayReport, { colours, width }: Terminal): string {
  const { calls, from, to, timezone, policy, spent_usd: spent, wasted_usd: wasted, overshoot_usd: overshoot, refused, rerouted, shortened } = report
  const local = (iso: string): string => formatInstant(Date.parse(iso), timezone)
  const over = overshoot > 0 ? colours.red(usd(overshoot)) : usd(overshoot)
  return [
    colours.bold(wrap(`${counted(calls, 'call')}, ${local(from)} to ${local(to)} ${timezone}, policy ${policy}`, width, 0)),
    `${usd(spent)} spent, ${hasQuota(report) ? `${usdOrNone(wasted.total)} of quotas unused` : 'no quota'}, ${over} overshoot`,
    wrap(
      `${shortCount(refused)} refused, ${shortCount(rerouted)} served by another than they named, ${shortCount(shortened)} cut short, ${share(report.local_share)} local; favourite exhausted for ${share(report.dry_share)}; mean preference ${report.value.toFixed(3)}`,
      width,
      0,
    ),
  ].join('\n')
}

function backendsTable(report: ReplayReport, terminal: Terminal): string {
  const { utilization, wasted_usd: wasted, spent_by_backend: spent, served_by_backend: served, calls } = report
  const columns: readonly Column[] = [
    { head: 'backend' },
    right('calls'),
    right('share'),
    right('spent'),
    { head: 'quota used', grow: { min: 13, max: 30 } },
    right('unused'),
  ]
  const row = (name: string, count: number, amount: number): Row => {
    const paid = name !== 'total' || hasQuota(report)
    const used = paid ? utilization[name] : undefined
    const left = paid ? wasted[name] : undefined
    const bar = used === undefined ? '-' : (width: number): string => terminal.colours.cyan(drawBar(used, width, terminal))
    return [name, shortCount(count), share(count / Math.max(1, calls)), usd(amount), bar, left === undefined || left === null ? '-' : usd(left)]
  }
  const rows = Object.keys(spent).map((name) => row(name, served[name] ?? 0, spent[name] ?? 0))
  return renderTable(columns, [...rows, 'rule', row('total', calls - report.refused, report.spent_usd)], terminal)
}

const RULE_COLUMNS: readonly Column[] = [{ head: 'stood against the first choice' }, right('refused'), right('other cloud'), right('local'), right('cost')]

function rulesTable(rules: readonly ReplayRule[], terminal: Terminal): string {
  if (rules.length === 0) return 'Every call went to its first choice.'
  const decimals = decimalsFor(rules.map((rule) => nanoOf(rule.spent_usd)))
  const rows = rules.map(({ rule, refused, rerouted, local, spent_usd: spent }) => [
    printable(rule),
    shortCount(refused),
    shortCount(rerouted),
    shortCount(local),
    formatUsd(nanoOf(spent), decimals),
  ])
  return renderTable(RULE_COLUMNS, rows, terminal)
}

const WINDOW_COLUMNS: readonly Column[] = [
  { head: 'quota' },
  { head: 'window' },
  { head: 'used', grow: { min: 13, max: 25 } },
  right('settled'),
  right('unused'),
  right('overshoot'),
]

/** Of quotas, the last of each; `(part)` where the trace does not cover a window whole. */
function windowsTable({ windows, timezone }: ReplayReport, terminal: Terminal): string {
  const quotas = windows.filter(({ quota_of: backend }) => backend !== null)
  if (quotas.length === 0) return ''
  const names = [...new Set(quotas.map(({ limit }) => limit))]
  const shown = names.flatMap((name) => quotas.filter(({ limit }) => limit === name).slice(-SHOWN))
  const rows = shown.map((window) => windowRow(window, timezone, terminal))
  const hidden = quotas.length - shown.length
  return renderTable(WINDOW_COLUMNS, hidden === 0 ? rows : [...rows, { across: `and ${counted(hidden, 'window')} before these` }], terminal)
}

function windowRow(
  { limit, from, to, partial, unit, settled, utilization, wasted_usd: wasted, overshoot }: ReplayWindow,
  zone: string,
  terminal: Terminal,
): Row {
  const amount = (value: number): string => shortQuantity(unit === 'usd' ? nanoOf(value) : value, unit)
  const bar = (width: number): string => terminal.colours.cyan(drawBar(utilization, width, terminal))
  const span = `${moment(from, zone)} to ${moment(to, zone)}${partial ? ' (part)' : ''}`
  return [limit, span, bar, amount(settled), wasted === null ? '-' : usd(wasted), amount(overshoot)]
}

/** `04-01`, and where it is not midnight, `04-01 09:00`. */
function moment(iso: string, zone: string): string {
  return formatInstant(Date.parse(iso), zone).slice(5).replace(' 00:00', '')
}

function plotText({ backend, at, utilization, elapsed }: ReplayReport['course'][number], { timezone }: ReplayReport, terminal: Terminal): string {
  const [from, to] = [at[0], at.at(-1)]
  if (from === undefined || to === undefined || at.length < 2) return ''
  const width = Math.min(terminal.width, PLOT_WIDTH)
  const [left, right] = [moment(from, timezone), moment(to, timezone)]
  const axis = `     ${left}${right.padStart(width - 5 - left.length)}`
  const { full, mark } = terminal.glyphs
  return [`${backend}: spend (${full}) against pace (${mark})`, ...drawSpend({ utilization, elapsed }, width, terminal), terminal.colours.dim(axis)].join('\n')
}

function alertsText(alerts: readonly ReplayAlert[], zone: string, { colours, width }: Terminal): string {
  if (alerts.length === 0) return 'No notice was raised.'
  const lines = alerts.slice(0, SHOWN).map(({ time, severity, text }) => {
    const head = `${formatInstant(Date.parse(time), zone).slice(5)}  ${severity.padEnd(7)}  `
    return `${head}${wrap(printable(text), width, head.length)}`
  })
  const more = alerts.length > SHOWN ? [colours.dim(`and ${counted(alerts.length - SHOWN, 'notice')} more; --json has all`)] : []
  return [colours.bold(counted(alerts.length, 'notice')), ...lines, ...more].join('\n')
}

function leftOutText({ left_out: leftOut, notes, not_in_policy: unknown }: ReplayReport, { colours, width }: Terminal): string {
  const parts = [
    ...Object.entries(leftOut).map(([what, count]) => `Left out: ${what} (${shortCount(count)}).`),
    ...notes,
    ...Object.entries(unknown).map(
      ([name, count]) => `${counted(count, 'call')} named ${printable(name)}, which the policy does not have: decided as if they named nothing.`,
    ),
  ]
  return parts.map((part) => colours.yellow(wrap(part, width, 0))).join('\n')
}

function hasQuota({ utilization }: ReplayReport): boolean {
  return Object.keys(utilization).length > 1
}

/** Two policies side by side: figures, then rules. */
export function comparisonText({ before, after, difference, rules }: ReplayComparison, terminal: Terminal): string {
  const columns: readonly Column[] = [{ head: counted(before.calls, 'call') }, right(before.policy), right(after.policy), right('difference')]
  const money = (name: string, one: number | null, other: number | null, change: number | null): Row => [
    name,
    usdOrNone(one),
    usdOrNone(other),
    change === null ? '-' : signed(change, usd),
  ]
  const part = (name: string, one: number, other: number): Row => [name, share(one), share(other), signed(other - one, points)]
  const count = (name: string, one: number, other: number): Row => [name, shortCount(one), shortCount(other), signed(other - one, shortCount)]
  const names = Object.keys(difference.spent_by_backend)
  const rows: Row[] = [
    money('spent', before.spent_usd, after.spent_usd, difference.spent_usd),
    ...names.map((name) => money(`  ${name}`, before.spent_by_backend[name] ?? 0, after.spent_by_backend[name] ?? 0, difference.spent_by_backend[name] ?? 0)),
    money('quotas unused', before.wasted_usd.total, after.wasted_usd.total, difference.wasted_usd),
    money('overshoot', before.overshoot_usd, after.overshoot_usd, difference.overshoot_usd),
    part('quotas used', before.utilization.total, after.utilization.total),
    part('favourite exhausted', before.dry_share, after.dry_share),
    part('local', before.local_share, after.local_share),
    count('refused', before.refused, after.refused),
    count('other than named', before.rerouted, after.rerouted),
    ['mean preference', before.value.toFixed(3), after.value.toFixed(3), signed(difference.value, (value) => value.toFixed(3))],
    count('notices', before.alerts.length, after.alerts.length),
  ]
  return `${renderTable(columns, rows, terminal)}\n\n${ruleChanges(rules, terminal)}\n`
}

const CHANGE_COLUMNS: readonly Column[] = [
  { head: 'against the first choice' },
  right('calls'),
  right('cost'),
  right('calls'),
  right('cost'),
  right('more calls'),
  right('more cost'),
]

function ruleChanges(rules: ReplayComparison['rules'], terminal: Terminal): string {
  if (rules.length === 0) return 'Every call went to its first choice, under both.'
  const calls = (rule: ReplayRule | null): number => (rule === null ? 0 : rule.refused + rule.rerouted + rule.local)
  const cost = (rule: ReplayRule | null): number => rule?.spent_usd ?? 0
  const rows = rules.map(({ rule, before, after }): Row => {
    const cells = [before, after].flatMap((one) => [shortCount(calls(one)), usd(cost(one))])
    const more = signed(calls(after) - calls(before), shortCount)
    return [printable(rule), ...cells, more, signed((nanoOf(cost(after)) - nanoOf(cost(before))) / NANO_PER_USD, usd)]
  })
  return renderTable(CHANGE_COLUMNS, rows, terminal)
}

function usdOrNone(amount: number | null): string {
  return amount === null ? '-' : usd(amount)
}

function usd(amount: number): string {
  return formatUsd(nanoOf(amount))
}

function nanoOf(amount: number): number {
  return Math.round(amount * NANO_PER_USD)
}

/** To a tenth of a percent, so that small changes show. */
function share(part: number): string {
  return part === 0 || part >= 0.1 ? percent(part) : `${(part * 100).toFixed(1)}%`
}

function points(difference: number): string {
  return `${(difference * 100).toFixed(1)} pts`
}

function signed(difference: number, text: (value: number) => string): string {
  if (difference === 0) return '='
  return difference > 0 ? `+${text(difference)}` : `-${text(-difference)}`
}

import type { BudgetReport, CostsReport, LimitReport, Notice } from '@manciple/core'
import { formatUsd } from '@manciple/core'
import pc from 'picocolors'
import type { Tally } from './traffic.ts'

type Progress = BudgetReport['total']

/** The books at one moment, as a reader beside the router sees them. */
export interface Snapshot {
  readonly budget: BudgetReport
  readonly costs: CostsReport
  /** Oldest first. */
  readonly notices: readonly Notice[]
}

/** All that one picture shows. */
export interface Frame {
  readonly snapshot: Snapshot | undefined
  readonly tally: Tally
  /** Decisions per second of late. */
  readonly perSecond: number
}

export const WIDTH = 80
const BAR = 20
const NOTICES_SHOWN = 5
const LIVE_PERIOD_MS = 400
const LINE_PERIOD_MS = 2000

/** The picture, line by line; no line is wider than 80 columns. */
export function renderFrame({ snapshot, tally, perSecond }: Frame): readonly string[] {
  const done = tally.answered + tally.refused + tally.failed
  const progress = `${bar(done / Math.max(1, tally.total))} ${number(done)}/${number(tally.total)} calls  ${number(perSecond)} decisions/s`
  if (snapshot === undefined) return [pc.bold('Manciple'), progress, 'The router opens its books …']
  const { budget, notices } = snapshot
  return [
    `${pc.bold('Manciple')}  ${clockOf(budget.at)} UTC  ${standingOf(budget)}`,
    progress,
    '',
    pc.dim(`${'limit'.padEnd(16)}${'settled'.padStart(12)}${'of'.padStart(12)}  ${'spent'.padEnd(BAR + 6)}resets`),
    ...budget.limits.map((limit) => limitLine(limit, budget.at)),
    '',
    pc.dim(`${'backend'.padEnd(16)}${'utilization of its quota'.padEnd(BAR + 10)}pace (1 = on plan)`),
    ...budget.quotas.map((quota) => progressLine(quota.backend, quota)),
    progressLine('together', budget.total),
    '',
    pc.dim('last notices'),
    ...notices.slice(-NOTICES_SHOWN).map(noticeLine),
  ]
}

/** The same in one line, for a log. */
export function renderLine({ snapshot, tally, perSecond }: Frame): string {
  const done = tally.answered + tally.refused + tally.failed
  const head = `${number(done).padStart(6)}/${number(tally.total)} calls ${number(perSecond).padStart(4)}/s`
  if (snapshot === undefined) return `${head}  the router opens its books`
  const { budget, notices } = snapshot
  const quotas = budget.quotas.map(({ backend, utilization }) => `${backend} ${percent(utilization).trim()}`).join(' ')
  return clip(`${head}  ${clockOf(budget.at)}  ${formatUsd(snapshot.costs.month.costNano)} this month  ${quotas}  ${notices.at(-1)?.kind ?? ''}`, 120)
}

function limitLine(limit: LimitReport, at: string): string {
  const paint = limit.standing === 'within' ? pc.green : limit.standing === 'near' ? pc.yellow : pc.red
  const amounts = `${quantity(limit.settled, limit).padStart(12)}${quantity(limit.quantity, limit).padStart(12)}`
  return `${clip(limit.limit, 15).padEnd(16)}${amounts}  ${paint(bar(limit.spent))}${percent(limit.spent)}  ${until(limit.resets, at)}`
}

function progressLine(name: string, { utilization, pace, floor }: Progress): string {
  const shown = pace === null ? ''.padEnd(BAR) : (pace < floor ? pc.red : pc.green)(bar(pace / 2))
  return `${clip(name, 15).padEnd(16)}${pc.cyan(bar(utilization))}${percent(utilization)}    ${shown} ${pace === null ? '' : pace.toFixed(2)}`
}

function noticeLine({ time, severity, text }: Notice): string {
  const paint = severity === 'alert' ? pc.red : severity === 'warning' ? pc.yellow : pc.dim
  return `${pc.dim(clockOf(time).slice(5))} ${paint(clip(text, WIDTH - 12))}`
}

function standingOf({ localOnly }: BudgetReport): string {
  return localOnly === null ? pc.green('cloud calls go through') : pc.red('local only')
}

/** A share as a bar; a share above 1 fills it. */
export function bar(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR)
  return '█'.repeat(full) + '░'.repeat(BAR - full)
}

function percent(share: number): string {
  return `${Math.floor(share * 100)} %`.padStart(6)
}

function quantity(value: number, { unit }: LimitReport): string {
  return unit === 'usd' ? cents(value) : number(value)
}

/** For the eye; the closing summary gives every digit. Rounded down, so that a limit never looks reached before it is. */
function cents(nano: number): string {
  return (Math.floor(nano / 10_000_000) / 100).toFixed(2)
}

function number(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function clockOf(iso: string): string {
  return iso.slice(0, 16).replace('T', ' ')
}

function until(reset: string | null, at: string): string {
  if (reset === null) return ''
  const hours = Math.max(0, Math.ceil((Date.parse(reset) - Date.parse(at)) / 3_600_000))
  return hours < 48 ? `in ${hours} h` : `in ${Math.floor(hours / 24)} days`
}

function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`
}

export interface LiveOptions {
  /** Reads the books; undefined while there are none. */
  readonly read: () => Promise<Snapshot | undefined>
  readonly tally: Tally
  readonly out: NodeJS.WriteStream
}

/** Shows the books until the returned function is called: a picture redrawn in place on a terminal, else a line every two seconds. */
export function startLive({ read, tally, out }: LiveOptions): () => Promise<void> {
  const terminal = out.isTTY
  let drawn = 0
  const first = { atMs: performance.now(), sent: tally.sent }
  let before = first
  let busy: Promise<void> = Promise.resolve()
  let reading = false

  async function show(since: { atMs: number; sent: number }): Promise<void> {
    const snapshot = await read()
    const now = { atMs: performance.now(), sent: tally.sent }
    const perSecond = ((now.sent - since.sent) * 1000) / Math.max(1, now.atMs - since.atMs)
    before = now
    if (!terminal) {
      out.write(`${renderLine({ snapshot, tally, perSecond })}\n`)
      return
    }
    const lines = renderFrame({ snapshot, tally, perSecond })
    const up = drawn === 0 ? '' : `\u001B[${drawn}A`
    out.write(`${up}${lines.map((line) => `\u001B[2K${line}\n`).join('')}\u001B[J`)
    drawn = lines.length
  }

  // A picture that takes longer than its turn skips the next ones.
  const tick = (): void => {
    if (reading) return
    reading = true
    busy = show(before).finally(() => {
      reading = false
    })
    busy.catch(() => {})
  }
  const timer = setInterval(tick, terminal ? LIVE_PERIOD_MS : LINE_PERIOD_MS)
  return async () => {
    clearInterval(timer)
    await busy.catch(() => {})
    // The last picture stays: it shows the rate of the whole run.
    await show(first)
  }
}

import type { BudgetReport } from '@manciple/core'
import pc from 'picocolors'
import type { Audit, AuditedLimit } from './audit.ts'
import type { Tally } from './traffic.ts'
import type { Upstream } from './upstreams.ts'

const NANO_DIGITS = 9

/** Limits in USD per calendar day or month, of all backends or of one, which the journal's entries alone can be held against. */
export function auditable(budget: BudgetReport, backends: readonly string[]): readonly AuditedLimit[] {
  return budget.limits.flatMap(({ limit, unit, hard, quantity, window }) => {
    const [scope = '', kind = ''] = limit.split('.')
    const known = scope === 'all' || backends.includes(scope)
    if (unit !== 'usd' || !hard || !known || (window !== 'day' && window !== 'month') || (kind !== window && kind !== 'quota')) return []
    return [{ name: limit, quantity, window, backend: scope === 'all' ? undefined : scope }]
  })
}

export interface SummaryInput {
  readonly tally: Tally
  readonly budget: BudgetReport
  readonly audit: Audit
  readonly upstreams: ReadonlyMap<string, Upstream>
  readonly ledger: string
  readonly checked: readonly AuditedLimit[]
}

/** The closing lines of a run. */
export function renderSummary({ tally, budget, audit, upstreams, ledger, checked }: SummaryInput): readonly string[] {
  const lines = [
    '',
    pc.bold('What happened'),
    `  calls answered   ${tally.answered.toLocaleString('en-US')} of ${tally.sent.toLocaleString('en-US')}${tally.refused > 0 ? `, ${tally.refused} refused` : ''}${tally.failed > 0 ? `, ${tally.failed} failed` : ''}`,
    ...tally.complaints.map((complaint) => `  ${pc.red(complaint)}`),
    '',
    pc.dim(`  ${'backend'.padEnd(10)}${'calls'.padStart(8)}${'served'.padStart(8)}${'spent, USD'.padStart(18)}   of its quota`),
  ]
  for (const [backend, { calls, nano }] of [...audit.spend].sort()) {
    const served = upstreams.get(backend)?.served.calls
    const quota = budget.quotas.find((one) => one.backend === backend)
    const peak = quota === undefined ? undefined : audit.peaks.get(quota.limit)
    const used = quota === undefined || peak === undefined ? '' : `${share(peak, BigInt(quota.quantity))} of ${decimal(BigInt(quota.quantity)).slice(0, -7)}`
    lines.push(`  ${backend.padEnd(10)}${String(calls).padStart(8)}${String(served ?? '').padStart(8)}${decimal(nano).padStart(18)}   ${used}`)
  }
  const total = [...audit.spend.values()].reduce((sum, { nano }) => sum + nano, 0n)
  const notices = [...audit.notices].sort().map(([kind, times]) => `${times} × ${kind}`)
  return [
    ...lines,
    `  ${'together'.padEnd(26)}${decimal(total).padStart(18)}`,
    '',
    `  overshoot        ${audit.overshootNano === 0n ? pc.green('0.00 USD') : pc.red(`${decimal(audit.overshootNano)} USD`)} at any of ${audit.calls.toLocaleString('en-US')} entries, over ${checked.map(({ name }) => name).join(', ') || 'no limit'}`,
    `  notices          ${notices.join(', ') || 'none'}`,
    `  ledger           ${ledger}`,
    '',
  ]
}

/** Rounded down: what shows 100.0 % is full. */
function share(part: bigint, whole: bigint): string {
  return `${(Number((part * 1000n) / whole) / 10).toFixed(1).padStart(5)} %`
}

/** Nano-USD with every digit. */
function decimal(nano: bigint): string {
  const digits = nano.toString().padStart(NANO_DIGITS + 1, '0')
  return `${digits.slice(0, -NANO_DIGITS)}.${digits.slice(-NANO_DIGITS)}`
}

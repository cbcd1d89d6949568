import { formatInstant, isoInstant } from '../instant.ts'
import type { Hold, LedgerEntry } from '../ledger/record.ts'
import type { ClockJump } from '../ledger-time.ts'
import { formatUsd, usdToNano } from '../money.ts'
import type { Assessment } from '../policy/decide.ts'
import type { Failures } from '../policy/outages.ts'
import type { Policy } from '../policy/policy.ts'
import type { NoticeBody } from './notice.ts'

/** @param changes in words; none where only comments, order or form changed. */
export function policyChanged(before: Policy, after: Policy, changes: readonly string[], nowMs: number): NoticeBody {
  return {
    severity: 'info',
    kind: 'policy-changed',
    scope: 'policy',
    episode: `${after.version}@${isoInstant(nowMs)}`,
    text: `Policy ${before.version} → ${after.version}: ${changes.length === 0 ? 'it says the same' : changes.join(', ')}`,
    data: { from: before.version, to: after.version },
  }
}

/** @param reason its first line says the most; the whole of it goes with the notice as data. */
export function policyRejected(inForce: Policy, reason: string): NoticeBody {
  const first = reason.split('\n', 1)[0] ?? reason
  return {
    severity: 'warning',
    kind: 'policy-rejected',
    scope: 'policy',
    episode: `${inForce.version}: ${first}`,
    text: `The policy file was refused, version ${inForce.version} stays in force: ${first}`,
    data: { inForce: inForce.version, reason },
  }
}

/** Once a day for each backend and model. */
export function priceUnknown({ backend, model }: Assessment, day: string): NoticeBody {
  const name = `${backend.name}/${model}`
  return {
    severity: 'warning',
    kind: 'price-unknown',
    scope: name,
    episode: `${name}@${day}`,
    text: `${name} has no known price and gets no cloud calls: give one under \`prices:\``,
    data: { backend: backend.name, model },
  }
}

/** Once a day for each backend. */
export function overrun(entry: LedgerEntry, day: string): NoticeBody {
  const cost = formatUsd(usdToNano(entry.cost_usd) ?? 0)
  return {
    severity: 'warning',
    kind: 'overrun',
    scope: entry.backend,
    episode: `${entry.backend}@${day}`,
    text: `${entry.backend}/${entry.model} used more than was held for call ${entry.id} (${cost}): its host must force maxOutputTokens onto the request`,
    data: { id: entry.id, cost_usd: entry.cost_usd },
  }
}

export function presumedSpent(holds: readonly Hold[], nowMs: number): NoticeBody {
  const sum = holds.reduce((nano, hold) => nano + hold.estimate.costNano, 0)
  return {
    severity: 'warning',
    kind: 'presumed-spent',
    scope: 'ledger',
    episode: isoInstant(nowMs),
    text: `${holds.length} ${holds.length === 1 ? 'call was' : 'calls were'} under way when the router stopped: ${formatUsd(sum)} is presumed spent until its windows end`,
    data: { calls: holds.length, presumedNano: sum },
  }
}

export function clockJumped(jump: ClockJump, nowMs: number): NoticeBody {
  const minutes = Math.round(Math.abs(jump.byMs) / 60_000)
  const rule =
    jump.kind === 'behind'
      ? 'time stands still in the ledger until it has caught up'
      : 'it is not believed: the ledger goes on by its own count; restart the router if the new time is right'
  return {
    severity: 'warning',
    kind: 'clock-jump',
    scope: 'clock',
    episode: isoInstant(nowMs),
    text: `The clock is ${minutes} min ${jump.kind === 'ahead' ? 'ahead' : 'behind'}: ${rule}`,
    data: { kind: jump.kind, byMs: jump.byMs },
  }
}

export function outage(backend: string, { count, sinceMs }: Failures, timezone: string): NoticeBody {
  return {
    severity: 'alert',
    kind: 'outage',
    scope: backend,
    episode: `${backend}@${isoInstant(sinceMs)}`,
    text: `${backend} is down: its last ${count} attempts failed, since ${formatInstant(sinceMs, timezone)}; the quotas of the others are paced without it`,
    data: { backend, failures: count, since: isoInstant(sinceMs) },
  }
}

export function outageOver(backend: string, { sinceMs }: Failures, timezone: string, nowMs: number): NoticeBody {
  return {
    severity: 'info',
    kind: 'outage',
    scope: backend,
    episode: `${backend}@${isoInstant(sinceMs)} over`,
    text: `${backend} is back: it was down since ${formatInstant(sinceMs, timezone)}`,
    data: { backend, since: isoInstant(sinceMs), until: isoInstant(nowMs) },
  }
}

export const NOTICE_KINDS = [
  'limit-near',
  'limit-reached',
  'local-only',
  'restored',
  'under-used',
  'low-remaining',
  'too-conservative',
  'demand-shortfall',
  'burning-fast',
  'overrun',
  'price-unknown',
  'ledger-fault',
  'policy-rejected',
  'policy-changed',
  'presumed-spent',
  'outage',
  'clock-jump',
  'rule',
] as const

/** Readers show a kind that they do not know by severity and text. `rule` is a notice of an operator's own rule. */
export type NoticeKind = (typeof NOTICE_KINDS)[number]

export type Severity = 'info' | 'advice' | 'warning' | 'alert'

/** What the triggers raise; the ledger numbers and stores it. */
export interface NoticeBody {
  readonly severity: Severity
  readonly kind: string
  /** What it is about: a limit, a backend, `total`, `ledger`, `policy`. */
  readonly scope: string
  /** One episode of a cause: `claude.month@2026-11-01T00:00:00.000Z`. A notice is raised once per kind and episode. */
  readonly episode: string
  /** Plain text for people, one line. */
  readonly text: string
  readonly data: Readonly<Record<string, string | number | boolean | null>>
}

/** Something that people should read. */
export interface Notice extends NoticeBody {
  /** Gap-free within one ledger, from 1. */
  readonly number: number
  /** Ledger time, ISO 8601 UTC. */
  readonly time: string
}

/** Whether cloud calls were last said to be exhausted or restored. */
export function lastCloudState(notices: readonly Notice[]): Notice | undefined {
  return notices.findLast((notice) => notice.kind === 'local-only' || notice.kind === 'restored')
}

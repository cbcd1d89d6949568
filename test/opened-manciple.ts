import { afterEach } from 'vitest'
import { manualClock, type ManualClock } from '../packages/core/src/clock.ts'
import type { DecideRequest } from '../packages/core/src/decision.ts'
import type { LedgerEntry } from '../packages/core/src/ledger/record.ts'
import { openManciple, type Manciple } from '../packages/core/src/manciple.ts'
import type { Notice } from '../packages/core/src/notices/notice.ts'

export const NOON = Date.parse('2026-11-10T12:00:00Z')
export const HOUR = 3_600_000
/** The policy of the brief. */
export const BRIEF = `
budgets:
  daily_limit_usd: 5.00
  monthly_limit_usd: 50.00
  per_backend:
    claude: 20.00/month
    kimi: 15.00/month
    gpt: 10.00/month
    gemini: 5.00/month
  warning_threshold: 0.8   # warn at 80% spend
  hard_stop: true          # refuse cloud calls at limit
`
export const SONNET: DecideRequest = { backend: 'claude', taskId: 'issue-94', taskType: 'reasoning', inputTokens: 1500, maxOutputTokens: 800 }
export const USAGE = { inputTokens: 1500, outputTokens: 800 }

export interface Opened {
  readonly manciple: Manciple
  readonly clock: ManualClock
  readonly notices: Notice[]
  readonly settle: (request: DecideRequest, usage?: typeof USAGE) => Promise<LedgerEntry>
  readonly kinds: () => readonly string[]
}

const opened: Manciple[] = []
afterEach(async () => {
  for (const manciple of opened.splice(0)) await manciple.close()
})

/** It is closed when the test has ended. */
export function closeLater(manciple: Manciple): void {
  opened.push(manciple)
}

/** Opens one by the text of a policy, in memory and at {@link NOON} unless told otherwise. */
export async function open(text: string, options: { ledger?: string; clock?: ManualClock } = {}): Promise<Opened> {
  const { ledger = 'memory', clock = manualClock(NOON) } = options
  const manciple = await openManciple({ config: { text }, ledger, clock })
  closeLater(manciple)
  const notices: Notice[] = []
  manciple.on('notice', (notice) => notices.push(notice))
  const settle: Opened['settle'] = async (request, usage = USAGE) => (await manciple.decide(request)).settle(usage)
  return { manciple, clock, notices, settle, kinds: () => notices.map((notice) => notice.kind) }
}

/** Lets notices that were raised be written and emitted. */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))

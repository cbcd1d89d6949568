import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A limit to hold the journal against. Amounts in nano-USD. */
export interface AuditedLimit {
  readonly name: string
  readonly quantity: number
  readonly window: 'day' | 'month'
  /** One backend's calls; of every cloud backend where undefined. */
  readonly backend: string | undefined
}

/** What the journal itself says, added up without Manciple. Nano-USD as whole numbers of any size. */
export interface Audit {
  readonly calls: number
  /** Spend per backend. */
  readonly spend: ReadonlyMap<string, { calls: number; nano: bigint }>
  /** The most that any window of each limit came to. */
  readonly peaks: ReadonlyMap<string, bigint>
  /** The most that any window of any limit was ever over, at any entry. 0 when every limit held. */
  readonly overshootNano: bigint
  readonly notices: ReadonlyMap<string, number>
}

interface Line {
  readonly type?: string
  readonly timestamp?: string
  readonly backend?: string
  readonly kind?: string
}

/** Reads every line of a journal and adds up its entries, in their own decimals. */
export async function auditJournal(folder: string, limits: readonly AuditedLimit[], timezone: string): Promise<Audit> {
  const days = new Intl.DateTimeFormat('en-CA', { timeZone: timezone, year: 'numeric', month: '2-digit', day: '2-digit' })
  const windows = new Map<string, bigint>()
  const spend = new Map<string, { calls: number; nano: bigint }>()
  const peaks = new Map<string, bigint>()
  const notices = new Map<string, number>()
  let calls = 0
  let overshootNano = 0n
  for (const file of (await readdir(folder)).filter((name) => /^journal-\d+\.jsonl$/.test(name)).sort()) {
    for await (const text of createInterface({ input: createReadStream(join(folder, file)), crlfDelay: Number.POSITIVE_INFINITY })) {
      const line: Line = JSON.parse(text)
      if (line.type === 'notice' && line.kind !== undefined) notices.set(line.kind, (notices.get(line.kind) ?? 0) + 1)
      if (line.type !== 'settle' || line.backend === undefined || line.timestamp === undefined) continue
      calls += 1
      const nano = costOf(text)
      const row = spend.get(line.backend) ?? { calls: 0, nano: 0n }
      spend.set(line.backend, { calls: row.calls + 1, nano: row.nano + nano })
      const day = days.format(new Date(line.timestamp))
      for (const limit of limits) {
        if (limit.backend !== undefined && limit.backend !== line.backend) continue
        const key = `${limit.name}@${limit.window === 'day' ? day : day.slice(0, 7)}`
        const total = (windows.get(key) ?? 0n) + nano
        windows.set(key, total)
        if (total > (peaks.get(limit.name) ?? 0n)) peaks.set(limit.name, total)
        const over = total - BigInt(limit.quantity)
        if (over > overshootNano) overshootNano = over
      }
    }
  }
  return { calls, spend, peaks, overshootNano, notices }
}

/** `cost_usd` as it is written, so that no float has a say in it. */
function costOf(line: string): bigint {
  const text = /"cost_usd":([0-9.e-]+)/.exec(line)?.[1] ?? ''
  const [mantissa = '', exponent = '0'] = text.split('e')
  const [whole = '0', decimals = ''] = mantissa.split('.')
  const shift = 9 - decimals.length + Number(exponent)
  const digits = BigInt(whole + decimals)
  return shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift)
}

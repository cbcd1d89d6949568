import { createHash } from 'node:crypto'
import { MancipleError } from './errors.ts'
import { isoInstant } from './instant.ts'
import { catchUp, historyPath } from './ledger/history-follower.ts'
import { parseTime } from './ledger/history-period.ts'
import { hourCacheNotes, type ImportIssue, type ImportRow } from './ledger/import-rows.ts'
import type { ImportOrder } from './ledger/record.ts'
import { readSpend } from './ledger/spend-files.ts'
import { SqliteHistory } from './ledger/sqlite-history.ts'
import type { OnProgress } from './ledger/verify.ts'
import type { NanoUsd } from './money.ts'
import type { Policy } from './policy/policy.ts'
import { createPriceBook, isPriced } from './pricing/price-book.ts'
import { backendOf, withLedger, type OpenedLedger, type WriteOptions } from './upkeep.ts'

export interface ImportOptions extends WriteOptions {
  /** Backend of calls that do not name one. Logs of Claude Code go to the only backend of provider `anthropic`, unless given. */
  readonly backend?: string
  readonly onProgress?: OnProgress
}

export interface ImportReport {
  readonly files: number
  /** Calls that the files tell of. */
  readonly calls: number
  readonly imported: number
  /** Calls that were in the books already. */
  readonly known: number
  /** Lines that tell of no call. */
  readonly passedOver: number
  /** What is counted by less than the truth, in sentences. */
  readonly notes: readonly string[]
  readonly costNano: NanoUsd
  readonly tokens: number
  /** Times of the first and last call imported, ISO 8601 UTC; null where none was. */
  readonly from: string | null
  readonly to: string | null
}

/** Calls that wait for the disk together. */
const BATCH = 5_000
/** Mistakes that a message lists. */
const LISTED = 20

/**
 * Brings calls from before Manciple, or beside it, into a ledger that no router writes: from CSV, JSON lines, and the logs of Claude Code. Each counts once,
 * in the windows of its own time, however often it is imported. A cost that the file does not have is computed at list price.
 *
 * @param paths files, or folders that are searched for `*.jsonl`.
 * @throws MancipleError `LEDGER_MISSING`, `LEDGER_LOCKED`, `LEDGER_DAMAGED`; and, with nothing imported, `IMPORT_INVALID` with every mistake, `IMPORT_UNPRICED` with every model.
 */
export async function importSpend(folder: string, paths: readonly string[], options: ImportOptions = {}): Promise<ImportReport> {
  return withLedger(folder, options, async (opened) => {
    const { policy, nowMs } = opened
    const timeOf = (text: string): number | undefined => parseTime(text, policy.timezone)?.startMs
    const { rows, issues, files, leftOut } = await readSpend(paths, { code: 'IMPORT_INVALID', timeOf, onProgress: options.onProgress ?? (() => {}) })
    const orders = new Ordering(policy, nowMs, options.backend).ordersOf(rows, issues)
    const passedOver = [...leftOut.values()].reduce((sum, count) => sum + count, 0)
    return {
      files,
      calls: orders.length,
      passedOver,
      notes: hourCacheNotes(rows.filter(({ costNano }) => costNano === undefined)),
      ...(await importAll(opened, orders)),
    }
  })
}

/** A call, and what its file calls it, which may be the id of one of our own. */
interface Ordered {
  readonly order: ImportOrder
  readonly sourceId: string | undefined
}

/** Rows with backend, cost and id filled in, or every reason why they cannot be. */
class Ordering {
  readonly #policy: Policy
  readonly #nowMs: number
  readonly #backend: string | undefined
  readonly #issues: ImportIssue[] = []
  readonly #unpriced = new Map<string, number>()
  /** How often a row without a name came that is the same in all it says: each is a call of its own. */
  readonly #same = new Map<string, number>()
  readonly #prices: ReturnType<typeof createPriceBook>

  constructor(policy: Policy, nowMs: number, backend: string | undefined) {
    this.#policy = policy
    this.#nowMs = nowMs
    this.#backend = backend === undefined ? undefined : backendOf(policy, backend).name
    this.#prices = createPriceBook(policy.prices)
  }

  /** In order of time. @throws MancipleError `IMPORT_INVALID`, `IMPORT_UNPRICED`. */
  ordersOf(rows: readonly ImportRow[], issues: readonly ImportIssue[]): readonly Ordered[] {
    this.#issues.push(...issues)
    const orders = rows.flatMap((row) => this.#orderOf(row) ?? []).sort((left, right) => left.order.spentMs - right.order.spentMs)
    if (this.#issues.length > 0)
      throw new MancipleError('IMPORT_INVALID', listOf(this.#issues.map(({ file, line, text }) => `${file}:${line}: ${text}`)), { issues: this.#issues })
    if (this.#unpriced.size > 0) {
      const models = [...this.#unpriced].map(([model, count]) => `${model} (${count} ${count === 1 ? 'call' : 'calls'})`)
      throw new MancipleError('IMPORT_UNPRICED', `No price is known for:\n${listOf(models)}`, { models: [...this.#unpriced.keys()] })
    }
    return orders
  }

  #orderOf(row: ImportRow): Ordered | undefined {
    const backend = this.#backendOf(row)
    if (backend === undefined) return undefined
    const { model, spentMs, usage, taskId, taskType, durationMs, sourceId } = row
    if (spentMs > this.#nowMs) return this.#wrong(row, `timestamp: ${isoInstant(spentMs)} lies ahead`)
    const price = row.costNano === undefined ? this.#prices.price(backend, model, spentMs) : undefined
    if (price !== undefined && !isPriced(price, usage.outputTokens)) {
      const name = `${backend.name}/${model}`
      this.#unpriced.set(name, (this.#unpriced.get(name) ?? 0) + 1)
      return undefined
    }
    const order: ImportOrder = {
      atMs: this.#nowMs,
      spentMs,
      backend: backend.name,
      kind: backend.kind,
      model,
      taskId,
      taskType,
      costNano: row.costNano ?? price?.costNano(usage) ?? 0,
      promptTokens: usage.inputTokens,
      completionTokens: usage.outputTokens,
      cacheReadTokens: usage.cacheReadTokens,
      cacheWriteTokens: usage.cacheWriteTokens,
      reasoningTokens: usage.reasoningTokens,
      durationMs,
      priceSource: price?.source ?? 'given',
      id: this.#idOf(row),
      source: sourceId === undefined ? row.source : `${row.source} ${sourceId}`,
    }
    return { order, sourceId }
  }

  #backendOf(row: ImportRow): Policy['backends'][number] | undefined {
    const { backends } = this.#policy
    const anthropic = row.source === 'claude-code' ? backends.filter(({ provider }) => provider === 'anthropic') : []
    const name = row.backend ?? this.#backend ?? (anthropic.length === 1 ? anthropic[0]?.name : undefined)
    if (name === undefined) return this.#wrong(row, 'backend: the file does not say which; name one with --backend')
    const known = backends.find((backend) => backend.name === name)
    return known ?? this.#wrong(row, `backend: the policy has ${backends.map((backend) => backend.name).join(', ')}; found ${JSON.stringify(name)}`)
  }

  /** The same for the same call, whatever file it stands in. */
  #idOf({ source, sourceId, spentMs, backend, model, taskId, taskType, usage, costNano, durationMs }: ImportRow): string {
    if (sourceId !== undefined) return digest(`${source === 'claude-code' ? source : 'id'}\0${sourceId}`)
    const text = JSON.stringify([spentMs, backend, model, taskId, taskType, usage, costNano, durationMs])
    const count = (this.#same.get(text) ?? 0) + 1
    this.#same.set(text, count)
    return digest(`${text}\0${count}`)
  }

  #wrong({ file, line }: ImportRow, text: string): undefined {
    this.#issues.push({ file, line, text })
  }
}

async function importAll(
  { ledger, folder }: OpenedLedger,
  orders: readonly Ordered[],
): Promise<Omit<ImportReport, 'files' | 'calls' | 'passedOver' | 'notes'>> {
  // What the books have forgotten of, SQLite remembers.
  const old = orders.some(({ order }) => order.spentMs < ledger.wholeSinceMs) ? await openHistory(folder) : undefined
  let [imported, costNano, tokens] = [0, 0, 0]
  let [from, to]: [string | null, string | null] = [null, null]
  try {
    for (const { order, sourceId } of orders) {
      const ids = [order.id, ...(sourceId === undefined ? [] : [sourceId])]
      const timestamp = isoInstant(order.spentMs)
      if (ids.some((id) => ledger.has(id) || old?.has(timestamp, id))) continue
      ledger.import(order)
      imported += 1
      costNano += order.costNano
      tokens += order.promptTokens + order.completionTokens
      from ??= timestamp
      to = timestamp
      if (imported % BATCH === 0) await ledger.flush()
    }
    await ledger.flush()
  } finally {
    old?.close()
  }
  return { imported, known: orders.length - imported, costNano, tokens, from, to }
}

/** The history, with all in it that the journal has. */
async function openHistory(folder: string): Promise<SqliteHistory> {
  const history = SqliteHistory.open(historyPath(folder))
  try {
    await catchUp(folder, history)
    return history
  } catch (error) {
    history.close()
    throw error
  }
}

function digest(text: string): string {
  return `import-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
}

function listOf(texts: readonly string[]): string {
  const more = texts.length > LISTED ? [`and ${texts.length - LISTED} more`] : []
  return [...texts.slice(0, LISTED), ...more].join('\n')
}

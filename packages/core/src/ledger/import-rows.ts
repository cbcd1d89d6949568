import { usdToNano, type NanoUsd } from '../money.ts'
import { checkUsage, type Usage } from '../pricing/usage.ts'

/** One call as a file tells it, not yet priced. */
export interface ImportRow {
  readonly file: string
  readonly line: number
  readonly source: 'csv' | 'jsonl' | 'claude-code'
  readonly spentMs: number
  /** Undefined where the file does not say. */
  readonly backend: string | undefined
  /** `''` where the file does not say. */
  readonly model: string
  readonly taskId: string | null
  readonly taskType: string | null
  readonly usage: Required<Usage>
  /** Undefined where it is to be computed. */
  readonly costNano: NanoUsd | undefined
  readonly durationMs: number
  /** What the call is called there; undefined where it has no name. */
  readonly sourceId: string | undefined
  /** The backend that it asked for, null where it asked for none; undefined where the file does not say. */
  readonly requestedBackend: string | null | undefined
  /** Of the tokens written to a cache: those that stay there for an hour, at a higher price. */
  readonly hourCacheTokens: number
}

export interface ImportIssue {
  readonly file: string
  readonly line: number
  readonly text: string
}

/** The brief's nine fields and what goes with them, by the names that files give them: in any case, with blanks or hyphens for underscores. */
const ALIASES = {
  timestamp: ['timestamp', 'time', 'date', 'datetime', 'created_at', 'start_time'],
  backend: ['backend', 'account', 'provider'],
  model: ['model', 'model_name', 'model_id'],
  prompt: ['prompt_tokens', 'input_tokens', 'tokens_in', 'n_context_tokens_total'],
  completion: ['completion_tokens', 'output_tokens', 'tokens_out', 'n_generated_tokens_total'],
  cost: ['cost_usd', 'cost', 'amount_usd', 'spend_usd', 'usd'],
  task: ['task_id', 'task'],
  type: ['task_type', 'type_of_task'],
  duration: ['duration_ms', 'latency_ms'],
  id: ['id', 'request_id', 'call_id'],
  cacheRead: ['cache_read_tokens', 'cache_read_input_tokens', 'cached_tokens'],
  cacheWrite: ['cache_write_tokens', 'cache_creation_input_tokens'],
  reasoning: ['reasoning_tokens'],
  requested: ['requested_backend'],
  status: ['status'],
} as const

export type Name = keyof typeof ALIASES

const NAMES: ReadonlyMap<string, Name> = new Map<string, Name>(
  Object.entries(ALIASES).flatMap(([name, aliases]) => aliases.map((alias) => [alias, name as Name] as const)),
)

/** What a column is for; undefined for one that is passed over. */
export function nameOfColumn(column: string): Name | undefined {
  return NAMES.get(
    column
      .trim()
      .toLowerCase()
      .replaceAll(/[\s-]+/g, '_'),
  )
}

/** Where a row stands, and how its times are read. */
export interface RowContext {
  readonly file: string
  readonly line: number
  readonly source: ImportRow['source']
  /** Ms since the epoch, or undefined where the text is no time. */
  readonly timeOf: (text: string) => number | undefined
}

/** A row of CSV, or an object of JSON lines, by {@link nameOfColumn}. @returns the row, or every mistake in it. */
export function rowOf(fields: ReadonlyMap<Name, unknown>, context: RowContext): ImportRow | readonly ImportIssue[] {
  const { file, line, source, timeOf } = context
  const issues: ImportIssue[] = []
  const wrong = (text: string): undefined => {
    issues.push({ file, line, text })
  }
  const textOf = (name: Name): string => String(fields.get(name) ?? '').trim()
  const count = (name: Name): number => {
    const text = textOf(name)
    const value = text === '' ? 0 : Number(text.replaceAll(',', ''))
    if (Number.isSafeInteger(value) && value >= 0) return value
    wrong(`${ALIASES[name][0]}: expected a whole number from 0, found ${JSON.stringify(text)}`)
    return 0
  }
  const spentMs = instantOf(textOf('timestamp'), timeOf)
  if (spentMs === undefined) wrong(`timestamp: expected a time as 2026-04-01T14:30Z, found ${JSON.stringify(textOf('timestamp'))}`)
  const costText = textOf('cost')
  const costNano = costText === '' ? undefined : nanoOf(costText)
  if (costText !== '' && costNano === undefined) wrong(`cost_usd: expected an amount from 0, found ${JSON.stringify(costText)}`)
  if (costText === '' && textOf('model') === '') wrong('expected a cost_usd, or a model and its tokens to compute it from')
  if (costText === '' && !fields.has('prompt') && !fields.has('completion'))
    wrong('expected a cost_usd, or prompt_tokens and completion_tokens to compute it from')
  const duration = Number(textOf('duration'))
  const usage = {
    inputTokens: count('prompt'),
    outputTokens: count('completion'),
    cacheReadTokens: count('cacheRead'),
    cacheWriteTokens: count('cacheWrite'),
    reasoningTokens: count('reasoning'),
  }
  const problem = issues.length === 0 ? usageProblem(usage) : undefined
  if (problem !== undefined) wrong(problem)
  if (issues.length > 0 || spentMs === undefined) return issues
  return {
    file,
    line,
    source,
    spentMs,
    backend: textOf('backend') || undefined,
    model: textOf('model'),
    taskId: textOf('task') || null,
    taskType: textOf('type') || null,
    usage,
    costNano,
    durationMs: Number.isFinite(duration) && duration > 0 ? Math.round(duration) : 0,
    sourceId: textOf('id') || undefined,
    requestedBackend: fields.has('requested') ? textOf('requested') || null : undefined,
    hourCacheTokens: 0,
  }
}

/** What is to be said of rows that wrote to caches for an hour: usage does not tell them from those for five minutes, and all get the price of those. */
export function hourCacheNotes(rows: readonly ImportRow[]): readonly string[] {
  const hour = rows.filter(({ hourCacheTokens }) => hourCacheTokens > 0)
  if (hour.length === 0) return []
  const tokens = hour.reduce((sum, { hourCacheTokens }) => sum + hourCacheTokens, 0)
  const calls = `${hour.length} ${hour.length === 1 ? 'call' : 'calls'}`
  return [`${calls} wrote ${tokens} tokens to caches for an hour; they are priced as for five minutes, which is less.`]
}

/** USD as files write it, `$1,234.50` or a float with more than nine decimals: rounded to the nearest nano. */
function nanoOf(text: string): NanoUsd | undefined {
  const plain = text.replaceAll(/[$,\s]/g, '')
  const exact = usdToNano(plain)
  if (exact !== undefined || plain === '') return exact
  const usd = Number(plain)
  return usd >= 0 ? usdToNano(usd.toFixed(9)) : undefined
}

const SECONDS = /^\d{9,10}(\.\d+)?$/
const MILLISECONDS = /^\d{12,13}$/

function instantOf(text: string, timeOf: RowContext['timeOf']): number | undefined {
  if (MILLISECONDS.test(text)) return Number(text)
  return SECONDS.test(text) ? Math.round(Number(text) * 1000) : timeOf(text)
}

function usageProblem(usage: Usage): string | undefined {
  try {
    checkUsage(usage)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message.split('\n', 1)[0] : String(error)
  }
}

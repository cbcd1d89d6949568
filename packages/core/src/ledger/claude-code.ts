import type { ImportIssue, ImportRow, RowContext } from './import-rows.ts'
import { nameOfColumn, rowOf } from './import-rows.ts'

type Json = Readonly<Record<string, unknown>>

const COUNTED: ReadonlySet<string | undefined> = new Set(['prompt', 'completion', 'cost'])

/**
 * Whether a line shows that its file is a log that Claude Code keeps of a session: `~/.claude/projects/<project>/<session>.jsonl`. Not every line of one does.
 * A line that counts tokens or money by itself is none, even where it names a session.
 */
export function isClaudeCodeLine(line: Json): boolean {
  return usageOf(line) !== undefined || (('sessionId' in line || 'leafUuid' in line) && !Object.keys(line).some((key) => COUNTED.has(nameOfColumn(key))))
}

/**
 * The call that a line tells of, by its message's usage; undefined where it tells of none. What Claude Code made up itself (`<synthetic>`) is none.
 * Its input tokens leave out cached ones; ours include them.
 */
export function claudeCodeRow(line: Json, context: RowContext): ImportRow | readonly ImportIssue[] | undefined {
  const usage = usageOf(line)
  const message = objectOf(line['message'])
  if (usage === undefined || message === undefined || message['model'] === '<synthetic>') return undefined
  const number = (name: string): number => Number(usage[name] ?? 0)
  const [cacheRead, cacheWrite] = [number('cache_read_input_tokens'), number('cache_creation_input_tokens')]
  // Logs of older versions say what it cost.
  const cost = typeof line['costUSD'] === 'number' ? line['costUSD'] : undefined
  const row = rowOf(
    new Map([
      ['timestamp', line['timestamp']],
      ['model', message['model']],
      ['prompt', number('input_tokens') + cacheRead + cacheWrite],
      ['completion', number('output_tokens')],
      ['cacheRead', cacheRead],
      ['cacheWrite', cacheWrite],
      ['cost', cost],
      ['task', line['sessionId']],
      ['duration', line['durationMs']],
      ['id', idOf(message['id'], line['requestId']) ?? line['uuid']],
    ]),
    context,
  )
  const hour = Number(objectOf(usage['cache_creation'])?.['ephemeral_1h_input_tokens'] ?? 0)
  return 'usage' in row && hour > 0 ? { ...row, hourCacheTokens: hour } : row
}

/**
 * An answer that streams is written line by line, each with the usage so far, under one message and request: the last counts, at the time of the first,
 * so that an import in the middle and one at the end agree on when it was.
 */
export class LastUsages {
  readonly #rows = new Map<string, ImportRow>()
  readonly #unnamed: ImportRow[] = []

  add(row: ImportRow): void {
    if (row.sourceId === undefined) return void this.#unnamed.push(row)
    const first = this.#rows.get(row.sourceId)
    this.#rows.set(row.sourceId, first === undefined ? row : { ...row, spentMs: Math.min(first.spentMs, row.spentMs) })
  }

  get rows(): readonly ImportRow[] {
    return [...this.#rows.values(), ...this.#unnamed]
  }
}

function idOf(message: unknown, request: unknown): string | undefined {
  if (typeof message !== 'string') return undefined
  return typeof request === 'string' ? `${message}:${request}` : message
}

function usageOf(line: Json): Json | undefined {
  return objectOf(objectOf(line['message'])?.['usage'])
}

function objectOf(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
}

import type { LedgerEntry } from '@manciple/core'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What was set aside for one attempt. */
interface HoldLine {
  readonly id: string
  readonly backend: string
  readonly inputTokens: number
  readonly maxOutputTokens: number
}

/** How one attempt ended: with an entry, or released without one. */
export interface Ended {
  readonly hold: HoldLine
  /** Undefined where the hold was released. */
  readonly entry: LedgerEntry | undefined
}

/** What the ledger says of the attempts since a mark. */
export interface Books {
  readonly holds: readonly HoldLine[]
  /** In the order of their holds. */
  readonly ended: readonly Ended[]
  /** Holds that have not ended. */
  readonly open: number
  /** Ids of holds that ended more than once. */
  readonly twice: readonly string[]
  readonly refusals: number
  /** Number of the last line: a later reading may begin after it. */
  readonly mark: number
}

type Line = Readonly<Record<string, unknown>>

/**
 * Reads the journal of a ledger, which may be another process's.
 * @param mark lines up to this one are left out.
 */
export function booksOf(ledger: string, mark = 0): Books {
  const lines = readLines(ledger)
  const since = lines.filter(({ seq }) => Number(seq) > mark)
  const ofType = (type: string): readonly Line[] => since.filter((line) => line['type'] === type)
  const ends = [...ofType('settle'), ...ofType('release')]
  const ids = ends.map(({ id }) => String(id))
  const holds = ofType('reserve').map(holdOf)
  const ended = holds.flatMap((hold): Ended[] => {
    const end = ends.find(({ id }) => id === hold.id)
    return end === undefined ? [] : [{ hold, entry: end['type'] === 'settle' ? entryOf(end) : undefined }]
  })
  return {
    holds,
    ended,
    open: holds.length - ended.length,
    twice: ids.filter((id, index) => ids.indexOf(id) !== index),
    refusals: ofType('refuse').length,
    mark: Number(lines.at(-1)?.['seq'] ?? 0),
  }
}

function readLines(ledger: string): readonly Line[] {
  if (!existsSync(ledger)) return []
  const segments = readdirSync(ledger).filter((name) => name.startsWith('journal-'))
  const text = segments
    .sort()
    .map((name) => readFileSync(join(ledger, name), 'utf8'))
    .join('')
  // A line without its newline is not written yet.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1).split('\n')
  return whole.flatMap((line): Line[] => (line === '' ? [] : [JSON.parse(line)]))
}

function holdOf(line: Line): HoldLine {
  return {
    id: String(line['id']),
    backend: String(line['backend']),
    inputTokens: Number(line['input_tokens']),
    maxOutputTokens: Number(line['max_output_tokens']),
  }
}

/** The journal's own `settle` line is the entry, under `seq`, `type`, `synced` and `crc`. */
function entryOf(line: Line): LedgerEntry {
  const { seq, type: _type, synced: _synced, crc: _crc, ...entry } = line
  if (!isEntry(entry)) throw new Error(`line ${String(seq)} of the journal is not an entry`)
  return entry
}

function isEntry(fields: object): fields is LedgerEntry {
  return 'cost_usd' in fields && 'prompt_tokens' in fields && 'usage_source' in fields
}

import type { Readable, Writable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import picocolors from 'picocolors'

/** A terminal that keys can be read from. */
export interface Dialogue {
  readonly input: Readable
  readonly output: Writable
}

/** What a command talks to: the process's own streams and environment, or a test's. */
export interface Io {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether `stdout` is a terminal. */
  readonly isTTY: boolean
  /** Width of the terminal; undefined where there is none. */
  readonly columns: number | undefined
  /** Ends `notices --follow` and `watch`: Ctrl-C. */
  readonly signal?: AbortSignal
  /** Absent where there is no terminal on both sides: then nothing is asked and no key is read. */
  readonly dialogue?: Dialogue
}

/** Signs that a terminal can draw, and what stands for them in a file or a pipe. */
interface Glyphs {
  readonly full: string
  readonly empty: string
  /** Where a plan stands within a bar. */
  readonly mark: string
  readonly rule: string
}

const DRAWN: Glyphs = { full: '█', empty: '░', mark: '│', rule: '─' }
const PLAIN: Glyphs = { full: '#', empty: '.', mark: '|', rule: '-' }

/** How output is to look. */
export interface Terminal {
  /** Columns that a table may fill: the terminal's, at least 60, and 80 where there is none. */
  readonly width: number
  readonly glyphs: Glyphs
  /** Colours are never the only sign of anything; without a terminal, or with `NO_COLOR`, they do nothing. */
  readonly colours: ReturnType<typeof picocolors.createColors>
}

const NARROWEST = 60
const USUAL = 80

export function terminalOf({ isTTY, columns, env }: Io): Terminal {
  const drawn = isTTY && env['TERM'] !== 'dumb'
  return {
    width: isTTY ? Math.max(NARROWEST, columns ?? USUAL) : USUAL,
    glyphs: drawn ? DRAWN : PLAIN,
    colours: picocolors.createColors(drawn && !env['NO_COLOR']),
  }
}

/** Text from a ledger as one line that cannot steer the terminal. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
}

/** Breaks a text between words so that it fits beside an indent of `indent` columns; further lines are indented. */
export function wrap(text: string, width: number, indent: number): string {
  const lines: string[] = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? ''
    if (line !== '' && indent + line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.join(`\n${' '.repeat(indent)}`)
}

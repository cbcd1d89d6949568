import { stripVTControlCharacters } from 'node:util'
import CliTable, { type Cell as CliCell } from 'cli-table3'
import type { Terminal } from './terminal.ts'

export interface Column {
  readonly head: string
  readonly align?: 'right'
  /** Takes the room that the others leave, between these widths. Its cells are drawn for the width that comes out. */
  readonly grow?: { readonly min: number; readonly max: number }
}

/** A text, or, in a column that grows, what to draw at the width that it gets. */
export type Cell = string | ((width: number) => string)

/** Cells, one for each column; a line across all columns; or a rule. */
export type Row = readonly Cell[] | { readonly across: string } | 'rule'

const GAP = 2
/** The first column, names, gives way where room is short, and breaks its texts rather than lose any of them; but not below this. */
const NAME_MIN = 6

/** A table no wider than the terminal, without a newline at its end. */
export function renderTable(columns: readonly Column[], rows: readonly Row[], { width, glyphs, colours }: Terminal): string {
  const widths = fit(columns, rows, width)
  const gap = ' '.repeat(GAP)
  const none = {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
    left: '',
    right: '',
  }
  const table = new CliTable({
    head: columns.map(({ head }) => colours.dim(head)),
    colWidths: widths,
    colAligns: columns.map(({ align }) => align ?? 'left'),
    chars: { ...none, mid: glyphs.rule, 'mid-mid': gap, 'left-mid': '', 'right-mid': '', middle: gap },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
  })
  for (const row of rows) table.push(cellsOf(row, widths, glyphs.rule))
  return table.toString().replace(/ +$/gm, '')
}

function cellsOf(row: Row, widths: readonly number[], rule: string): CliCell[] {
  if (row === 'rule') return widths.map((width) => rule.repeat(width))
  if ('across' in row) return [{ colSpan: widths.length, content: row.across }]
  return row.map((cell, index) => {
    const width = widths[index] ?? 0
    if (typeof cell !== 'string') return cell(width)
    return index === 0 ? breakName(cell, width) : cell
  })
}

/** Over as many lines as it takes, after a `.`, `@` or `-` where there is one. A name that fits stays as it is, colours and all. */
function breakName(name: string, width: number): string {
  if (lengthOf(name) <= width) return name
  const lines: string[] = []
  let line = ''
  for (const part of name.match(new RegExp(`[^.@-]{1,${width - 1}}[.@-]?|[.@-]`, 'g')) ?? []) {
    if (line.length + part.length > width) {
      lines.push(line)
      line = ''
    }
    line += part
  }
  return [...lines, line].join('\n')
}

function fit(columns: readonly Column[], rows: readonly Row[], width: number): number[] {
  const widths = columns.map(({ head, grow }, index) => Math.max(grow?.min ?? 0, lengthOf(head), ...rows.map((row) => naturalWidth(row, index))))
  const room = (): number => width - widths.reduce((sum, one) => sum + one, GAP * (columns.length - 1))
  columns.forEach(({ grow }, index) => {
    const natural = widths[index] ?? 0
    if (grow !== undefined) widths[index] = Math.max(natural, Math.min(grow.max, natural + room()))
  })
  // cli-table3 takes the gap between two spanned columns for one column wide.
  const across = Math.max(0, ...rows.map((row) => (row !== 'rule' && 'across' in row ? lengthOf(row.across) + (GAP - 1) * (columns.length - 1) : 0)))
  const missing = across - (width - room())
  widths[0] = Math.max(NAME_MIN, (widths[0] ?? 0) + Math.min(room(), Math.max(0, missing)))
  return widths
}

function naturalWidth(row: Row, index: number): number {
  if (row === 'rule' || 'across' in row) return 0
  const cell = row[index]
  return typeof cell === 'string' ? lengthOf(cell) : 0
}

function lengthOf(text: string): number {
  return stripVTControlCharacters(text).length
}

/** One line of a table, with the number of its first line in the file. */
export interface CsvRow {
  readonly line: number
  readonly cells: readonly string[]
}

/** CSV as spreadsheets write it (RFC 4180): quotes, doubled quotes and line breaks within them; commas, semicolons or tabs, whichever the first line has most of. Empty lines are passed over. */
export function* parseCsv(text: string): Generator<CsvRow> {
  const body = text.startsWith('\uFEFF') ? text.slice(1) : text
  const separator = separatorOf(body.slice(0, body.search(/[\r\n]|$/)))
  let line = 1
  for (let position = 0; position < body.length;) {
    const { cells, end, breaks } = rowAt(body, position, separator)
    if (cells.length > 1 || cells[0]?.trim() !== '') yield { line, cells }
    line += breaks
    position = end
  }
}

function rowAt(text: string, start: number, separator: string): { cells: string[]; end: number; breaks: number } {
  const cells: string[] = []
  let breaks = 1
  for (let position = start; ;) {
    const { cell, end } = text[position] === '"' ? quotedAt(text, position) : plainAt(text, position, separator)
    cells.push(cell)
    breaks += cell.split('\n').length - 1
    if (text[end] === separator) position = end + 1
    else return { cells, end: end + (text.startsWith('\r\n', end) ? 2 : 1), breaks }
  }
}

function plainAt(text: string, start: number, separator: string): { cell: string; end: number } {
  let end = start
  while (end < text.length && text[end] !== separator && text[end] !== '\n' && text[end] !== '\r') end += 1
  return { cell: text.slice(start, end), end }
}

function quotedAt(text: string, start: number): { cell: string; end: number } {
  let end = start + 1
  while (end < text.length && (text[end] !== '"' || text[end + 1] === '"')) end += text[end] === '"' ? 2 : 1
  return { cell: text.slice(start + 1, end).replaceAll('""', '"'), end: end + 1 }
}

function separatorOf(head: string): string {
  const count = (separator: string): number => head.split(separator).length
  return [',', ';', '\t'].reduce((best, separator) => (count(separator) > count(best) ? separator : best))
}

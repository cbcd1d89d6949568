import { CST, type LineCounter } from 'yaml'
import { oneLine, type Issue } from './issues.ts'

/** What `yaml` complains of: it names the place where it could not go on, which is seldom where the slip is. */
export interface Complaint {
  readonly code: string
  readonly message: string
  readonly offset: number
}

/** A quote or bracket, from where it opens to where it ends; `closed` is false where it had to be ended. */
interface Span {
  readonly from: number
  readonly to: number
  readonly closed: boolean
}

/** How a text is laid out: its lines, and the quotes and brackets that may have gone wrong. */
export interface Layout {
  readonly text: string
  readonly lines: readonly string[]
  readonly counter: LineCounter
  /** Those that are not closed, or only on a later line. */
  readonly quotes: readonly Span[]
  /** Those that are not closed, of several at one place the innermost first. */
  readonly brackets: readonly Span[]
}

const MISINDENTED: ReadonlySet<string> = new Set(['BAD_INDENT', 'BLOCK_AS_IMPLICIT_KEY'])
const CLOSING: Readonly<Record<string, string>> = { '[': ']', '{': '}' }

/** @param sources the tokens of the text. */
export function layoutOf(text: string, sources: readonly string[], counter: LineCounter): Layout {
  const quotes: Span[] = []
  const brackets: Span[] = []
  const open: number[] = []
  let offset = 0
  let isContent = false
  for (const source of sources) {
    const type: CST.TokenType | null = isContent ? null : CST.tokenType(source)
    const to = offset + (type === 'doc-mode' || type === 'scalar' || type === 'flow-error-end' ? 0 : source.length)
    if (type === 'single-quoted-scalar' || type === 'double-quoted-scalar') {
      const closed = source.length > 1 && source.endsWith(source.charAt(0))
      if (!closed || source.includes('\n')) quotes.push({ from: offset, to, closed })
    }
    if (type === 'flow-seq-start' || type === 'flow-map-start') open.push(offset)
    if (type === 'flow-seq-end' || type === 'flow-map-end') {
      const opened = open.pop()
      if (opened !== undefined && CLOSING[text.charAt(opened)] !== source) {
        brackets.push({ from: opened, to, closed: false })
        open.pop()
      }
    }
    if (type === 'flow-error-end') for (const from of open.splice(0).toReversed()) brackets.push({ from, to, closed: false })
    isContent = type === 'scalar'
    offset = to
  }
  for (const from of open.toReversed()) brackets.push({ from, to: offset, closed: false })
  return { text, lines: text.split('\n').map((line) => line.replace(/\r$/, '')), counter, quotes, brackets }
}

/** The slip of the pen that a complaint is probably about, at its own place; undefined where it is none of the usual ones. */
export function slipBehind(layout: Layout, complaint: Complaint): Issue | undefined {
  return (
    openQuote(layout, complaint) ??
    openBracket(layout, complaint) ??
    strayBracket(layout, complaint) ??
    missingSpace(layout, complaint) ??
    colonInText(layout, complaint) ??
    wrongIndentation(layout, complaint) ??
    noKey(layout, complaint)
  )
}

function openQuote(layout: Layout, { offset, message }: Complaint): Issue | undefined {
  const lineOf = (at: number): number => placeOf(layout, at).line
  const quote = message.startsWith('Missing closing')
    ? layout.quotes.findLast(({ from, closed }) => !closed && from <= offset)
    : layout.quotes.find(({ to, closed }) => closed && lineOf(to) === lineOf(offset))
  if (quote === undefined) return undefined
  const sign = layout.text.charAt(quote.from)
  return {
    ...placeOf(layout, quote.from),
    message: 'The quote that opens here is not closed',
    found: restOfLine(layout, quote.from),
    expected: `${sign} at the end of the text`,
    ...(quote.closed && { hint: `as it stands, the text ends on line ${lineOf(quote.to)}` }),
  }
}

function openBracket(layout: Layout, { offset, message }: Complaint): Issue | undefined {
  if (!/^Flow (map|sequence) .*end with a/.test(message)) return undefined
  const apart = ({ to }: Span): number => Math.abs(to - offset)
  const nearest = Math.min(...layout.brackets.map(apart))
  const bracket = layout.brackets.find((one) => apart(one) === nearest)
  if (bracket === undefined) return undefined
  const sign = layout.text.charAt(bracket.from)
  return {
    ...placeOf(layout, bracket.from),
    message: 'The bracket that opens here is not closed',
    found: restOfLine(layout, bracket.from),
    expected: `${CLOSING[sign]} after its last entry`,
  }
}

function strayBracket(layout: Layout, { offset, message }: Complaint): Issue | undefined {
  if (!/^Unexpected flow-(?:map|seq)-end/.test(message)) return undefined
  const opening = layout.text.charAt(offset) === ']' ? '[' : '{'
  return {
    ...placeOf(layout, offset),
    message: 'The bracket that closes here was not opened',
    found: restOfLine(layout, offset),
    expected: `${opening} with a space before it, or no bracket`,
  }
}

function missingSpace(layout: Layout, { offset }: Complaint): Issue | undefined {
  const { line } = placeOf(layout, offset)
  const text = lineAt(layout, line)
  const dash = /^( *)-(?=[A-Za-z"'{[])/.exec(text)
  if (dash !== null) {
    const column = dash[0].length + 1
    const hint = `write - ${oneLine(text.slice(column - 1))}`
    return { line, column, path: '', message: 'A space is missing after the dash', found: oneLine(text.trim()), expected: '`- ` before an entry', hint }
  }
  const key = /^ *(?:- +)*([A-Za-z_][\w.-]*):(?=[^\s:])/.exec(text)
  if (key === null) return undefined
  const column = key[0].length + 1
  const hint = `write ${key[1]}: ${oneLine(text.slice(column - 1))}`
  return { line, column, path: '', message: 'A space is missing after the colon', found: oneLine(text.trim()), expected: '`key: value`', hint }
}

function colonInText(layout: Layout, { code, offset }: Complaint): Issue | undefined {
  const { line } = placeOf(layout, offset)
  const match = /^( *(?:- +)*([^\s:]+): +)([^\s"'{[|>].*?: .*?)(?: +#.*)?$/.exec(lineAt(layout, line))
  if (code !== 'BLOCK_AS_IMPLICIT_KEY' || match === null) return undefined
  const [, before = '', key = '', value = ''] = match
  return {
    line,
    column: before.length + 1,
    path: '',
    message: 'A text with a colon needs quotes',
    found: oneLine(value),
    expected: 'one `key: value` a line, or quotes around the value',
    hint: `write ${key}: ${oneLine(JSON.stringify(value))}`,
  }
}

/** A line that is indented like no entry above it. `yaml` blames the line before one that is indented too far. */
function wrongIndentation(layout: Layout, { code, message, offset }: Complaint): Issue | undefined {
  const { line: blamed, column } = placeOf(layout, offset)
  if (!MISINDENTED.has(code) && !message.startsWith('Sequence item without')) return undefined
  const isBefore = code === 'BLOCK_AS_IMPLICIT_KEY' && column > indentationOf(lineAt(layout, blamed)) + 1
  const line = isBefore ? nextContent(layout, blamed) : blamed
  const indentation = indentationOf(lineAt(layout, line))
  if (isBefore && indentation <= indentationOf(lineAt(layout, blamed))) return undefined
  const fit = entriesAbove(layout, line).toSorted((a, b) => Math.abs(a.column - indentation) - Math.abs(b.column - indentation))[0]
  if (fit === undefined || fit.column === indentation) return undefined
  const spaces = (count: number): string => (count === 0 ? 'no spaces' : count === 1 ? '1 space' : `${count} spaces`)
  return {
    line,
    column: indentation + 1,
    path: '',
    message: indentation > fit.column ? 'The line is indented too far' : 'The line is not indented far enough',
    found: `${spaces(indentation)} before it`,
    expected: `${spaces(fit.column)}, in line with \`${fit.name}\` on line ${fit.line}`,
  }
}

/** What a line may be in line with: the entries above it that are still open, the nearest first. */
function entriesAbove(layout: Layout, below: number): readonly { readonly column: number; readonly name: string; readonly line: number }[] {
  const entries: { column: number; name: string; line: number }[] = []
  let least = Infinity
  for (let line = below - 1; line > 0 && least > 0; line -= 1) {
    const text = lineAt(layout, line)
    if (!isContent(text) || indentationOf(text) >= least) continue
    const dashes = [...(/^ *((?:- +)*)/.exec(text)?.[1] ?? '').matchAll(/- +/g)]
    const starts = dashes.map(({ index, 0: dash }) => indentationOf(text) + index + dash.length)
    for (const column of [...starts.toReversed(), indentationOf(text)]) {
      entries.push({ column, name: oneLine(/^[^\s:]+/.exec(text.slice(column))?.[0] ?? '', 40), line })
    }
    least = indentationOf(text)
  }
  return entries
}

function noKey(layout: Layout, { code, message, offset }: Complaint): Issue | undefined {
  if (code !== 'MULTILINE_IMPLICIT_KEY' && !message.startsWith('Implicit map keys')) return undefined
  const { line } = placeOf(layout, offset)
  const text = lineAt(layout, line)
  if (/:( |$)/.test(text) || !isContent(text)) return undefined
  return { line, column: indentationOf(text) + 1, path: '', message: 'The line has no colon', found: oneLine(text.trim()), expected: '`key: value`' }
}

function nextContent(layout: Layout, after: number): number {
  const index = layout.lines.findIndex((text, at) => at >= after && isContent(text))
  return index === -1 ? after : index + 1
}

function isContent(text: string): boolean {
  return /^\s*[^\s#]/.test(text)
}

function indentationOf(text: string): number {
  return /^ */.exec(text)?.[0].length ?? 0
}

/** The beginning of a line: what is looked for is found there, and long texts take long to search. */
function lineAt({ lines }: Layout, line: number): string {
  return (lines[line - 1] ?? '').slice(0, 1_000)
}

function placeOf({ counter }: Layout, offset: number): { readonly line: number; readonly column: number; readonly path: '' } {
  const { line, col } = counter.linePos(offset)
  return { line, column: col, path: '' }
}

function restOfLine(layout: Layout, offset: number): string {
  const { line, column } = placeOf(layout, offset)
  return oneLine((layout.lines[line - 1] ?? '').slice(column - 1, column + 99).trim())
}

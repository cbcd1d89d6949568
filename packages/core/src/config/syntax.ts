import { Composer, CST, Lexer, LineCounter, Parser, type ParsedNode } from 'yaml'
import { oneLine, type Issue } from './issues.ts'
import { layoutOf, slipBehind } from './syntax-slips.ts'

/** The largest policy file, in bytes of UTF-8. */
export const MAX_FILE_BYTES = 262_144

const MAX_DEPTH = 32
/** Of one list or mapping. */
const MAX_ENTRIES = 2_000
/** Rules, and limits. */
const MAX_ITEMS = 1_000
/** Of one kind in the whole file: more than 1,000 rules need, and few enough to be refused within a tenth of a second. */
const MAX_TOKENS = 30_000
const MAX_SYNTAX_ISSUES = 10

/** A text as YAML nodes, or why it is not one plain document. */
export type Syntax = { readonly ok: true; readonly root: ParsedNode; readonly lines: LineCounter } | { readonly ok: false; readonly issues: readonly Issue[] }

/** What YAML offers and a policy file may not use: each can make a file mean something else than it shows. */
const REFUSED: ReadonlyMap<CST.TokenType, { readonly message: string; readonly hint: string }> = new Map([
  ['anchor', { message: 'Anchors are not allowed', hint: 'write the value out; quote a text that begins with &' }],
  ['alias', { message: 'Aliases are not allowed', hint: 'write the value out; quote a text that begins with *' }],
  ['tag', { message: 'Tags are not allowed', hint: 'leave the tag out; quote a text that begins with !' }],
  ['directive-line', { message: 'YAML directives are not allowed', hint: 'remove the line; the file is read as YAML 1.2' }],
])

/** What to write instead, for the mistakes that `yaml` names by a code. */
const EXPECTED: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'spaces for indentation',
  BAD_INDENT: 'the same indentation for all entries of a mapping or list, and more than that of what holds them',
  MISSING_CHAR: 'the closing quote or bracket, or the comma between two entries',
  MULTILINE_IMPLICIT_KEY: '`key: value`, the key on one line',
  BLOCK_AS_IMPLICIT_KEY: 'one `key: value` a line, all keys of a mapping indented alike',
  BAD_SCALAR_START: 'quotes around a text that begins with this character',
  BAD_DQ_ESCAPE: 'single quotes around a text with backslashes',
}

/**
 * Reads one YAML 1.2 document of plain mappings, lists and scalars.
 * All bounds are checked while the tokens come in, before anything recurses or grows faster than the text.
 * @param empty what to say of a file without content; that of a policy unless given.
 */
export function readSyntax(text: string, empty: EmptyFile = EMPTY_POLICY): Syntax {
  const unreadable = refuseText(text)
  if (unreadable !== undefined) return { ok: false, issues: [unreadable] }
  const lines = linesOf(text)
  const sources = readTokens(text)
  if ('message' in sources) return { ok: false, issues: [sources] }
  const tokens = buildTrees(text, sources)
  if ('message' in tokens) return { ok: false, issues: [tokens] }
  const options = { version: '1.2', schema: 'core', merge: false, uniqueKeys: false } as const
  const documents = [...new Composer(options).compose(tokens, true, text.length)]
  const root = documents[0]?.contents
  const errors = documents.flatMap((document) => [...document.errors, ...document.warnings])
  if (errors.length > 0) return { ok: false, issues: syntaxIssues(text, lines, sources, errors) }
  if (root === null || root === undefined) return { ok: false, issues: [emptyFile(text, empty)] }
  return { ok: true, root, lines }
}

/** Where each line begins. The parser's own count leaves out the lines of a quoted text that it did not expect. */
function linesOf(text: string): LineCounter {
  const lines = new LineCounter()
  for (let start = 0; start !== 0 || lines.lineStarts.length === 0; start = text.indexOf('\n', start) + 1) lines.addNewLine(start)
  return lines
}

function refuseText(text: string): Issue | undefined {
  // A character is at most three bytes in UTF-8, so only texts near the bound are counted.
  if (text.length > MAX_FILE_BYTES || (text.length > MAX_FILE_BYTES / 3 && new TextEncoder().encode(text).length > MAX_FILE_BYTES)) {
    return { ...START, message: 'The file is too large', found: `${text.length} characters`, expected: `at most ${MAX_FILE_BYTES} bytes` }
  }
  // eslint-disable-next-line no-control-regex -- looking for them is the point
  const control = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F\uFFFE\uFFFF]/.exec(text)
  if (control !== null) {
    const code = control[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')
    return { ...positionIn(text, control.index), path: '', message: 'The file holds a control character', found: `U+${code}`, expected: 'plain text in UTF-8' }
  }
  return undefined
}

/** Tokens that may stand before the one `---` that a document may begin with. */
const BEFORE_CONTENT: ReadonlySet<CST.TokenType> = new Set<CST.TokenType>(['byte-order-mark', 'doc-mode', 'space', 'comment', 'newline'])

const START = { line: 1, column: 1, path: '' }

/** What an empty file should have been, and how to begin. */
export interface EmptyFile {
  readonly expected: string
  readonly hint: string
}

const EMPTY_POLICY: EmptyFile = {
  expected: 'a policy, at least `budgets:`',
  hint: 'an empty policy would limit nothing; configs/budgets.yaml is one to start from',
}

function emptyFile(text: string, empty: EmptyFile): Issue {
  return {
    ...START,
    message: 'The file says nothing',
    found: text.trim() === '' ? 'an empty file' : 'only comments',
    ...empty,
  }
}

type Problem = Omit<Issue, 'line' | 'column' | 'path'>

/** The file's tokens, or the first thing that a policy file may not hold. A pass over the text, before anything is built from it. */
function readTokens(text: string): readonly string[] | Issue {
  const sources: string[] = []
  const counts = new Map<CST.TokenType | null, number>()
  const list = new ListCounter()
  let offset = 0
  let isContent = false
  let hasBegun = false
  for (const source of new Lexer().lex(text)) {
    const type: CST.TokenType | null = isContent ? null : CST.tokenType(source)
    list.next(source, type)
    const count = (counts.get(type) ?? 0) + 1
    const problem = refuseToken(type, source, hasBegun) ?? (type === null || type === 'space' ? undefined : refuseCount(count)) ?? list.problem
    if (problem !== undefined) return { ...positionIn(text, offset), path: '', ...problem }
    counts.set(type, count)
    hasBegun ||= type !== null && !BEFORE_CONTENT.has(type)
    isContent = type === 'scalar'
    sources.push(source)
    // The lexer announces documents and plain texts by signs that are not in the file.
    if (type !== 'doc-mode' && type !== 'scalar' && type !== 'flow-error-end') offset += source.length
  }
  return sources
}

function refuseToken(type: CST.TokenType | null, source: string, hasBegun: boolean): Problem | undefined {
  const refused = type === null ? undefined : REFUSED.get(type)
  if (refused !== undefined) return { ...refused, found: oneLine(source.trim()), expected: 'plain mappings, lists, texts and numbers' }
  if (type !== 'doc-end' && !(type === 'doc-start' && hasBegun)) return undefined
  return {
    message: 'Only one document is allowed',
    found: source,
    expected: 'one YAML document',
    hint: 'remove everything from this line on, or the line itself',
  }
}

function refuseCount(count: number): Problem | undefined {
  if (count <= MAX_TOKENS) return undefined
  return {
    message: 'The file has too many parts',
    found: `more than ${MAX_TOKENS} lines, words or signs of one kind`,
    expected: `a policy of at most ${MAX_ITEMS} rules`,
  }
}

/** Counts the items of the list that a section of the file holds, one `-` a line, such as `rules:`. */
class ListCounter {
  #lineStart = true
  #column = 0
  #listColumn: number | undefined
  #items = 0

  get problem(): Problem | undefined {
    return this.#items <= MAX_ITEMS
      ? undefined
      : { message: 'A list is too long', found: `more than ${MAX_ITEMS} entries`, expected: `at most ${MAX_ITEMS} rules or limits` }
  }

  next(source: string, type: CST.TokenType | null): void {
    if (type === 'newline') {
      this.#lineStart = true
      this.#column = 0
    } else if (this.#lineStart && type === 'space') {
      this.#column += source.length
    } else if (this.#lineStart && type !== 'comment') {
      this.#lineStart = false
      if (type === 'seq-item-ind') this.#listColumn ??= this.#column
      else if (this.#column === 0) this.#begin()
      if (type === 'seq-item-ind' && this.#column === this.#listColumn) this.#items += 1
    }
  }

  #begin(): void {
    this.#listColumn = undefined
    this.#items = 0
  }
}

/** The file's token trees, or where they grow beyond what may be read on. */
function buildTrees(text: string, sources: readonly string[]): CST.Token[] | Issue {
  const parser = new Parser()
  const trees: CST.Token[] = []
  for (const source of sources) {
    for (const tree of parser.next(source)) trees.push(tree)
    const problem = refuseGrowth(parser.stack)
    if (problem !== undefined) return { ...positionIn(text, Math.max(0, parser.offset - 1)), path: '', ...problem }
  }
  trees.push(...parser.end())
  return trees
}

function refuseGrowth(stack: readonly CST.Token[]): Problem | undefined {
  if (stack.length > MAX_DEPTH && stack.filter((token) => 'items' in token).length > MAX_DEPTH)
    return { message: 'The file is nested too deeply', found: `more than ${MAX_DEPTH} levels`, expected: `at most ${MAX_DEPTH} levels of mappings and lists` }
  const top = stack.at(-1)
  if (top !== undefined && 'items' in top && top.items.length > MAX_ENTRIES) {
    return { message: 'A list or mapping is too long', found: `more than ${MAX_ENTRIES} entries`, expected: `at most ${MAX_ENTRIES} entries` }
  }
  return undefined
}

/** As `yaml` gives it. */
interface YamlError {
  readonly code: string
  readonly message: string
  readonly pos: readonly [number, number]
}

/** What a line that is indented too far also makes of those around it. */
const CONSEQUENCES: ReadonlySet<string> = new Set(['BLOCK_AS_IMPLICIT_KEY', 'MULTILINE_IMPLICIT_KEY'])

/** Where the document seems to have ended with the first complaint, every line below it is too much. */
function isAfterEnd(message: string): boolean {
  return message.includes('in YAML stream')
}

/** Beyond this many complaints nothing is looked for behind them: one slip has caused most. */
const MAX_COMPLAINTS = 50

function syntaxIssues(text: string, lines: LineCounter, sources: readonly string[], errors: readonly YamlError[]): readonly Issue[] {
  const layout = layoutOf(text, sources, lines)
  const complaints = errors.slice(0, MAX_COMPLAINTS).map((error) => {
    const offset = Math.min(error.pos[0], text.length)
    return { error, slip: slipBehind(layout, { ...error, offset }), issue: syntaxIssue(text, lines, error, offset) }
  })
  const isKnown = complaints.some(({ slip }) => slip !== undefined)
  const isConsequence = (code: string, message: string, index: number): boolean => (isKnown && CONSEQUENCES.has(code)) || (index > 0 && isAfterEnd(message))
  const shown = complaints.filter(({ error, slip }, index) => slip !== undefined || !isConsequence(error.code, error.message, index))
  return firstOfEachLine(shown.map(({ slip, issue }) => slip ?? issue))
}

function syntaxIssue(text: string, lines: LineCounter, error: YamlError, offset: number): Issue {
  const { line, col } = lines.linePos(offset)
  const rest = text.slice(offset).split('\n', 1)[0]?.trim() ?? ''
  return {
    line,
    column: col,
    path: '',
    message: `Not valid YAML: ${oneLine(error.message.split('\n', 1)[0] ?? '', 160)}`,
    found: offset >= text.trimEnd().length ? 'the end of the file' : rest === '' ? 'the end of the line' : oneLine(rest),
    expected: EXPECTED[error.code] ?? '`key: value` lines, indented with spaces',
  }
}

/** One slip makes `yaml` complain several times; the first complaint of a line says it. */
function firstOfEachLine(issues: readonly Issue[]): readonly Issue[] {
  const byLine = new Map<number, Issue>()
  for (const issue of issues) if (!byLine.has(issue.line)) byLine.set(issue.line, issue)
  return [...byLine.values()].slice(0, MAX_SYNTAX_ISSUES)
}

function positionIn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset)
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') }
}

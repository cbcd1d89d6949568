/** One mistake, or one piece of advice, at a place of the policy file. */
export interface Issue {
  /** From 1. */
  readonly line: number
  /** From 1, in UTF-16 code units. */
  readonly column: number
  /** Where it stands, as `rules[0].event.type`; empty for the file as a whole. */
  readonly path: string
  readonly message: string
  readonly found: string
  readonly expected: string
  /** What was probably meant, or what to do. */
  readonly hint?: string
}

/** The file that issues are about: the name to print, and its text. */
export interface SourceFile {
  readonly file: string
  readonly text: string
}

const SHOWN_WIDTH = 120

/** `file:line:column`, the message, the line with a caret, what was found and expected, and the hint. */
export function formatIssue(issue: Issue, source: SourceFile): string {
  const { line, caret } = excerpt(issue, source.text)
  const gutter = String(issue.line)
  const rows = [
    `${source.file}:${issue.line}:${issue.column}: ${issue.message}`,
    `  ${gutter} | ${line}`,
    `  ${' '.repeat(gutter.length)} | ${caret}`,
    `  found:    ${issue.found}`,
    `  expected: ${issue.expected}`,
  ]
  if (issue.hint !== undefined) rows.push(`  hint:     ${issue.hint}`)
  return rows.map((row) => row.trimEnd()).join('\n')
}

/** All issues, in the order of the file, with an empty line between them. */
export function formatIssues(issues: readonly Issue[], source: SourceFile): string {
  return sortIssues(issues)
    .map((issue) => formatIssue(issue, source))
    .join('\n\n')
}

export function sortIssues(issues: readonly Issue[]): readonly Issue[] {
  return issues.toSorted((a, b) => a.line - b.line || a.column - b.column)
}

/** The text without the byte-order mark that some editors put first; columns count without it. */
export function withoutByteOrderMark(text: string): string {
  return text.startsWith('\uFEFF') ? text.slice(1) : text
}

/** A text for one line of a message: control characters made visible, cut to `width`. */
export function oneLine(text: string, width = 60): string {
  // eslint-disable-next-line no-control-regex -- a file must not be able to steer the terminal that shows its mistakes
  const visible = text.replace(/[\u0000-\u0008\u000A-\u001F\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g, '\uFFFD')
  return visible.length <= width ? visible : `${visible.slice(0, width - 1)}…`
}

function excerpt(issue: Issue, text: string): { line: string; caret: string } {
  const whole = (withoutByteOrderMark(text).split('\n', issue.line)[issue.line - 1] ?? '').replace(/\r$/, '')
  const from = issue.column <= SHOWN_WIDTH ? 0 : issue.column - SHOWN_WIDTH / 2
  const line = oneLine(whole.slice(from, from + SHOWN_WIDTH), SHOWN_WIDTH)
  const before = line.slice(0, issue.column - 1 - from)
  return { line, caret: `${before.replace(/[^\t]/g, ' ')}^` }
}

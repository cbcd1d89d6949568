import { describe, expect, it } from 'vitest'
import { formatIssue, formatIssues, oneLine, type Issue } from './issues.ts'

const issue: Issue = { line: 2, column: 3, path: 'budgets.x', message: 'Unknown key in `budgets`', found: 'x', expected: 'one of y', hint: 'did you mean `y`?' }

describe('An issue', () => {
  it('shows file, line, column, the line with a caret, what was found and expected, and the hint', () => {
    expect(formatIssue(issue, { file: 'a.yaml', text: 'budgets:\n  x: 1\n' })).toBe(
      ['a.yaml:2:3: Unknown key in `budgets`', '  2 |   x: 1', '    |   ^', '  found:    x', '  expected: one of y', '  hint:     did you mean `y`?'].join(
        '\n',
      ),
    )
  })

  it('puts the caret under its column behind tabs, a byte-order mark and Windows line ends', () => {
    const rows = formatIssue({ ...issue, line: 1, column: 4 }, { file: 'a', text: '\uFEFF\t\tkey: 1\r\n' }).split('\n')
    expect(rows.slice(1, 3)).toEqual(['  1 | \t\tkey: 1', '    | \t\t ^'])
  })

  it('shows the part of a long line that it is about', () => {
    const rows = formatIssue({ ...issue, line: 1, column: 1001 }, { file: 'a', text: `${'a'.repeat(1000)}X${'b'.repeat(1000)}` }).split('\n')
    const caret = rows[2]?.indexOf('^') ?? -1
    expect(rows[1]?.[caret]).toBe('X')
    expect(rows[1]?.length).toBeLessThan(140)
  })

  it('cannot steer the terminal', () => {
    expect(oneLine('a\u001B[2J\u202Eb\nc')).toBe('a\uFFFD[2J\uFFFDb\uFFFDc')
  })

  it('comes in the order of the file', () => {
    const text = formatIssues([{ ...issue, line: 3 }, { ...issue, column: 9 }, issue], { file: 'a', text: '1\n2\n3' })
    expect(text.match(/^a:\d:\d/gm)).toEqual(['a:2:3', 'a:2:9', 'a:3:3'])
  })
})

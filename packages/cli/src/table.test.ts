import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { renderTable, type Column } from './table.ts'
import { terminalOf } from './terminal.ts'

const nowhere = { write: () => true }
const plain = terminalOf({ stdout: nowhere, stderr: nowhere, env: {}, isTTY: false, columns: undefined })
const COLUMNS: readonly Column[] = [{ head: 'name' }, { head: 'bar', grow: { min: 4, max: 8 } }, { head: 'sum', align: 'right' }]
const bar = (width: number): string => '#'.repeat(width)

describe('a table', () => {
  test('aligns its columns, draws what grows, and has rules and lines across', () => {
    const table = renderTable(COLUMNS, [['one', bar, '1.00'], { across: '  a remark that is longer' }, 'rule', ['total', bar, '12.00']], plain)
    expect(table.split('\n')).toEqual([
      'name        bar         sum',
      '----------  --------  -----',
      'one         ########   1.00',
      '  a remark that is longer',
      '----------  --------  -----',
      'total       ########  12.00',
    ])
  })

  test('shrinks what grows, then breaks names, to stay within its width', () => {
    const table = renderTable(COLUMNS, [['n'.repeat(100), bar, '1.00']], plain)
    const lines = table.split('\n')
    expect(Math.max(...lines.map((line) => line.length))).toBe(80)
    expect(lines[2]).toMatch(/^n{67} {3}#### {2}1\.00$/)
    expect(table.replaceAll(/[^n]/g, '')).toHaveLength(1 + 100)
  })

  test('breaks names after a dot or dash where it can', () => {
    const lines = renderTable(COLUMNS, [[`claude.${'five-hours'.repeat(6)}.tokens`, bar, '1.00']], plain).split('\n')
    expect(lines.slice(2).map((line) => line.slice(0, 68).trimEnd())).toEqual([`claude.${'five-hours'.repeat(6)}.`, 'tokens'])
  })

  test('is the same with colours, but for the colours', () => {
    const inColour = terminalOf({ stdout: nowhere, stderr: nowhere, env: { NO_COLOR: '' }, isTTY: true, columns: 80 })
    const { red, bold } = inColour.colours
    const rows = [['one', (width: number) => red(bar(width)), bold('1.00')], { across: red('  across') }]
    const shown = renderTable(COLUMNS, rows, inColour)
    expect(shown).toContain('\u001B[31m########\u001B[39m')
    const expected = renderTable(COLUMNS, [['one', bar, '1.00'], { across: '  across' }], plain)
    expect(stripVTControlCharacters(shown).replaceAll('─', '-').replaceAll(/ +$/gm, '')).toBe(expected)
  })
})

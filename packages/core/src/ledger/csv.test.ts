import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parseCsv } from './csv.ts'

const cellsOf = (text: string): readonly (readonly string[])[] => [...parseCsv(text)].map(({ cells }) => cells)

it('reads back what was written, whatever stands in the cells', () => {
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`
  const cell = fc.string({ unit: fc.constantFrom('a', '"', ',', ';', '\n', '\r', ' ', 'é') })
  const table = fc.integer({ min: 2, max: 4 }).chain((width) => fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1 }))
  fc.assert(
    fc.property(table, fc.constantFrom('\n', '\r\n'), (rows, end) => {
      const head = rows[0]?.map(() => 'column') ?? []
      const text = [head, ...rows].map((row) => row.map(quoted).join(',') + end).join('')
      expect(cellsOf(text)).toEqual([head, ...rows])
    }),
  )
})

it.each<[string, string, readonly (readonly string[])[]]>([
  ['nothing', '', []],
  [
    'an end without a newline',
    'a,b\n1,2',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  [
    'empty cells at the end',
    'a,b,\n,,',
    [
      ['a', 'b', ''],
      ['', '', ''],
    ],
  ],
  [
    'semicolons',
    'a;b\n1,5;2',
    [
      ['a', 'b'],
      ['1,5', '2'],
    ],
  ],
  [
    'tabs',
    'a\tb\n1\t2',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  ['a byte order mark', '\uFEFFa,b\n', [['a', 'b']]],
  [
    'empty lines',
    'a,b\n\n1,2\n\n',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  ['a quote that never ends', 'a,b\n"1,2\n', [['a', 'b'], ['1,2\n']]],
])('reads %s', (_, text, expected) => {
  expect(cellsOf(text)).toEqual(expected)
})

it('counts lines, also within quotes', () => {
  expect([...parseCsv('a,b\r\n"1\r\n2",x\r\n\r\n3,4')].map(({ line }) => line)).toEqual([1, 2, 5])
})

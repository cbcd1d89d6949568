import { expect, test } from 'vitest'
import { drawCourse } from './plot.ts'
import { terminalOf } from './terminal.ts'

const terminal = terminalOf({ stdout: { write: () => true }, stderr: { write: () => true }, env: {}, isTTY: false, columns: undefined })
const used = (parts: number, share: number): readonly number[] => Array.from({ length: parts }, (_, index) => ((index + 1) / parts) * share)

test('what was used is filled, what is foreseen dotted, and even pace a line across', () => {
  const lines = drawCourse({ used: used(15, 0.8), elapsed: 0.5, utilization: 0.8, forecast: 1 }, 45, terminal)
  expect(lines).toEqual([
    '100%                               ..--------',
    '                      ###....--------........',
    '                 ####--------................',
    '            #--------####....................',
    '  0% --------############....................',
  ])
})

test('keeps to its width, at any share, also without a forecast', () => {
  for (const utilization of [0, 0.001, 0.5, 1, 1.4]) {
    for (const elapsed of [0.001, 0.5, 1]) {
      for (const forecast of [null, utilization]) {
        const lines = drawCourse({ used: used(3, utilization), elapsed, utilization, forecast }, 72, terminal)
        expect(lines).toHaveLength(5)
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(72)
        if (utilization > 0) expect(lines.at(-1)).toContain(elapsed === 0.001 && forecast === null ? '-' : elapsed === 0.001 ? '.' : '#')
      }
    }
  }
})

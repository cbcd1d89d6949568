import type { Terminal } from './terminal.ts'

/** Use of a quota against pace as time goes by, over one window or many: shares of the quota, and of the time of the window under way. At even distances. */
export interface SpendCourse {
  readonly utilization: readonly number[]
  readonly elapsed: readonly number[]
}

const HEIGHT = 6
/** Columns of `100% `. */
const LABEL = 5

/** What is used, filled from below; and even pace, a line. Lines of at most `width` columns. */
export function drawSpend({ utilization, elapsed }: SpendCourse, width: number, { glyphs }: Terminal): readonly string[] {
  const columns = width - LABEL
  const at = (shares: readonly number[], column: number): number => shares[Math.floor(((column + 0.5) / columns) * shares.length)] ?? 0
  return Array.from({ length: HEIGHT }, (_, row) => {
    const level = HEIGHT - row - 1
    const label = row === 0 ? '100%' : level === 0 ? '0%' : ''
    const cells = Array.from({ length: columns }, (_, column) => {
      const paceLevel = Math.min(HEIGHT - 1, Math.floor(at(elapsed, column) * HEIGHT))
      const used = at(utilization, column)
      const filled = level === 0 ? used > 0 : used * HEIGHT >= level + 0.5
      return paceLevel === level ? glyphs.mark : filled ? glyphs.full : ' '
    })
    return `${label.padStart(LABEL - 1)} ${cells.join('')}`.trimEnd()
  })
}

import type { Terminal } from './terminal.ts'

/** Use of a quota over its window. All are shares of the quota, `elapsed` of the window. */
export interface Course {
  /** By the end of each part of the window that has begun, the last one up to now. */
  readonly used: readonly number[]
  readonly elapsed: number
  /** Now, with what was used beside the router. */
  readonly utilization: number
  /** At the window's end; null where nothing is foreseen. */
  readonly forecast: number | null
}

const HEIGHT = 5
/** Columns of `100% `. */
const LABEL = 5

/** What was used, filled; what is foreseen, dotted; and even pace, a line from the lower left to the upper right. Lines of `width` columns. */
export function drawCourse(course: Course, width: number, { glyphs }: Terminal): readonly string[] {
  const columns = width - LABEL
  return Array.from({ length: HEIGHT }, (_, row) => {
    const level = HEIGHT - row - 1
    const label = row === 0 ? '100%' : level === 0 ? '0%' : ''
    const cells = Array.from({ length: columns }, (_, column) => {
      const at = (column + 0.5) / columns
      if (Math.floor(at * HEIGHT) === level) return glyphs.rule
      const share = shareAt(course, at)
      const filled = share !== undefined && (level === 0 ? share > 0 : share * HEIGHT >= level + 0.5)
      return filled ? (at <= course.elapsed ? glyphs.full : glyphs.empty) : ' '
    })
    return `${label.padStart(LABEL - 1)} ${cells.join('')}`.trimEnd()
  })
}

function shareAt({ used, elapsed, utilization, forecast }: Course, at: number): number | undefined {
  if (at <= elapsed) return used[Math.min(used.length - 1, Math.floor((at / elapsed) * used.length))]
  return forecast === null ? undefined : utilization + ((forecast - utilization) * (at - elapsed)) / (1 - elapsed)
}

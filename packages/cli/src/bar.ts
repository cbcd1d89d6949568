import { percent } from './amounts.ts'
import type { Terminal } from './terminal.ts'

/** Columns of ` 100%`. */
const PERCENT_WIDTH = 5

/**
 * A share as a bar and in percent, `width` columns in all; above 1 the bar is full. Something is never shown as nothing, nor nearly all as all.
 * @param plan where the share should be by now, 0 to 1: marked within the bar.
 */
export function drawBar(share: number, width: number, { glyphs }: Terminal, plan?: number): string {
  const length = width - PERCENT_WIDTH
  const filled = share <= 0 ? 0 : share >= 1 ? length : Math.min(length - 1, Math.max(1, Math.round(share * length)))
  const bar = [...glyphs.full.repeat(filled), ...glyphs.empty.repeat(length - filled)]
  if (plan !== undefined) bar[Math.min(length - 1, Math.floor(plan * length))] = glyphs.mark
  return `${bar.join('')}${percent(share).padStart(PERCENT_WIDTH)}`
}

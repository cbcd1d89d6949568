import type { Month } from './month.ts'

const DAYS = 30
const HOURS = DAYS * 24

/**
 * The same requests at other times: a working day's sine, weekends at a third, and a level that jumps at random some four times a month.
 * Nothing was tuned on it: it shows whether pacing has learned one trace by heart. The scenario does to it what it does to the month: a quarter of the demand from
 * day 18 on, two fifths before it, or five times as much on each of three days.
 */
export function reshape(month: Month, seed: number, scenario: string): Month {
  const random = mulberry32(seed * 7919 + 13)
  const bursts = scenario === 'burst' ? Array.from({ length: 3 }, () => Math.floor(random() * DAYS)) : []
  const scenarioAt = (day: number): number => {
    if (scenario === 'drop') return day >= 18 ? 0.25 : 1
    if (scenario === 'surge') return day < 18 ? 0.4 : 1
    return 5 ** bursts.filter((burst) => burst === day).length
  }
  const cumulative = new Float64Array(HOURS)
  let [level, sum] = [1, 0]
  for (let hour = 0; hour < HOURS; hour += 1) {
    if (random() < 4 / HOURS) level = Math.exp((random() - 0.5) * 2)
    const weekend = [0, 6].includes(new Date(month.startMs + hour * 3_600_000).getUTCDay())
    const daily = 0.1 + Math.max(0, Math.sin((((hour % 24) - 6) / 16) * Math.PI)) * (hour % 24 >= 6 && hour % 24 <= 22 ? 1 : 0)
    sum += level * (weekend ? 0.33 : 1) * daily * scenarioAt(Math.floor(hour / 24))
    cumulative[hour] = sum
  }
  const times = Float64Array.from({ length: month.size }, () => {
    const at = random() * sum
    let [low, high] = [0, HOURS - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (cumulative[middle]! < at) low = middle + 1
      else high = middle
    }
    return month.startMs + (low + random()) * 3_600_000
  }).sort()
  return { ...month, atMs: times }
}

function mulberry32(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), a | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export interface Latency {
  readonly p50_ms: number
  readonly p99_ms: number
}

/** The same with Manciple and without, in turn. */
export interface Overhead {
  readonly calls: number
  readonly without: Latency
  readonly with: Latency
  readonly added_p50_ms: number
  readonly added_p99_ms: number
}

/** The best of some rounds each: a pause of the collector is not the stream's. */
export interface Throughput {
  readonly without_mb_s: number
  readonly with_mb_s: number
  readonly share: number
}

/** Without Manciple, and with it. */
type Ways = readonly [without: () => Promise<number>, plugged: () => Promise<number>]

const WARM_UP = 100

/** Two ways of the same, each of which says how many ms it took, in turn and in turns of who is first. */
export async function overhead(calls: number, [without, plugged]: Ways): Promise<Overhead> {
  const samples = { without: [] as number[], with: [] as number[] }
  for (let call = -WARM_UP; call < calls; call++) {
    const order = call % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const)
    for (const way of order) {
      const took = await (way === 'with' ? plugged : without)()
      if (call >= 0) samples[way].push(took)
    }
  }
  const [plain, metered] = [latencyOf(samples.without), latencyOf(samples.with)]
  return { calls, without: plain, with: metered, added_p50_ms: metered.p50_ms - plain.p50_ms, added_p99_ms: metered.p99_ms - plain.p99_ms }
}

/** Two ways of the same, each of which says how many MB a second it came to, in turn and in turns of who is first. */
export async function throughput([without, plugged]: Ways, rounds = 12): Promise<Throughput> {
  const best = { without: 0, with: 0 }
  for (let round = 0; round < rounds; round++) {
    for (const way of round % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const)) {
      best[way] = Math.max(best[way], await (way === 'with' ? plugged : without)())
    }
  }
  return { without_mb_s: best.without, with_mb_s: best.with, share: best.with / best.without }
}

function latencyOf(samples: readonly number[]): Latency {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
  return { p50_ms: at(0.5), p99_ms: at(0.99) }
}

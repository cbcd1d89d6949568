import { DAY_MS, END_MS, START_MS, type Month, type World } from './month.ts'

/** A backend that is down for a while. */
export interface Outage {
  readonly backend: number
  readonly fromMs: number
  readonly toMs: number
}

/** The standing of the quotas, as a policy may see it. Nano-USD, by backend, of the windows that are open now. */
export interface Standing {
  readonly settled: Float64Array
  readonly held: Float64Array
  readonly window: Int32Array
  readonly down: Uint8Array
}

/** Chooses a backend for each request: the index of a feasible one, or the number of cloud backends for local. */
export interface Router {
  readonly name: string
  /** Called for each request of the month before, if it is given. */
  remember?(month: Month, i: number): void
  choose(month: Month, i: number, feasible: Uint8Array, standing: Standing): number
  settled?(month: Month, i: number, backend: number, actual: number): void
  /** Called at the start of each day. */
  day?(day: number, standing: Standing, atMs: number): void
}

export interface Outcome {
  /** By backend: nano-USD settled, in all windows. */
  readonly used: Float64Array
  /** By backend and window. */
  readonly windows: readonly Float64Array[]
  readonly value: number
  /** Share of requests whose best backend had no room. */
  readonly dry: number
  readonly local: number
  /** Largest excess of settled plus held over a quota, nano-USD; 0 when none. */
  readonly overshoot: number
  /** Mean time of a choice, microseconds. */
  readonly chooseUs: number
}

/** The hold of a request at a backend: an upper bound, whole nano-USD. */
function holdOf(world: World, month: Month, i: number, backend: number): number {
  return month.input[i]! * world.inputPrice[backend]! + month.maxOutput[i]! * world.outputPrice[backend]!
}

export function costOf(world: World, month: Month, i: number, backend: number): number {
  return month.input[i]! * world.inputPrice[backend]! + month.output[i]! * world.outputPrice[backend]!
}

/**
 * Replays a month: reserves an upper bound before each dispatch and settles the truth when the call ends, calls overlapping.
 * A call counts in the window of its reserve time. A backend without room for the whole hold in its window is not feasible.
 */
export function simulate(world: World, month: Month, router: Router, options: { readonly outage?: Outage; readonly history?: Month } = {}): Outcome {
  const { history, outage } = options
  if (history !== undefined) for (let i = 0; i < history.size; i += 1) router.remember?.(history, i)
  const count = world.backends.length
  const windows = world.quotas.map(({ windows }) => new Float64Array(windows.length))
  const standing: Standing = { settled: new Float64Array(count), held: new Float64Array(count), window: new Int32Array(count), down: new Uint8Array(count) }
  const heldBy = world.quotas.map(({ windows }) => new Float64Array(windows.length))
  const open = new Settlements()
  const feasible = new Uint8Array(count)
  let [value, dry, local, overshoot, nextDay] = [0, 0, 0, 0, 0]
  let spentMs = 0

  const settleUntil = (atMs: number): void => {
    while (open.size > 0 && open.nextMs <= atMs) {
      const { request, backend, window } = open.take()
      const actual = costOf(world, month, request, backend)
      heldBy[backend]![window]! -= holdOf(world, month, request, backend)
      windows[backend]![window]! += actual
      router.settled?.(month, request, backend, actual)
    }
  }
  const look = (atMs: number): void => {
    for (let b = 0; b < count; b += 1) {
      const { windows: bounds } = world.quotas[b]!
      while (bounds[standing.window[b]!]!.endMs <= atMs) standing.window[b]! += 1
      standing.settled[b] = windows[b]![standing.window[b]!]!
      standing.held[b] = heldBy[b]![standing.window[b]!]!
      standing.down[b] = outage !== undefined && b === outage.backend && atMs >= outage.fromMs && atMs < outage.toMs ? 1 : 0
    }
  }

  for (let i = 0; i < month.size; i += 1) {
    const atMs = month.atMs[i]!
    for (; START_MS + nextDay * DAY_MS <= atMs; nextDay += 1) {
      const dayMs = START_MS + nextDay * DAY_MS
      settleUntil(dayMs)
      look(dayMs)
      router.day?.(nextDay, standing, dayMs)
    }
    settleUntil(atMs)
    look(atMs)
    for (let b = 0; b < count; b += 1) {
      feasible[b] = standing.down[b] === 0 && standing.settled[b]! + standing.held[b]! + holdOf(world, month, i, b) <= world.quotas[b]!.quantity ? 1 : 0
    }
    const favourite = world.favourites[month.type[i]!]!
    if (feasible[favourite] === 0 && standing.down[favourite] === 0) dry += 1
    const before = performance.now()
    const taken = router.choose(month, i, feasible, standing)
    spentMs += performance.now() - before
    value += world.values[month.type[i]!]![taken]!
    if (taken === count) {
      local += 1
      continue
    }
    if (feasible[taken] === 0) throw new Error(`${router.name} chose ${world.backends[taken]}, which has no room`)
    const window = standing.window[taken]!
    heldBy[taken]![window]! += holdOf(world, month, i, taken)
    overshoot = Math.max(overshoot, windows[taken]![window]! + heldBy[taken]![window]! - world.quotas[taken]!.quantity)
    open.add(atMs + month.durationMs[i]!, i, taken, window)
  }
  settleUntil(Number.POSITIVE_INFINITY)
  for (; nextDay < 30; nextDay += 1) {
    look(Math.min(END_MS - 1, START_MS + nextDay * DAY_MS))
    router.day?.(nextDay, standing, START_MS + nextDay * DAY_MS)
  }
  windows.forEach((row, b) => row.forEach((used) => (overshoot = Math.max(overshoot, used - world.quotas[b]!.quantity))))
  const used = Float64Array.from(windows, (row) => row.reduce((sum, part) => sum + part, 0))
  return { used, windows, value, dry: dry / month.size, local: local / month.size, overshoot, chooseUs: (1000 * spentMs) / month.size }
}

interface Settlement {
  readonly atMs: number
  readonly request: number
  readonly backend: number
  readonly window: number
}

/** Calls under way, the one that ends first on top: a binary heap. */
class Settlements {
  readonly #heap: Settlement[] = []

  get size(): number {
    return this.#heap.length
  }

  get nextMs(): number {
    return this.#heap[0]!.atMs
  }

  add(atMs: number, request: number, backend: number, window: number): void {
    const heap = this.#heap
    const added = { atMs, request, backend, window }
    let at = heap.length
    heap.push(added)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.atMs <= atMs) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = added
  }

  take(): Settlement {
    const heap = this.#heap
    const top = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child += 1
      if (heap[child]!.atMs >= last.atMs) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return top
  }
}

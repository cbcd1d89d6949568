import type { HeldDispatch } from '../dispatch.ts'
import type { TraceCall } from './trace-call.ts'

/** A call that was dispatched and has not ended. */
export interface CallUnderWay {
  readonly endMs: number
  /** Place among the calls that were dispatched: of two that end at one instant, the earlier settles first. */
  readonly number: number
  readonly call: TraceCall
  readonly dispatch: HeldDispatch
  /** Names of what stood against its first choice, for the line that tells of it. */
  readonly rules: readonly string[]
}

/** Calls under way, the one that ends first on top: a binary heap. */
export class CallsUnderWay {
  readonly #heap: CallUnderWay[] = []

  /** The one that ends first. */
  get next(): CallUnderWay | undefined {
    return this.#heap[0]
  }

  add(added: CallUnderWay): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(added)
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || isBefore(parent, added)) break
      heap[at] = parent
      at = above
    }
    heap[at] = added
  }

  /** Takes the next one off. */
  take(): CallUnderWay | undefined {
    const heap = this.#heap
    const [top] = heap
    const last = heap.pop()
    if (heap.length === 0 || last === undefined) return top
    let at = 0
    for (;;) {
      const child = this.#earlierChild(at)
      const below = heap[child]
      if (below === undefined || isBefore(last, below)) break
      heap[at] = below
      at = child
    }
    heap[at] = last
    return top
  }

  #earlierChild(at: number): number {
    const left = 2 * at + 1
    const [first, second] = [this.#heap[left], this.#heap[left + 1]]
    return first !== undefined && second !== undefined && isBefore(second, first) ? left + 1 : left
  }
}

function isBefore(one: CallUnderWay, other: CallUnderWay): boolean {
  return one.endMs < other.endMs || (one.endMs === other.endMs && one.number < other.number)
}

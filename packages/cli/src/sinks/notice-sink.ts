import { setTimeout as sleep } from 'node:timers/promises'
import type { Notice } from '@manciple/core'

/** A notice on its way out. `id` is the same for the same notice, however often it is delivered: `<stream>:<number>`. */
export interface Delivery {
  readonly id: string
  readonly notice: Notice
}

/** Where notices go. */
export interface NoticeSink {
  /** For messages: never the path, query or secret of an address. */
  readonly name: string
  /** What tells its cursor from those of other sinks: never shown. */
  readonly target: string
  /** Resolves when the other side has taken the notice. @throws Error with a message for the operator, which names no secret. */
  deliver(delivery: Delivery, signal: AbortSignal): Promise<void>
}

/** Waits between tries: doubled from the first to the last, each shortened by up to a quarter so that many senders do not come at once. */
export interface BackOff {
  readonly firstMs: number
  readonly lastMs: number
}

export const BACK_OFF: BackOff = { firstMs: 1_000, lastMs: 60_000 }

/**
 * Delivers one notice, again and again until it is taken or `signal` aborts: one that is skipped would be lost.
 * @param onFailure told of each failure and of the wait before the next try.
 * @returns whether it was taken.
 */
export async function deliverSurely(
  sink: NoticeSink,
  delivery: Delivery,
  signal: AbortSignal,
  onFailure: (reason: string, waitMs: number) => void,
  { firstMs, lastMs }: BackOff = BACK_OFF,
): Promise<boolean> {
  for (let waitMs = firstMs; ; waitMs = Math.min(lastMs, waitMs * 2)) {
    try {
      await sink.deliver(delivery, signal)
      return true
    } catch (error) {
      if (signal.aborted) return false
      const restMs = Math.round(waitMs * (1 - Math.random() / 4))
      onFailure(error instanceof Error ? error.message : String(error), restMs)
      await sleep(restMs, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return false
    }
  }
}

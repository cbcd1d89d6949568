import type { Manciple } from '@manciple/core'
import type { NamedBackend } from './fetch-backends.ts'

/** A provider's own reading of a quota's window. */
export interface Reading {
  /** Share of the window's quota, 0 to 1. */
  readonly used: number
  /** The header that it was read from. */
  readonly source: string
}

const MINUTES = { '5h': 300, '7d': 10_080 } as const

/**
 * What the headers of an answer say of a plan's quota: Anthropic's `anthropic-ratelimit-unified-{5h,7d}-utilization` (a share)
 * and Codex's `x-codex-{primary,secondary}-used-percent`, by their `…-window-minutes`.
 *
 * `anthropic-ratelimit-{requests,tokens,…}-*` and `x-ratelimit-*` are not read: those are buckets that refill within a minute, not quotas.
 */
export function readingOf(headers: Headers, window: '5h' | '7d'): Reading | undefined {
  const unified = `anthropic-ratelimit-unified-${window}-utilization`
  const share = numberOf(headers.get(unified))
  if (share !== undefined) return { used: Math.min(1, share), source: unified }
  for (const place of ['primary', 'secondary']) {
    const source = `x-codex-${place}-used-percent`
    const percent = numberOf(headers.get(source))
    if (percent !== undefined && numberOf(headers.get(`x-codex-${place}-window-minutes`)) === MINUTES[window])
      return { used: Math.min(1, percent / 100), source }
  }
  return undefined
}

function numberOf(text: string | null): number | undefined {
  const value = text === null || text.trim() === '' ? Number.NaN : Number(text)
  return value >= 0 && Number.isFinite(value) ? value : undefined
}

/** Passes readings on, each once until it changes: a reading is a line of the ledger. */
export class Readings {
  readonly #manciple: Pick<Manciple, 'observe'>
  readonly #onError: (error: unknown) => void
  readonly #last = new Map<string, number>()

  constructor(manciple: Pick<Manciple, 'observe'>, onError: (error: unknown) => void) {
    this.#manciple = manciple
    this.#onError = onError
  }

  take({ name, quotaWindow = '7d' }: NamedBackend, headers: Headers): void {
    const reading = readingOf(headers, quotaWindow)
    if (reading === undefined || this.#last.get(name) === reading.used) return
    this.#last.set(name, reading.used)
    this.#manciple.observe(name, reading).catch(this.#onError)
  }
}

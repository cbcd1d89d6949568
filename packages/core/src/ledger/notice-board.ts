import type { Notice } from '../notices/notice.ts'

/** The latest notices that are kept in memory and in the checkpoint; the journal keeps all. */
const NOTICES_KEPT = 500
/** Episodes that are remembered. Beyond it the oldest is forgotten and could be raised again. */
const EPISODES_KEPT = 2_000

export interface NoticesSnapshot {
  readonly last: number
  readonly latest: readonly Notice[]
  readonly raised: readonly string[]
}

/** Which notices there were: their number, the latest of them, and every episode raised of late. */
export class NoticeBoard {
  #last = 0
  #latest: Notice[] = []
  #raised = new Set<string>()

  static restore(snapshot: NoticesSnapshot): NoticeBoard {
    const board = new NoticeBoard()
    board.#last = snapshot.last
    board.#latest = [...snapshot.latest]
    board.#raised = new Set(snapshot.raised)
    return board
  }

  /** Oldest first. */
  get latest(): readonly Notice[] {
    return this.#latest
  }

  get nextNumber(): number {
    return this.#last + 1
  }

  raised(kind: string, episode: string): boolean {
    return this.#raised.has(keyOf(kind, episode))
  }

  add(notice: Notice): void {
    if (notice.number <= this.#last) return
    this.#last = notice.number
    this.#latest.push(notice)
    if (this.#latest.length > NOTICES_KEPT) this.#latest.shift()
    this.#raised.add(keyOf(notice.kind, notice.episode))
    for (const oldest of this.#raised) {
      if (this.#raised.size <= EPISODES_KEPT) break
      this.#raised.delete(oldest)
    }
  }

  snapshot(): NoticesSnapshot {
    return { last: this.#last, latest: [...this.#latest], raised: [...this.#raised] }
  }
}

function keyOf(kind: string, episode: string): string {
  return `${kind} ${episode}`
}

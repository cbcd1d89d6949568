import type { NoticeItem } from '../../packages/evennia-adapter/src/messages.ts'
import type { SnapshotData } from '../../packages/evennia-adapter/src/snapshot.ts'

interface Answer {
  readonly name: string
  readonly body: Record<string, unknown>
}

/** What a game keeps, and what a copy of its database would. */
interface Kept {
  readonly stream: string
  /** By stream. */
  readonly cursors: Readonly<Record<string, number>>
  readonly rev: number
  readonly shown: readonly NoticeItem[]
}

/** The game's side of the protocol, as short as it can be: validate → drop what is known or refuse a gap → store → show → acknowledge. */
export class GameModel {
  kept: Kept = { stream: '', cursors: {}, rev: 0, shown: [] }
  figures: SnapshotData | undefined
  maxBatch = 50
  maxBytes = 65_536

  get cursor(): number {
    return this.kept.cursors[this.kept.stream] ?? 0
  }

  answer(name: string, body: Record<string, unknown>): Answer | undefined {
    const id = body['id']
    if (name === 'costs_hello') return this.#hello(body)
    if (body['stream'] !== this.kept.stream) return nak(id, 'stream', this.cursor)
    if (name === 'costs_snapshot') {
      if (Number(body['rev']) > this.kept.rev) {
        this.figures = body['data'] as SnapshotData
        this.kept = { ...this.kept, rev: Number(body['rev']) }
      }
      return this.#ack(id)
    }
    if (name !== 'costs_notices') return undefined
    const items = body['items'] as readonly NoticeItem[]
    if (items.length > this.maxBatch) return nak(id, 'too_big', this.cursor)
    const fresh = items.filter(({ seq }) => seq > this.cursor)
    for (const [index, { seq }] of fresh.entries()) if (seq !== this.cursor + 1 + index) return nak(id, 'gap', this.cursor)
    const known = new Set(this.kept.shown.map(({ nid }) => nid))
    const shown = [...this.kept.shown, ...fresh.filter(({ nid }) => !known.has(nid))]
    this.kept = { ...this.kept, cursors: { ...this.kept.cursors, [this.kept.stream]: fresh.at(-1)?.seq ?? this.cursor }, shown }
    return this.#ack(id)
  }

  resync(): Answer {
    return { name: 'costs_resync', body: { cursor: this.cursor, rev: this.kept.rev, why: 'reload' } }
  }

  #hello({ stream, oldest, next }: Record<string, unknown>): Answer {
    const name = String(stream)
    const cursor = this.kept.cursors[name] ?? Math.max(0, Number(oldest) - 1)
    if (cursor >= Number(next)) return nak(null, 'stream', this.cursor)
    this.kept = { ...this.kept, stream: name, cursors: { ...this.kept.cursors, [name]: cursor } }
    return {
      name: 'costs_welcome',
      body: { v: 1, stream: name, cursor, rev: this.kept.rev, game: 'model', max_batch: this.maxBatch, max_bytes: this.maxBytes },
    }
  }

  #ack(id: unknown): Answer {
    return { name: 'costs_ack', body: { id, cursor: this.cursor, rev: this.kept.rev } }
  }
}

function nak(id: unknown, code: string, cursor: number): Answer {
  return { name: 'costs_nak', body: { id, code, cursor, detail: '' } }
}

import mitt, { type Emitter } from 'mitt'
import type { Notice } from './notice.ts'

type Events = { notice: Notice }

export interface Bus {
  /** @returns a function that takes the listener away again. */
  on(event: 'notice', listener: (notice: Notice) => void): () => void
  emit(notice: Notice): void
  /** One listener alone, a tick later. */
  tell(listener: (notice: Notice) => void, notice: Notice): void
}

/** mitt's types describe its CommonJS shape under `nodenext`; the default export is the factory itself. */
const createEmitter = mitt as unknown as () => Emitter<Events>

/**
 * mitt stops at the first listener that throws, so each listener is wrapped: its error goes to `onError` and the others still hear.
 */
export function createBus(onError: (error: unknown) => void): Bus {
  const emitter = createEmitter()
  const guard =
    (listener: (notice: Notice) => void) =>
    (notice: Notice): void => {
      try {
        listener(notice)
      } catch (error) {
        onError(error)
      }
    }
  return {
    on(event, listener) {
      const guarded = guard(listener)
      emitter.on(event, guarded)
      return () => emitter.off(event, guarded)
    },
    emit: (notice) => emitter.emit('notice', notice),
    tell: (listener, notice) => queueMicrotask(() => guard(listener)(notice)),
  }
}

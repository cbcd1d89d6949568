import type { CallScope } from '../limit.ts'

/** A map by call scope. Nested maps look up strings that are already hashed, where one joined key would be built and hashed anew for each call. */
export class CallMap<T> {
  readonly #kinds = { cloud: new Map<string, Map<string, Map<string, T>>>(), local: new Map<string, Map<string, Map<string, T>>>() }

  get(call: CallScope): T | undefined {
    return this.#kinds[call.kind].get(call.backend)?.get(call.model)?.get(call.taskType)
  }

  set(call: CallScope, value: T): void {
    const models = inner(this.#kinds[call.kind], call.backend)
    inner(models, call.model).set(call.taskType, value)
  }
}

function inner<V>(outer: Map<string, Map<string, V>>, key: string): Map<string, V> {
  let found = outer.get(key)
  if (found === undefined) {
    found = new Map()
    outer.set(key, found)
  }
  return found
}

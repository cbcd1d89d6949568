import type { CallScope } from '../limit.ts'

/** A map by call scope. Nested maps look up strings that are already hashed, where one joined key would be built and hashed anew for each call. */
export class CallMap<T> {
  readonly #kinds = { cloud: new Map<string, Map<string, Map<string, T>>>(), local: new Map<string, Map<string, Map<string, T>>>() }

  /** What was asked for last: a call is looked up more than once before it is the turn of another. */
  #last: CallScope | undefined
  #found: T | undefined

  get(call: CallScope): T | undefined {
    if (this.#last !== undefined && isSame(call, this.#last)) return this.#found
    this.#last = call
    this.#found = this.#kinds[call.kind].get(call.backend)?.get(call.model)?.get(call.taskType)
    return this.#found
  }

  set(call: CallScope, value: T): void {
    this.#last = undefined
    const models = inner(this.#kinds[call.kind], call.backend)
    inner(models, call.model).set(call.taskType, value)
  }
}

function isSame(one: CallScope, other: CallScope): boolean {
  return one.backend === other.backend && one.model === other.model && one.taskType === other.taskType && one.kind === other.kind
}

function inner<V>(outer: Map<string, Map<string, V>>, key: string): Map<string, V> {
  let found = outer.get(key)
  if (found === undefined) {
    found = new Map()
    outer.set(key, found)
  }
  return found
}

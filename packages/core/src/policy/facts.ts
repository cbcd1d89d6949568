/** Facts that rules may read. `dispatch` facts depend on the request or on its estimate; `standing` facts only on totals, time and the backend looked at. */
export interface FactDefinition {
  readonly type: 'string' | 'number' | 'list'
  readonly phase: 'dispatch' | 'standing'
}

const BASE: Readonly<Record<string, FactDefinition>> = {
  backend: { type: 'string', phase: 'standing' },
  backend_kind: { type: 'string', phase: 'standing' },
  model: { type: 'string', phase: 'dispatch' },
  task_type: { type: 'string', phase: 'dispatch' },
  task_id: { type: 'string', phase: 'dispatch' },
  tags: { type: 'list', phase: 'dispatch' },
  input_tokens: { type: 'number', phase: 'dispatch' },
  max_output_tokens: { type: 'number', phase: 'dispatch' },
  estimate_usd: { type: 'number', phase: 'dispatch' },
  hour: { type: 'number', phase: 'standing' },
  weekday: { type: 'number', phase: 'standing' },
  day_of_month: { type: 'number', phase: 'standing' },
  'backend.used': { type: 'number', phase: 'dispatch' },
  'backend.remaining': { type: 'number', phase: 'dispatch' },
  'backend.utilization': { type: 'number', phase: 'standing' },
  'backend.pace': { type: 'number', phase: 'standing' },
  'backend.elapsed': { type: 'number', phase: 'standing' },
  'total.utilization': { type: 'number', phase: 'standing' },
  'total.pace': { type: 'number', phase: 'standing' },
  'total.elapsed': { type: 'number', phase: 'standing' },
}

/** Every fact of a policy with these limits, by name. */
export function factCatalogue(limitNames: Iterable<string>): ReadonlyMap<string, FactDefinition> {
  const catalogue = new Map(Object.entries(BASE))
  for (const name of limitNames) {
    catalogue.set(`${name}.used`, { type: 'number', phase: 'dispatch' })
    catalogue.set(`${name}.spent`, { type: 'number', phase: 'standing' })
    catalogue.set(`${name}.left_usd`, { type: 'number', phase: 'standing' })
  }
  return catalogue
}

export type FactType = 'string' | 'number' | 'list'
export type FactValue = string | number | readonly string[]

/** When a rule that reads the fact can be evaluated. `dispatch` facts depend on the request or on its estimate; `standing` facts only on totals, time and the backend looked at. */
export type Phase = 'dispatch' | 'standing'

type LimitMeasure = 'used' | 'spent' | 'left_usd'

/** A fact that rules may read. */
export interface FactDefinition {
  readonly type: FactType
  readonly phase: Phase
  /** What it can differ between: the candidates of one request, or only requests. */
  readonly per: 'candidate' | 'request'
  /** Of a fact about one limit: which one, in the policy's order, and what of it. */
  readonly limit?: { readonly index: number; readonly measure: LimitMeasure }
}

const BASE: Readonly<Record<string, FactDefinition>> = {
  backend: { type: 'string', phase: 'standing', per: 'candidate' },
  backend_kind: { type: 'string', phase: 'standing', per: 'candidate' },
  model: { type: 'string', phase: 'dispatch', per: 'candidate' },
  task_type: { type: 'string', phase: 'dispatch', per: 'request' },
  task_id: { type: 'string', phase: 'dispatch', per: 'request' },
  tags: { type: 'list', phase: 'dispatch', per: 'request' },
  input_tokens: { type: 'number', phase: 'dispatch', per: 'request' },
  max_output_tokens: { type: 'number', phase: 'dispatch', per: 'candidate' },
  estimate_usd: { type: 'number', phase: 'dispatch', per: 'candidate' },
  hour: { type: 'number', phase: 'standing', per: 'request' },
  weekday: { type: 'number', phase: 'standing', per: 'request' },
  day_of_month: { type: 'number', phase: 'standing', per: 'request' },
  'backend.used': { type: 'number', phase: 'dispatch', per: 'candidate' },
  'backend.remaining': { type: 'number', phase: 'dispatch', per: 'candidate' },
  'backend.utilization': { type: 'number', phase: 'standing', per: 'candidate' },
  'backend.pace': { type: 'number', phase: 'standing', per: 'candidate' },
  'backend.elapsed': { type: 'number', phase: 'standing', per: 'candidate' },
  'total.utilization': { type: 'number', phase: 'standing', per: 'request' },
  'total.pace': { type: 'number', phase: 'standing', per: 'request' },
  'total.elapsed': { type: 'number', phase: 'standing', per: 'request' },
}

/** Every fact of a policy with these limits, by name. */
export function factCatalogue(limitNames: Iterable<string>): ReadonlyMap<string, FactDefinition> {
  const catalogue = new Map(Object.entries(BASE))
  let index = 0
  for (const name of limitNames) {
    catalogue.set(`${name}.used`, { type: 'number', phase: 'dispatch', per: 'candidate', limit: { index, measure: 'used' } })
    catalogue.set(`${name}.spent`, { type: 'number', phase: 'standing', per: 'request', limit: { index, measure: 'spent' } })
    catalogue.set(`${name}.left_usd`, { type: 'number', phase: 'standing', per: 'request', limit: { index, measure: 'left_usd' } })
    index += 1
  }
  return catalogue
}

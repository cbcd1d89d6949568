import { nanoToUsd, type NanoUsd } from '../money.ts'
import { isShortened, suitability, type Assessment } from '../policy/decide.ts'
import type { Policy } from '../policy/policy.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import type { ReplayRule } from './report.ts'

/** How a call fared against its first choice. */
type Fate = 'first' | 'refused' | 'rerouted' | 'local'

interface RuleCounts {
  refused: number
  rerouted: number
  local: number
  spentNano: number
}

/** What a named backend and a task type prefer. */
interface Wish {
  /** Suitability by the name of the backend. */
  readonly values: ReadonlyMap<string, number>
  /** The cloud backend that a call would go to if every one had room. */
  readonly first: string | undefined
}

const NO_RULES: readonly string[] = []
/** Task types are free text: what is remembered for each must not grow for ever. Backends are those of the policy. */
const MAX_WISHES = 1_000

/** Counts what became of calls. */
export class Tally {
  calls = 0
  refused = 0
  rerouted = 0
  shortened = 0
  local = 0
  dry = 0
  /** Sum of the preferences of the backends that served. */
  value = 0
  spentNano: NanoUsd = 0
  readonly spentBy = new Map<string, NanoUsd>()
  readonly servedBy = new Map<string, number>()
  readonly notInPolicy = new Map<string, number>()
  readonly #policy: Policy
  readonly #rules: RuleSet
  readonly #byRule = new Map<string, RuleCounts>()
  /** By the backend that is named, and by task type. */
  readonly #wishes = new Map<string | undefined, Map<string | undefined, Wish>>()

  constructor(policy: Policy, rules: RuleSet) {
    this.#policy = policy
    this.#rules = rules
    for (const { name } of policy.backends) {
      this.spentBy.set(name, 0)
      this.servedBy.set(name, 0)
    }
  }

  /**
   * Counts a decision.
   * @param named the backend that the call named; `down` the backends that failed it.
   * @returns names of what stood against its first choice; none where it got it.
   */
  decided(
    named: string | undefined,
    taskType: string | undefined,
    assessments: readonly Assessment[],
    taken: Assessment | undefined,
    down: readonly string[],
  ): readonly string[] {
    const { values, first } = this.#wishOf(named, taskType)
    this.calls += 1
    if (first !== undefined && isDry(first, assessments)) this.dry += 1
    if (taken === undefined) this.refused += 1
    else {
      this.value += values.get(taken.backend.name) ?? 0
      this.servedBy.set(taken.backend.name, (this.servedBy.get(taken.backend.name) ?? 0) + 1)
      if (taken.backend.kind === 'local') this.local += 1
    }
    const fate = fateOf(first, taken)
    if (fate === 'first' || first === undefined) return NO_RULES
    const rules = down.includes(first) ? ['outage'] : this.#against(first, assessments, taken)
    for (const rule of rules) this.#countsOf(rule)[fate] += 1
    return rules
  }

  /** @param rules what stood against its first choice. */
  settled(backend: string, costNano: NanoUsd, rules: readonly string[]): void {
    this.spentNano += costNano
    this.spentBy.set(backend, (this.spentBy.get(backend) ?? 0) + costNano)
    for (const rule of rules) this.#countsOf(rule).spentNano += costNano
  }

  /** The commonest first. */
  get rules(): readonly ReplayRule[] {
    const sum = ({ refused, rerouted, local }: ReplayRule): number => refused + rerouted + local
    return [...this.#byRule]
      .map(([rule, { refused, rerouted, local, spentNano }]) => ({ rule, refused, rerouted, local, spent_usd: nanoToUsd(spentNano) }))
      .sort((left, right) => sum(right) - sum(left) || (left.rule < right.rule ? -1 : 1))
  }

  #wishOf(named: string | undefined, taskType: string | undefined): Wish {
    const known = this.#wishes.get(named)?.get(taskType)
    if (known !== undefined) return known
    const row = taskType === undefined ? undefined : this.#policy.preferences.get(taskType)
    const values = new Map(this.#policy.backends.map((backend) => [backend.name, suitability(backend, named, row)]))
    const cloud = this.#policy.backends.filter(({ kind }) => kind === 'cloud').map(({ name }) => name)
    const best = Math.max(...cloud.map((name) => values.get(name) ?? 0))
    const asksForLocal = named !== undefined && !cloud.includes(named)
    const wish = { values, first: asksForLocal ? undefined : (cloud.find((name) => name === named) ?? cloud.find((name) => values.get(name) === best)) }
    const ofNamed = this.#wishes.get(named) ?? new Map<string | undefined, Wish>()
    if (ofNamed.size >= MAX_WISHES) ofNamed.clear()
    this.#wishes.set(named, ofNamed.set(taskType, wish))
    return wish
  }

  /** What kept the first choice from being taken. */
  #against(first: string, assessments: readonly Assessment[], taken: Assessment | undefined): readonly string[] {
    const left = assessments.find(({ backend }) => backend.name === first)
    if (left === undefined) return ['cloud calls stopped']
    if (left.out === 'price-unknown') return ['price unknown']
    if (left.out === 'no-room') return left.limits.map((index) => this.#policy.limits[index]?.name ?? '?')
    if (left.out === 'forbidden') return this.#names(left, 'forbid')
    if (isShortened(left)) return ['room for a part']
    const named = [...this.#names(taken, 'prefer'), ...this.#names(left, 'avoid')]
    if (named.length > 0) return named
    return left.toll !== 0 || (taken?.toll ?? 0) !== 0 ? ['pacing'] : ['score']
  }

  /** Rules of the request and standing ones. */
  #names(assessment: Assessment | undefined, type: 'forbid' | 'prefer' | 'avoid'): readonly string[] {
    if (assessment === undefined) return NO_RULES
    const names: string[] = []
    for (const index of assessment.rules) {
      const rule = this.#rules.rules[index]
      if (rule?.event.type === type) names.push(rule.name)
    }
    for (const { name, event } of this.#rules.moving(assessment.backend)) if (event.type === type) names.push(name)
    return names
  }

  #countsOf(rule: string): RuleCounts {
    let counts = this.#byRule.get(rule)
    if (counts === undefined) this.#byRule.set(rule, (counts = { refused: 0, rerouted: 0, local: 0, spentNano: 0 }))
    return counts
  }
}

function fateOf(first: string | undefined, taken: Assessment | undefined): Fate {
  if (taken === undefined) return 'refused'
  if (taken.backend.name === first) return 'first'
  return taken.backend.kind === 'local' ? 'local' : 'rerouted'
}

/** Whether none of its models had room for the whole call. */
function isDry(first: string, assessments: readonly Assessment[]): boolean {
  let models = 0
  for (const assessment of assessments) {
    if (assessment.backend.name !== first) continue
    if (assessment.out !== 'no-room' && !isShortened(assessment)) return false
    models += 1
  }
  return models > 0
}

import { MancipleError } from '../errors.ts'
import { covers, type MeterState } from '../limit.ts'
import { compileShorthand, DEFAULT_SHIFT, phaseOf } from './compile.ts'
import { runFresh, truthTable } from './engine.ts'
import { FactLayout } from './fact-layout.ts'
import { FactSheet, type CandidateFacts, type RequestFacts } from './fact-sheet.ts'
import { factCatalogue, type FactDefinition, type FactValue, type Phase } from './facts.ts'
import { factsRead, leafProblem, leavesOf, lower, MAX_LEAVES } from './leaves.ts'
import { Matcher, type Situation, type TabulatedRule } from './matcher.ts'
import type { Backend, Policy, Rule } from './policy.ts'

export type { CandidateFacts, RequestFacts } from './fact-sheet.ts'

/** Reused between calls: read it at once, never keep it. */
export interface RuleOutcome {
  readonly forbidden: boolean
  /** Sum of `prefer` minus `avoid`, standing rules included. */
  readonly shift: number
  /** Indexes into {@link RuleSet.rules} of the dispatch rules that matched. A `notify` among them is the caller's to raise. */
  readonly matched: readonly number[]
}

export interface StandingMatch {
  readonly rule: Rule
  /** Undefined where the rule reads no fact about a backend. */
  readonly backend: Backend | undefined
}

/** What json-rules-engine says of one rule, and on what grounds. */
export interface RuleExplanation {
  readonly rule: Rule
  readonly phase: Phase
  readonly matched: boolean
  /** The facts that it reads. */
  readonly facts: Readonly<Record<string, FactValue>>
}

/** The rules of one policy, ready to judge. It holds one request at a time: `begin`, then `judge` each candidate, all in one synchronous step. */
export interface RuleSet {
  /** Those that the shorthand stands for, then the operator's own. */
  readonly rules: readonly Rule[]
  /**
   * Once per decision.
   * @param meters of the policy's limits, in their order; read until the next `begin`.
   * @throws MancipleError `REQUEST_INVALID`, `LEDGER_DAMAGED` on a number that is not finite. Nothing can be judged then: no cloud call may go.
   */
  begin(request: RequestFacts, meters: readonly MeterState[]): void
  /** Once per candidate. @throws MancipleError `REQUEST_INVALID`, `LEDGER_DAMAGED`, `BACKEND_UNKNOWN`: no cloud call may go. */
  judge(candidate: CandidateFacts): RuleOutcome
  /** Evaluates the standing rules. `judge` counts their `prefer` and `avoid` from then on. @throws MancipleError `REQUEST_INVALID`, `LEDGER_DAMAGED`. */
  standing(nowMs: number, meters: readonly MeterState[]): readonly StandingMatch[]
  /** Whether some standing rule reads how much of a window has passed, which changes with every second. */
  readonly standingByTime: boolean
  /** The standing rules that move a backend's scores, as of the last look. */
  moving(backend: Backend): readonly Rule[]
  /** Asks json-rules-engine itself about a candidate of the request that was begun last. @throws MancipleError `RULES_DISAGREE` where its answer is not ours. */
  explain(candidate: CandidateFacts): Promise<readonly RuleExplanation[]>
  /** Every fact by name, as rules see it for a candidate of the request that was begun last. */
  facts(candidate: CandidateFacts): Readonly<Record<string, FactValue>>
}

/**
 * Compiles a policy's rules.
 * @throws MancipleError `CONFIG_INVALID` on a rule that the policy file's own checks should have refused.
 */
export async function createRuleSet(policy: Policy): Promise<RuleSet> {
  const rules = [...compileShorthand(policy), ...policy.rules]
  const catalogue = factCatalogue(policy.limits.map((limit) => limit.name))
  const layout = new FactLayout(catalogue)
  const tabulated: TabulatedRule[] = []
  for (const [index, rule] of rules.entries()) {
    const leaves = leavesOf(rule.conditions)
    check(rule, catalogue)
    const table = await truthTable(rule.conditions, leaves.length)
    tabulated.push({ index, table, leaves: leaves.map((leaf) => lower(leaf, layout)) })
  }
  // What limits tell apart, situations tell apart as well.
  for (const { scope } of policy.limits) [scope.model, scope.taskType].forEach((text) => text !== undefined && layout.mention(text))
  return new CompiledRuleSet(policy, rules, catalogue, layout, tabulated)
}

function check(rule: Rule, catalogue: ReadonlyMap<string, FactDefinition>): void {
  const leaves = leavesOf(rule.conditions)
  const problems = leaves.flatMap((leaf) => leafProblem(leaf, catalogue) ?? [])
  if (leaves.length > MAX_LEAVES) problems.push(`${leaves.length} comparisons; at most ${MAX_LEAVES}`)
  if (problems.length > 0) throw new MancipleError('CONFIG_INVALID', `rule ${JSON.stringify(rule.name)}: ${problems.join('; ')}`, { rule: rule.name })
}

/** Facts that change as time passes. Hours and days do so on quarter-hours alone, like windows. */
const PASSING: ReadonlySet<string> = new Set(['backend.pace', 'backend.elapsed', 'total.pace', 'total.elapsed'])
const NONE: readonly number[] = []
const NO_TAGS: readonly string[] = []

/** What a backend, a model and a task type decide by themselves. Made when it first turns up. */
interface CallSituation extends Situation {
  /** By the policy's limits, in their order. */
  readonly covered: readonly boolean[]
}

/** A policy that tells more situations apart than this makes them anew now and then, rather than fill the memory. */
const MAX_SITUATIONS = 500

function keep<T>(situations: Map<number, T>, key: number, made: T): T {
  if (situations.size === MAX_SITUATIONS) situations.clear()
  situations.set(key, made)
  return made
}

/** Rules that know nothing of a request. */
class StandingRules {
  readonly #matcher: Matcher
  readonly #anywhere: Situation
  readonly #places: readonly Situation[]
  /** By place: the answer of last time. */
  readonly #known: (readonly number[])[]
  readonly #matched: number[] = []
  readonly isEmpty: boolean

  /** @param places what is known of each, by slot. */
  constructor(rules: readonly TabulatedRule[], layout: FactLayout, places: readonly ReadonlyMap<number, number>[]) {
    this.#matcher = new Matcher(rules, layout)
    this.#anywhere = this.#matcher.situation(new Map(), 'request')
    this.#places = places.map((known) => this.#matcher.situation(known, 'candidate'))
    this.#known = places.map(() => NONE)
    this.isEmpty = rules.length === 0
  }

  /** Once per look, when the sheet has been opened. */
  begin(sheet: FactSheet): void {
    this.#matcher.begin(sheet, this.#anywhere)
  }

  /** Indexes of those that match what the sheet has been turned to: the same list as last time where they are the same. */
  match(sheet: FactSheet, place: number): readonly number[] {
    const matched = this.#matched
    while (matched.length > 0) matched.pop()
    this.#matcher.match(sheet, this.#places[place]!, matched)
    if (!isSame(matched, this.#known[place]!)) this.#known[place] = matched.slice()
    return this.#known[place]!
  }
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  if (one.length !== other.length) return false
  for (let i = 0; i < one.length; i += 1) if (one[i] !== other[i]) return false
  return true
}

class CompiledRuleSet implements RuleSet {
  readonly rules: readonly Rule[]
  readonly standingByTime: boolean
  readonly #policy: Policy
  readonly #layout: FactLayout
  readonly #phases: readonly Phase[]
  readonly #forbids: readonly boolean[]
  readonly #shifts: Float64Array
  readonly #indexes: ReadonlyMap<string, number>

  readonly #sheet: FactSheet
  readonly #dispatch: Matcher
  readonly #requestSituations = new Map<number, Situation>()
  readonly #callSituations = new Map<number, CallSituation>()
  readonly #outcome = { forbidden: false, shift: 0, matched: new Array<number>() }
  #begun = false
  #taskType = ''
  #taskTypeNumber = -1

  /** Apart from the request's: standing rules may run between a decision and its explanation. */
  readonly #standingSheet: FactSheet
  readonly #standingAnywhere: StandingRules
  readonly #standingAtBackend: StandingRules
  readonly #standingShifts: Float64Array
  /** The standing rules that matched when they were looked at last, and by backend those that read facts about one. */
  #anywhere = NONE
  readonly #atBackend: (readonly number[])[]
  /** Whether others match than those that are in force. */
  #standingMoved = false
  #matches: readonly StandingMatch[] = []
  /** By backend. */
  readonly #moving: (readonly Rule[])[]

  constructor(policy: Policy, rules: readonly Rule[], catalogue: ReadonlyMap<string, FactDefinition>, layout: FactLayout, tabulated: readonly TabulatedRule[]) {
    this.rules = rules
    this.#policy = policy
    this.#layout = layout
    this.#phases = rules.map((rule) => phaseOf(rule, catalogue))
    this.#forbids = rules.map((rule) => rule.event.type === 'forbid')
    this.#shifts = Float64Array.from(rules, shiftOf)
    this.#indexes = new Map(policy.backends.map(({ name }, index) => [name, index]))
    this.#standingShifts = new Float64Array(policy.backends.length)
    this.#atBackend = policy.backends.map(() => NONE)
    this.#moving = policy.backends.map(() => [])

    const ofPhase = (phase: Phase): readonly TabulatedRule[] => tabulated.filter(({ index }) => this.#phases[index] === phase)
    const readsBackend = ({ leaves }: TabulatedRule): boolean => leaves.some(({ slot }) => layout.slots[slot]?.definition.per === 'candidate')
    this.#sheet = new FactSheet(policy, layout)
    this.#dispatch = new Matcher(ofPhase('dispatch'), layout)
    this.#standingSheet = new FactSheet(policy, layout)
    const standing = ofPhase('standing')
    this.standingByTime = standing.some(({ index }) => [...factsRead(rules[index]!.conditions)].some((fact) => PASSING.has(fact)))
    this.#standingAnywhere = new StandingRules(
      standing.filter((rule) => !readsBackend(rule)),
      layout,
      [new Map()],
    )
    this.#standingAtBackend = new StandingRules(
      standing.filter(readsBackend),
      layout,
      policy.backends.map(({ name, kind }) => this.#numbers({ backend: name, backend_kind: kind })),
    )
  }

  begin(request: RequestFacts, meters: readonly MeterState[]): void {
    this.#begun = false
    this.#sheet.open(request, meters)
    this.#taskType = request.taskType ?? ''
    this.#taskTypeNumber = this.#layout.numberOf(this.#taskType)
    const known = this.#requestSituations.get(this.#taskTypeNumber)
    const situation = known ?? keep(this.#requestSituations, this.#taskTypeNumber, this.#requestSituation())
    this.#dispatch.begin(this.#sheet, situation)
    this.#begun = true
  }

  judge(candidate: CandidateFacts): RuleOutcome {
    const index = this.#indexOf(candidate.backend)
    const situation = this.#turnTo(index, candidate)
    const outcome = this.#outcome
    const { matched } = outcome
    // Setting the length to 0 would give the memory back, to be allocated anew with the next push.
    while (matched.length > 0) matched.pop()
    this.#dispatch.match(this.#sheet, situation, matched)

    let forbidden = false
    let shift = this.#standingShifts[index]!
    for (let i = 0; i < matched.length; i += 1) {
      const rule = matched[i]!
      if (this.#forbids[rule]) forbidden = true
      shift += this.#shifts[rule]!
    }
    outcome.forbidden = forbidden
    outcome.shift = shift
    return outcome
  }

  standing(nowMs: number, meters: readonly MeterState[]): readonly StandingMatch[] {
    if (this.#standingAnywhere.isEmpty && this.#standingAtBackend.isEmpty) return this.#matches
    const sheet = this.#standingSheet
    sheet.open({ nowMs, taskType: null, taskId: null, tags: NO_TAGS, inputTokens: 0 }, meters)
    this.#standingAnywhere.begin(sheet)
    const anywhere = this.#standingAnywhere.match(sheet, 0)
    if (anywhere !== this.#anywhere) this.#standingMoved = true
    this.#anywhere = anywhere
    if (!this.#standingAtBackend.isEmpty) {
      this.#standingAtBackend.begin(sheet)
      for (let index = 0; index < this.#atBackend.length; index += 1) {
        sheet.turnToBackend(index)
        const here = this.#standingAtBackend.match(sheet, index)
        if (here !== this.#atBackend[index]) this.#standingMoved = true
        this.#atBackend[index] = here
      }
    }
    if (this.#standingMoved) this.#matches = this.#takeStanding()
    this.#standingMoved = false
    return this.#matches
  }

  /** Puts what matched in force. */
  #takeStanding(): readonly StandingMatch[] {
    const anywhere = this.#anywhere
    const shiftAnywhere = this.#shiftOf(anywhere)
    const matches: StandingMatch[] = anywhere.map((rule) => ({ rule: this.rules[rule]!, backend: undefined }))
    for (const [index, backend] of this.#policy.backends.entries()) {
      const here = this.#atBackend[index]!
      this.#standingShifts[index] = shiftAnywhere + this.#shiftOf(here)
      this.#moving[index] = [...anywhere, ...here].flatMap((rule) => (this.#shifts[rule] === 0 ? [] : [this.rules[rule]!]))
      // Quotas are of paid accounts: nobody needs to hear how little a local backend is used.
      if (backend.kind === 'cloud') for (const rule of here) matches.push({ rule: this.rules[rule]!, backend })
    }
    return matches
  }

  moving(backend: Backend): readonly Rule[] {
    return this.#moving[this.#indexOf(backend)]!
  }

  facts(candidate: CandidateFacts): Readonly<Record<string, FactValue>> {
    this.#turnTo(this.#indexOf(candidate.backend), candidate)
    return this.#sheet.facts()
  }

  async explain(candidate: CandidateFacts): Promise<readonly RuleExplanation[]> {
    const dispatch = this.judge(candidate).matched
    this.#standingAnywhere.begin(this.#sheet)
    this.#standingAtBackend.begin(this.#sheet)
    const standing = [...this.#standingAnywhere.match(this.#sheet, 0), ...this.#standingAtBackend.match(this.#sheet, this.#indexOf(candidate.backend))]
    const ours = new Set([...dispatch, ...standing])
    const facts = this.#sheet.facts()
    const theirs = await runFresh(this.rules, facts)
    return this.rules.map((rule, index) => {
      const read = Object.fromEntries([...factsRead(rule.conditions)].map((name) => [name, facts[name]!]))
      const matched = theirs[index] === true
      if (matched === ours.has(index)) return { rule, phase: this.#phases[index]!, matched, facts: read }
      throw new MancipleError('RULES_DISAGREE', `Rule ${JSON.stringify(rule.name)} on ${JSON.stringify(read)}: json-rules-engine says ${matched}.`, {
        rule: rule.name,
      })
    })
  }

  #shiftOf(rules: readonly number[]): number {
    let shift = 0
    for (const rule of rules) shift += this.#shifts[rule]!
    return shift
  }

  #indexOf({ name }: Backend): number {
    const index = this.#indexes.get(name)
    if (index === undefined) throw new MancipleError('BACKEND_UNKNOWN', `backend ${JSON.stringify(name)}`, { name })
    return index
  }

  #turnTo(index: number, candidate: CandidateFacts): CallSituation {
    if (!this.#begun) throw new MancipleError('REQUEST_INVALID', 'no request is being judged')
    const radix = this.#layout.textCount + 1
    const key = (index * radix + this.#layout.numberOf(candidate.model) + 1) * radix + this.#taskTypeNumber + 1
    const known = this.#callSituations.get(key)
    const situation = known ?? keep(this.#callSituations, key, this.#callSituation(this.#policy.backends[index]!, candidate.model))
    this.#sheet.turnTo(index, candidate, situation.covered)
    return situation
  }

  #requestSituation(): Situation {
    return this.#dispatch.situation(this.#numbers({ task_type: this.#taskType }), 'request')
  }

  #callSituation({ name, kind }: Backend, model: string): CallSituation {
    const call = { backend: name, kind, model, taskType: this.#taskType }
    const known = this.#numbers({ backend: name, backend_kind: kind, model, task_type: this.#taskType })
    return { ...this.#dispatch.situation(known, 'candidate'), covered: this.#policy.limits.map((limit) => covers(limit.scope, call)) }
  }

  #numbers(texts: Readonly<Record<string, string>>): ReadonlyMap<number, number> {
    return new Map(Object.entries(texts).map(([fact, text]) => [this.#layout.factSlot(fact), this.#layout.numberOf(text)]))
  }
}

/** What a rule moves a score by where it matches. */
export function shiftOf({ event }: Rule): number {
  const by = event.params.by ?? DEFAULT_SHIFT
  return event.type === 'prefer' ? by : event.type === 'avoid' ? -by : 0
}

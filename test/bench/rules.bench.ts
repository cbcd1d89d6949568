/**
 * How long the rules of one decision take: `begin` and five `judge`, over requests that differ each time.
 *
 *     node --conditions=manciple-source test/bench/rules.bench.ts
 */
import { Bench } from 'tinybench'
import { createRuleSet } from '../../packages/core/src/policy/rule-set.ts'
import { generateCandidates, generateMeters, generatePolicy, generateRequest, NOW_MS, randomFrom } from './rule-generator.ts'

/** One decision is near the clock's own resolution: a sample times this many different ones, and divides. */
const CASES = 32

const bench = new Bench({ time: 1000, warmupTime: 500 })
const notes = new Map<string, string>()
let used = 0

for (const ruleCount of [5, 20, 100, 1000]) {
  const random = randomFrom(ruleCount)
  const rules = await createRuleSet(generatePolicy(ruleCount, 42))
  const meters = generateMeters(random)
  const cases = Array.from({ length: CASES }, () => ({ request: generateRequest(random), candidates: generateCandidates(random) }))
  const decideAll = (): void => {
    for (const { request, candidates } of cases) {
      rules.begin(request, meters)
      for (const candidate of candidates) used += rules.judge(candidate).shift
    }
  }
  rules.standing(NOW_MS, meters)
  const name = `${ruleCount} rules`
  notes.set(name, `${rules.rules.length} with the shorthand`)
  bench.add(name, decideAll)
}

await bench.run()
console.table(
  bench.tasks.map((task) => {
    const { result } = task
    if (!('latency' in result)) throw new Error(`${task.name} did not complete`)
    const micros = (ms: number): string => `${((ms * 1000) / CASES).toFixed(2)} µs`
    return { rules: task.name, all: notes.get(task.name), p50: micros(result.latency.p50), p99: micros(result.latency.p99), mean: micros(result.latency.mean) }
  }),
)
if (Number.isNaN(used)) throw new Error('a shift is not a number')

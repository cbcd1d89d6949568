import type { Quantities } from '../../packages/core/src/limit.ts'
import type { LimitStanding } from '../../packages/core/src/policy/horizon.ts'
import { Pacing, type PacingState } from '../../packages/core/src/policy/pacing.ts'
import { START_MS, type Month, type World } from './month.ts'
import type { Router, Standing } from './simulate.ts'

interface MutableQuantities extends Quantities {
  costNano: number
  tokens: number
}

/** The product's own pacing, driven by the simulation as `decide` drives it. */
export class PacedRouter implements Router {
  readonly name = 'paced'
  readonly pacing: Pacing
  /** How long each step of working prices out held the loop. */
  readonly stepsMs: number[] = []
  readonly #world: World
  readonly #values: Float64Array
  readonly #likely: readonly MutableQuantities[]
  readonly #downSince: Float64Array

  constructor(world: World, state?: PacingState) {
    this.#world = world
    const { floors } = world.policy
    const limits = world.backends.map((name, b) => ({
      name: `${name}.quota`,
      unit: 'usd' as const,
      backends: [b],
      quota: true,
      floor: floors.backend,
      paid: world.quotas[b]!.quantity,
    }))
    this.pacing = new Pacing({ backends: world.backends, limits }, state)
    this.#values = new Float64Array(world.backends.length)
    this.#likely = world.backends.map(() => ({ costNano: 0, tokens: 0, requests: 1 }))
    this.#downSince = new Float64Array(world.backends.length)
  }

  remember(month: Month, i: number): void {
    this.#look(month, i)
    this.pacing.observe(month.atMs[i]!, this.#values, this.#likely, this.#world.values[month.type[i]!]!.at(-1)!)
    const type = this.#world.types[month.type[i]!]!
    this.pacing.learn('', type, 0, 0, month.output[i]! / month.maxOutput[i]!, month.input[i]!)
  }

  choose(month: Month, i: number, feasible: Uint8Array, standing: Standing): number {
    const world = this.#world
    const atMs = month.atMs[i]!
    this.#look(month, i)
    const local = world.values[month.type[i]!]!.at(-1)!
    this.pacing.observe(atMs, this.#values, this.#likely, local)
    this.#solveWhenDue(atMs, standing)
    let best = world.backends.length
    let bestScore = local
    for (let b = 0; b < world.backends.length; b += 1) {
      if (feasible[b] === 0) continue
      const score = this.#values[b]! - this.pacing.toll(b, this.#likely[b]!)
      if (score > bestScore) [best, bestScore] = [b, score]
    }
    return best
  }

  settled(month: Month, i: number, backend: number, actual: number): void {
    const type = this.#world.types[month.type[i]!]!
    const share = this.pacing.outputShare(type, month.input[i]!)
    const likely = month.input[i]! * this.#world.inputPrice[backend]! + share * month.maxOutput[i]! * this.#world.outputPrice[backend]!
    this.pacing.learn(this.#world.backends[backend]!, type, likely, actual, month.output[i]! / month.maxOutput[i]!, month.input[i]!)
  }

  #look(month: Month, i: number): void {
    const world = this.#world
    const type = month.type[i]!
    const output = this.pacing.outputShare(world.types[type]!, month.input[i]!) * month.maxOutput[i]!
    for (let b = 0; b < world.backends.length; b += 1) {
      this.#values[b] = world.values[type]![b]!
      const likely = this.#likely[b]!
      likely.costNano = month.input[i]! * world.inputPrice[b]! + output * world.outputPrice[b]!
      likely.tokens = month.input[i]! + output
    }
  }

  #solveWhenDue(atMs: number, standing: Standing): void {
    let changed = false
    for (let b = 0; b < this.#downSince.length; b += 1) {
      const down = standing.down[b] === 1
      if (down !== this.#downSince[b]! > 0) {
        this.#downSince[b] = down ? atMs : 0
        changed = true
      }
    }
    if (!changed && !this.pacing.due(atMs)) return
    const standings = this.#world.quotas.map(({ quantity, windows }, b): LimitStanding => ({
      quantity,
      used: standing.settled[b]! + standing.held[b]!,
      bounds: windows[standing.window[b]!]!,
    }))
    // How long an outage will last is best guessed by how long it has.
    const backMs = Array.from(this.#downSince, (sinceMs) => (sinceMs === 0 ? 0 : atMs + Math.max(3_600_000, atMs - sinceMs)))
    const steps = this.pacing.solve(standings, Math.max(atMs, START_MS), backMs)
    for (let done = false; !done;) {
      const beforeMs = performance.now()
      done = steps.next().done === true
      this.stepsMs.push(performance.now() - beforeMs)
    }
  }
}

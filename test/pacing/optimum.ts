import loadHighs from 'highs'
import type { Month, World } from './month.ts'
import { costOf, type Outage } from './simulate.ts'

/** Size bands, and bands of output ÷ input within each, that requests of a type are gathered in: within a band, backends cost much the same. */
const BANDS = 8

/** Requests that are alike and arrive while the same windows are open. */
interface Cell {
  readonly type: number
  readonly windows: readonly number[]
  readonly barred: number
  count: number
  /** By backend: nano-USD if it took them all. */
  readonly cost: Float64Array
}

export interface Optimum {
  /** Most value that any routing could serve. */
  readonly value: number
  /** Most nano-USD that any routing could use. */
  readonly used: number
  /** Most nano-USD with every backend at its floor or above, as far as that can be. */
  readonly usedWithFloors: number
}

// The package's types are those of its CommonJS build, whose default is one level down.
const highs = await (loadHighs as unknown as typeof loadHighs.default)()

/** The best in hindsight: linear programs over cells, in which requests may be divided. Holds and single requests only make it harder. */
export function findOptimum(world: World, month: Month, floor: number, outage?: Outage): Optimum {
  const cells = gather(world, month, outage)
  const value = solve(world, cells, (cell, b) => cell.count * world.values[cell.type]![b]!, 0)
  const use = (cell: Cell, b: number): number => (cell.cost[b] ?? 0) / 1e9
  const used = solve(world, cells, use, 0)
  const usedWithFloors = solve(world, cells, use, floor)
  if (value === undefined || used === undefined) throw new Error('the linear program has no solution')
  return { value, used: used * 1e9, usedWithFloors: (usedWithFloors ?? used) * 1e9 }
}

function gather(world: World, month: Month, outage: Outage | undefined): readonly Cell[] {
  const order = Array.from({ length: month.size }, (_, i) => i)
  const reference = 1
  const band = new Uint16Array(month.size)
  for (let type = 0; type < world.types.length; type += 1) {
    const own = order.filter((i) => month.type[i] === type).sort((a, b) => costOf(world, month, a, reference) - costOf(world, month, b, reference))
    for (let size = 0; size < BANDS; size += 1) {
      const alike = own.slice(Math.floor((own.length * size) / BANDS), Math.floor((own.length * (size + 1)) / BANDS))
      alike.sort((a, b) => month.output[a]! / month.input[a]! - month.output[b]! / month.input[b]!)
      alike.forEach((i, at) => (band[i] = size * BANDS + Math.floor((at * BANDS) / alike.length)))
    }
  }
  const cells = new Map<string, Cell>()
  const open = world.quotas.map(() => 0)
  for (let i = 0; i < month.size; i += 1) {
    const atMs = month.atMs[i]!
    world.quotas.forEach(({ windows }, b) => {
      while (windows[open[b]!]!.endMs <= atMs) open[b]! += 1
    })
    const barred = outage !== undefined && atMs >= outage.fromMs && atMs < outage.toMs ? outage.backend : -1
    const key = `${month.type[i]} ${band[i]} ${open.join(' ')} ${barred}`
    let cell = cells.get(key)
    if (cell === undefined)
      cells.set(key, (cell = { type: month.type[i]!, windows: [...open], barred, count: 0, cost: new Float64Array(world.backends.length) }))
    cell.count += 1
    for (let b = 0; b < world.backends.length; b += 1) cell.cost[b]! += costOf(world, month, i, b)
  }
  return [...cells.values()]
}

/** The largest objective; undefined where the floors cannot be held. */
function solve(world: World, cells: readonly Cell[], gain: (cell: Cell, backend: number) => number, floor: number): number | undefined {
  const count = world.backends.length
  const takers = cells.map((cell) => Array.from({ length: count + 1 }, (_, b) => b).filter((b) => b !== cell.barred))
  const objective = cells.flatMap((cell, k) => takers[k]!.map((b) => `+ ${gain(cell, b).toFixed(9)} x${k}_${b}`))
  const rows = cells.map((_, k) => ` d${k}: ${takers[k]!.map((b) => `x${k}_${b}`).join(' + ')} = 1`)
  world.quotas.forEach(({ quantity, windows }, b) => {
    const draws = windows.map((_, w) =>
      cells.flatMap((cell, k) => (cell.windows[b] === w && cell.barred !== b ? [`+ ${(cell.cost[b]! / 1e9).toFixed(9)} x${k}_${b}`] : [])),
    )
    draws.forEach((terms, w) => {
      if (terms.length > 0) rows.push(` q${b}_${w}: ${terms.join('\n ')} <= ${quantity / 1e9}`)
    })
    if (floor > 0) rows.push(` f${b}: ${draws.flat().join('\n ')} >= ${(floor * windows.length * quantity) / 1e9}`)
  })
  const found = highs.solve(`Maximize\n o: ${objective.join('\n ')}\nSubject To\n${rows.join('\n')}\nEnd\n`)
  return found.Status === 'Optimal' ? found.ObjectiveValue : undefined
}

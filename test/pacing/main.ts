import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { countAlerts, countTold, noAlerts, type AlertCount } from './alerts.ts'
import { CELLS, figuresOf, GOALS, meanOf, type Cell, type Figures } from './goals.ts'
import { DAY_MS, findTraces, readMonth, readWorld, START_MS, type Month, type World } from './month.ts'
import { findOptimum, type Optimum } from './optimum.ts'
import { PacedRouter } from './paced.ts'
import { drawCourse } from './picture.ts'
import { outcomeOf, replayMonth } from './replayed.ts'
import { simpleRouters } from './routers.ts'
import { reshape } from './shapes.ts'
import { simulate, type Outage, type Outcome } from './simulate.ts'

const { values: flags } = parseArgs({
  options: {
    traces: { type: 'string' },
    from: { type: 'string', default: '2001' },
    seeds: { type: 'string', default: '20' },
    shape: { type: 'string', default: 'burstgpt' },
    only: { type: 'string' },
    paced: { type: 'boolean', default: false },
    simulator: { type: 'boolean', default: false },
    picture: { type: 'string' },
    'more-quota': { type: 'boolean', default: false },
    help: { type: 'boolean' },
  },
})
if (flags.help) {
  console.log(
    'bench:pacing [--traces FOLDER] [--from 2001] [--seeds 20] [--shape burstgpt|sine] [--only "ρ 1,drop"] [--paced] [--simulator] [--more-quota] [--picture FILE]\nThe paced months are replayed through the product, as `manciple replay` does, without and with the month before.\n--paced leaves the simple routers and their alerts out\n--simulator drives the method alone, without decisions and ledger: much faster, for tuning\n--only "ρ 0.3,ρ 0.4,ρ 0.5" replays months with too little work, to see what alerts tell of\n--more-quota only shows the value served as quotas grow\n--picture only draws how a month was used, as an SVG',
  )
  process.exit(0)
}

const script = findTraces(flags.traces)
if (script === undefined) {
  console.log('bench:pacing skipped: no make-month.mjs in --traces, $MANCIPLE_TRACES or ../shared/traces beside the repository')
  process.exit(0)
}

const seeds = Array.from({ length: Number(flags.seeds) }, (_, k) => Number(flags.from) + k)
const worlds = { monthly: readWorld(script, false), weekly: readWorld(script, true) }
const OUTAGE = { backend: 0, fromMs: START_MS + 14 * DAY_MS, toMs: START_MS + 17 * DAY_MS }
const wanted = flags.only?.split(',')
/** Months with too little work, which alerts are for: only where they are asked for. */
const poor = [0.3, 0.4, 0.5].map((rho): Cell => ({ name: `ρ ${rho}`, rho, scenario: 'base', outage: false, weekly: false }))
const cells = wanted === undefined ? CELLS : [...CELLS, ...poor].filter(({ name }) => wanted.includes(name))
/** Of routers that do not pace, by the forecast alone; and as the product itself told them, which is there to prove its warning wrong. */
const alerts = { 'backends, simple routers': noAlerts(), 'total, simple routers': noAlerts() }
const told = new Map(cells.filter(({ weekly }) => !weekly).map(({ name }) => [name, { backends: noAlerts(), total: noAlerts() }]))
const all = new Map<string, Figures[]>()
const stepsMs: number[] = []
let [chooseUs, runs, overshoot] = [0, 0, 0]

if (flags['more-quota']) showMoreQuota()
else if (flags.picture !== undefined) await draw(flags.picture)
else {
  for (const cell of cells) await runCell(cell)
  printGoals()
}

/** One ordinary month, with the month before it known. */
async function draw(file: string): Promise<void> {
  const world = worlds.monthly
  const seed = seeds[0]!
  const [month, history] = [false, true].map((past) => readMonth(script!, world, { rho: 1, seed, history: past }))
  writeFileSync(file, drawCourse(await replayMonth(world, month!, { history: history! }), month!))
}

/** Over the mean of the seeds, more paid quota must never lower the value served. */
function showMoreQuota(): void {
  for (const rho of [1, 1.5, 3]) {
    const values = [1, 1.1, 1.25, 1.5].map((factor) => {
      const world = { ...worlds.monthly, quotas: worlds.monthly.quotas.map((quota) => ({ ...quota, quantity: Math.round(quota.quantity * factor) })) }
      const served = seeds.map((seed) => {
        const month = readMonth(script!, world, { rho, seed })
        return simulate(world, month, new PacedRouter(world)).value / month.size
      })
      return served.reduce((sum, one) => sum + one, 0) / served.length
    })
    console.log(`ρ ${rho}: value a request with quotas × 1, 1.1, 1.25, 1.5: ${values.map((value) => value.toFixed(4)).join(' ')}`)
  }
}

async function runCell(cell: Cell): Promise<void> {
  const world = cell.weekly ? worlds.weekly : worlds.monthly
  for (const seed of seeds) {
    const month = read(world, cell, seed, false)
    const history = read(world, cell, seed, true)
    const options = cell.outage ? { outage: OUTAGE } : {}
    const optimum = findOptimum(world, month, world.policy.floors.backend, options.outage)
    keep(cell, 'paced', world, await pace(cell, world, month, options), optimum)
    keep(cell, 'paced, with history', world, await pace(cell, world, month, { ...options, history }), optimum)
    if (flags.paced) continue
    for (const router of simpleRouters(world)) keep(cell, router.name, world, simulate(world, month, router, options), optimum)
    if (cell.scenario !== 'base' || cell.outage || cell.weekly) continue
    for (const router of simpleRouters(world))
      countAlerts(world, month, router, { history }, alerts['backends, simple routers'], alerts['total, simple routers'])
  }
  for (const [key, rows] of all) if (key.startsWith(`${cell.name}|`)) printRow(key, rows)
  const rows = all.get(`${cell.name}|paced`) ?? []
  const [optimum, bound] = (['optimum', 'bound'] as const).map((figure) => meanOf(rows, figure).toFixed(3))
  console.log(`${cell.name.padEnd(7)} ${'optimum'.padEnd(20)} total ${optimum}, ${bound} with all floors held; value 1.000`)
}

async function pace({ name }: Cell, world: World, month: Month, options: { readonly outage?: Outage; readonly history?: Month }): Promise<Outcome> {
  if (flags.simulator) {
    const router = new PacedRouter(world)
    const outcome = simulate(world, month, router, options)
    stepsMs.push(...router.stepsMs)
    return outcome
  }
  const before = process.cpuUsage()
  const report = await replayMonth(world, month, options)
  const { user, system } = process.cpuUsage(before)
  const outcome = outcomeOf(world, report, (user + system) / month.size)
  const counts = told.get(name)
  if (counts !== undefined) countTold(world, report, outcome.used, counts.backends, counts.total)
  return outcome
}

function keep(cell: Cell, name: string, world: World, outcome: Outcome, optimum: Optimum): void {
  const key = `${cell.name}|${name}`
  const rows = all.get(key) ?? []
  rows.push(figuresOf(world, outcome, optimum))
  all.set(key, rows)
  overshoot = Math.max(overshoot, outcome.overshoot)
  if (!name.startsWith('paced')) return
  chooseUs += outcome.chooseUs
  runs += 1
}

function read(world: World, { rho, scenario }: Cell, seed: number, history: boolean): Month {
  const own = history ? 'base' : scenario
  const month = readMonth(script!, world, { rho, seed, scenario: own, history })
  return flags.shape === 'sine' ? reshape(month, history ? seed + 500_000 : seed, own) : month
}

function printRow(key: string, rows: readonly Figures[]): void {
  const [cell = '', name = ''] = key.split('|')
  const figures = (['total', 'worst', 'ofOptimum', 'ofBound', 'value', 'dry', 'local'] as const).map((figure) => `${figure} ${meanOf(rows, figure).toFixed(3)}`)
  console.log(`${cell.padEnd(7)} ${name.padEnd(20)} ${figures.join('  ')}`)
}

function printGoals(): void {
  console.log(`\n${seeds.length} seeds from ${seeds[0]}, shape ${flags.shape}; each figure: without history, with history`)
  for (const { cell, name, goal, atMost = false, measure } of GOALS) {
    const figures = ['paced', 'paced, with history'].flatMap((router) => {
      const rows = all.get(`${cell}|${router}`)
      return rows === undefined ? [] : [measure(rows)]
    })
    if (figures.length === 0) continue
    const told = figures.map((figure) => {
      const distance = atMost ? goal - figure : figure - goal
      return `${figure.toFixed(4)} ${distance >= 0 ? 'met' : `short by ${(-distance).toFixed(4)}`}`
    })
    console.log(`${cell.padEnd(7)} ${name.padEnd(48)} goal ${atMost ? '≤' : '≥'} ${goal}   ${told.join('   ')}`)
  }
  for (const [name, count] of Object.entries(alerts)) if (count.hits + count.falseAlarms + count.misses > 0) printAlerts(name, count)
  if (!flags.simulator) printTold()
  console.log(
    `overshoot ${overshoot === 0 ? '0.00' : (overshoot / 1e9).toFixed(9)} USD; ${(chooseUs / runs).toFixed(2)} µs ${flags.simulator ? 'a decision of the method alone, solving included' : 'of processor time a call, all of the replay included'}`,
  )
  stepsMs.sort((a, b) => a - b)
  const quantile = (share: number): string => stepsMs[Math.floor(share * (stepsMs.length - 1))]!.toFixed(2)
  if (stepsMs.length > 0)
    console.log(
      `${stepsMs.length} steps of working prices out held the loop for: half ≤ ${quantile(0.5)} ms, 99.9 % ≤ ${quantile(0.999)} ms, longest ${quantile(1)} ms`,
    )
}

/** By cell and together: backends and total apart. */
function printTold(): void {
  for (const scope of ['backends', 'total'] as const) {
    for (const [cell, counts] of told) printAlerts(`${scope}, paced, ${cell}`, counts[scope])
    const sum = (key: keyof AlertCount): number => [...told.values()].reduce((total, counts) => total + counts[scope][key], 0)
    printAlerts(`${scope}, paced, all`, { hits: sum('hits'), falseAlarms: sum('falseAlarms'), misses: sum('misses') })
  }
}

function printAlerts(name: string, { hits, falseAlarms, misses }: AlertCount): void {
  const share = (of: number): string => (of > 0 ? (hits / of).toFixed(3) : 'none')
  console.log(
    `day-15 alerts, ${name}: precision ${share(hits + falseAlarms)} (goal ≥ 0.80), recall ${share(hits + misses)} (goal ≥ 0.85): ${hits} hits, ${falseAlarms} false, ${misses} missed`,
  )
}

/**
 * Figures as JSON, ratios against a baseline of the same run.
 *
 *     pnpm bench [decide] [ledger] [open] [gateway] [evennia] [hosts] [replay]
 */
import { cpus } from 'node:os'
import { measureDecide } from './decide.bench.ts'
import { measureEvennia } from './evennia.bench.ts'
import { measureGateway } from './gateway.bench.ts'
import { measureHosts } from './hosts.bench.ts'
import { measureLedger } from './ledger.bench.ts'
import { measureOpen } from './open.bench.ts'
import { measureReplay } from './replay.bench.ts'

const BENCHES = {
  decide: () => measureDecide([5, 20, 100, 1000]),
  /** In the working folder, so that it meets the disk that a ledger would. */
  ledger: () => measureLedger('.'),
  /** A million entries; its own file takes another number. */
  open: () => measureOpen(),
  gateway: () => measureGateway(),
  evennia: () => measureEvennia(),
  hosts: () => measureHosts(),
  replay: () => measureReplay(),
}
type Name = keyof typeof BENCHES

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !(name in BENCHES))
if (unknown.length > 0) throw new Error(`There is no bench ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}.`)
const figures: Partial<Record<Name, unknown>> = {}
for (const name of Object.keys(BENCHES) as Name[]) {
  if (asked.length > 0 && !asked.includes(name)) continue
  process.stderr.write(`${name} …\n`)
  figures[name] = await BENCHES[name]()
}
process.stdout.write(`${JSON.stringify({ node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, ...figures }, null, 2)}\n`)

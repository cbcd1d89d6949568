/**
 * Kills writers of ledgers, ten thousand of them unless told otherwise, and checks what each has left. Prints how far it is, and a tally at the end.
 *
 *     pnpm torture [kills] [seed]
 */
import { MAY_ATTACH, killAndCheck, type KillOptions, type Tally } from './kills.ts'

const KILLS = 10_000
const EVERY = 100

const [kills = KILLS, seed = 1] = process.argv.slice(2).map(Number)

async function round(how: KillOptions['how'], share: number): Promise<Tally> {
  const startMs = performance.now()
  const wanted = Math.round(kills * share)
  const tell = (tally: Tally): void => {
    if (tally.kills % EVERY !== 0 && tally.kills < wanted) return
    const rate = tally.kills / ((performance.now() - startMs) / 1000)
    process.stderr.write(`${how}: ${tally.kills} of ${wanted} kills, ${tally.acknowledged} records acknowledged and found, ${rate.toFixed(1)} kills a second\n`)
  }
  return killAndCheck({ kills: wanted, how, seed, onKill: tell })
}

if (!MAY_ATTACH) process.stderr.write('There is no strace here, or no right to attach it: all kills come at random moments, none at a given system call.\n')
const random = await round('random', MAY_ATTACH ? 0.7 : 1)
const injected = MAY_ATTACH ? await round('strace', 0.3) : undefined
process.stdout.write(`${JSON.stringify({ seed, random, injected }, null, 2)}\n`)

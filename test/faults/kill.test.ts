import { expect, it } from 'vitest'
import { MAY_ATTACH, killAndCheck } from './kills.ts'

const RANDOM = MAY_ATTACH ? 700 : 1000
const INJECTED = 300

// `pnpm torture` does ten times as many.
it(`loses nothing acknowledged and keeps exact books over ${RANDOM} kills at random moments`, async () => {
  const tally = await killAndCheck({ kills: RANDOM, how: 'random', seed: 1 })
  expect(tally.kills).toBeGreaterThanOrEqual(RANDOM)
  // Otherwise this would prove little: records that nobody was told of, and lines half written.
  expect(tally.acknowledged).toBeGreaterThan(tally.kills)
  expect(tally.recovered).toBeGreaterThan(tally.acknowledged)
  expect(tally.attempted).toBeGreaterThan(tally.recovered)
  expect(tally.torn).toBeGreaterThan(0)
}, 600_000)

it.skipIf(!MAY_ATTACH)(
  `loses nothing acknowledged and keeps exact books over ${INJECTED} kills, one at each write, sync, rename and cut (needs strace and root)`,
  async () => {
    const tally = await killAndCheck({ kills: INJECTED, how: 'strace', seed: 2 })
    expect(tally.kills).toBeGreaterThanOrEqual(INJECTED)
    expect(Object.keys(tally.at).toSorted()).toEqual(expect.arrayContaining(['fdatasync', 'fsync', 'pwrite64', 'rename']))
    expect(tally.torn).toBeGreaterThan(INJECTED / 10)
  },
  600_000,
)

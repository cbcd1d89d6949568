import { cpSync, existsSync, fstatSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { systemDisk, type Disk } from '../../packages/core/src/ledger/disk.ts'
import { openJsonLedger } from '../../packages/core/src/ledger/json-ledger.ts'
import { START_MS } from '../contract/ledger-samples.ts'
import { checkDeath, Model, type Life } from './model.ts'
import { newFolder } from './support.ts'
import { LIFE_MS, POLICY, seeded, viewOf, Workload, type Attempt } from './workload.ts'

const SECTOR_BYTES = 512

interface Pending {
  readonly position: number
  readonly bytes: Buffer
}

/**
 * A disk that loses power: what was written since the last sync of a file may be there, in part, in any order of its sectors, or not at all.
 * After so many calls it answers nobody any more, until it is buried.
 */
class ForgetfulDisk implements Disk {
  readonly cut = Promise.withResolvers<void>()
  readonly #buried = Promise.withResolvers<never>()
  readonly #random: () => number
  /** Written and not synced, by inode. */
  readonly #pending = new Map<number, Pending[]>()
  #left: number

  constructor(random: () => number, calls: number) {
    this.#random = random
    this.#left = calls
    this.#buried.promise.catch(() => undefined)
  }

  get on(): boolean {
    return this.#left >= 0
  }

  /** Fails all who still wait, so that they let go of their files. */
  bury(): void {
    this.#left = -1
    this.#buried.reject(new Error('the power is off'))
  }

  async write(fd: number, bytes: Uint8Array, from: number, position: number): Promise<number> {
    await this.#pass()
    return this.writeSync(fd, bytes, from, position)
  }

  async datasync(fd: number): Promise<void> {
    await this.#pass()
    this.datasyncSync(fd)
    // Synced, and nobody was told.
    await this.#pass()
  }

  writeSync(fd: number, bytes: Uint8Array, from: number, position: number): number {
    const length = 1 + Math.floor(this.#random() * (bytes.length - from))
    const inode = fstatSync(fd).ino
    const pending = this.#pending.get(inode) ?? []
    pending.push({ position, bytes: Buffer.from(bytes.subarray(from, from + length)) })
    this.#pending.set(inode, pending)
    return systemDisk.writeSync(fd, bytes.subarray(0, from + length), from, position)
  }

  datasyncSync(fd: number): void {
    this.#pending.delete(fstatSync(fd).ino)
  }

  /** What is left of a folder after the power came back. */
  remains(folder: string, to: string): void {
    mkdirSync(to, { recursive: true, mode: 0o700 })
    for (const name of readdirSync(folder)) {
      if (name === 'lock') continue
      const path = join(folder, name)
      const pending = this.#pending.get(statSync(path).ino)
      if (pending === undefined) cpSync(path, join(to, name))
      else writeFileSync(join(to, name), this.#survivors(readFileSync(path), pending), { mode: 0o600 })
    }
  }

  #survivors(bytes: Buffer, pending: readonly Pending[]): Buffer {
    const synced = Math.min(...pending.map(({ position }) => position))
    const written = bytes.subarray(0, Math.max(...pending.map((one) => one.position + one.bytes.length)))
    const way = this.#random()
    // None of it, a part from its beginning on, or whatever sectors the disk took first: zeros stand where the others should be.
    if (way < 0.3) return bytes.subarray(0, synced)
    if (way < 0.6) return bytes.subarray(0, synced + Math.floor(this.#random() * (written.length - synced + 1)))
    const left = Buffer.from(written)
    for (let at = synced; at < left.length;) {
      const end = Math.min(left.length, (Math.floor(at / SECTOR_BYTES) + 1) * SECTOR_BYTES)
      if (this.#random() < 0.5) left.fill(0, at, end)
      at = end
    }
    return left
  }

  async #pass(): Promise<void> {
    this.#left--
    if (this.on) return
    this.cut.resolve()
    await this.#buried.promise
  }
}

async function live(disk: ForgetfulDisk, workload: Workload, steps: number): Promise<Pick<Life, 'attempts' | 'acknowledged' | 'nowMs'>> {
  const attempts: Attempt[] = []
  const acknowledged = new Set<number>()
  const answers: Promise<unknown>[] = []
  for (let step = 0; step < steps && disk.on; step++) {
    const tried = workload.step()
    if (tried === undefined) continue
    const number = attempts.push(tried.attempt) - 1
    const answer = tried.durable.then(
      () => acknowledged.add(number),
      () => undefined,
    )
    answers.push(answer)
    if (workload.below(3) === 0) await Promise.race([answer, disk.cut.promise])
  }
  if (disk.on) await Promise.race([Promise.all(answers), disk.cut.promise])
  return { attempts, acknowledged, nowMs: workload.nowMs }
}

const lives = fc.array(fc.record({ seed: fc.nat(), calls: fc.integer({ min: 0, max: 120 }), steps: fc.integer({ min: 1, max: 60 }) }), {
  minLength: 1,
  maxLength: 6,
})

it('recovers all that was acknowledged and nothing that was not attempted, wherever the power fails, and its books are those of a reference in memory', async () => {
  let torn = 0
  let unanswered = 0
  await fc.assert(
    fc.asyncProperty(lives, async (script) => {
      const model = new Model()
      let folder = newFolder()
      for (const [number, { seed, calls, steps }] of script.entries()) {
        const random = seeded(seed)
        const disk = new ForgetfulDisk(random, calls)
        const session = `life${number}`
        const nowMs = START_MS + number * LIFE_MS
        const opening = openJsonLedger({ folder, session, nowMs, disk, segmentBytes: 4_000 })
        const ledger = await Promise.race([opening, disk.cut.promise])
        let life: Life = { session, attempts: [], acknowledged: new Set(), nowMs }
        if (ledger !== undefined) {
          expect(ledger.fault).toBeUndefined()
          expect(ledger.opened.presumed.map(({ id }) => id)).toEqual(model.open)
          model.restart()
          await Promise.race([ledger.usePolicy(POLICY, nowMs), disk.cut.promise])
          expect(viewOf(ledger)).toEqual(model.view(nowMs))
          life = { session, ...(await live(disk, new Workload(ledger, random, nowMs), steps)) }
        }
        const left = newFolder()
        if (existsSync(folder)) disk.remains(folder, left)
        const { attempts, torn: isTorn } = await checkDeath(left, life, model)
        torn += Number(isTorn)
        unanswered += life.attempts.length - attempts
        disk.bury()
        await opening.then(
          (one) => one.close(),
          () => undefined,
        )
        folder = left
      }
    }),
    { numRuns: 100 },
  )
  // Otherwise nothing would have been at stake.
  expect(torn).toBeGreaterThan(20)
  expect(unanswered).toBeGreaterThan(100)
})

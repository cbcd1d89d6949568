import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemDisk, type Disk } from '../../packages/core/src/ledger/disk.ts'
import type { Ledger } from '../../packages/core/src/ledger/ledger.ts'
import { readLedger } from '../../packages/core/src/ledger/reader.ts'
import { held, notice, order, policy, settlement, START_MS } from '../contract/ledger-samples.ts'
import { copyFolder, diskWith, firstSegment, linesOf, makeCalls, newFolder, openLedger } from './support.ts'

const LOCAL = order({ backend: 'local', kind: 'local', model: 'llama' })

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code })
}

/** A disk whose `nth` call of one kind, counted from when it is armed, fails; all others succeed. */
function failingOnce(call: 'write' | 'datasync', code: string): { disk: Disk; arm: () => void; calls: () => number } {
  let armed = false
  let calls = 0
  const disk = diskWith({
    [call]: async (...parameters: [number, Uint8Array, number, number]) => {
      calls++
      if (armed) {
        armed = false
        throw failure(code)
      }
      return call === 'write' ? systemDisk.write(...parameters) : systemDisk.datasync(parameters[0])
    },
  })
  return { disk, arm: () => (armed = true), calls: () => calls }
}

/** A disk that holds back every sync until it is let go. */
function stalling(): { disk: Disk; letGo: () => void; stalled: () => Promise<void> } {
  let gate = Promise.withResolvers<void>()
  let reached = Promise.withResolvers<void>()
  gate.resolve()
  const disk = diskWith({
    async datasync(fd) {
      reached.resolve()
      await gate.promise
      await systemDisk.datasync(fd)
    },
  })
  return {
    disk,
    letGo: () => gate.resolve(),
    stalled: () => {
      gate = Promise.withResolvers()
      reached = Promise.withResolvers()
      return reached.promise
    },
  }
}

async function opened(disk: Disk): Promise<{ folder: string; ledger: Ledger }> {
  const folder = newFolder()
  const ledger = await openLedger(folder, { disk })
  await makeCalls(ledger, 2)
  return { folder, ledger }
}

describe('a disk that fails', () => {
  it.each([
    ['a sync that fails once', 'datasync', 'EIO'],
    ['a write that fails once', 'write', 'EIO'],
    ['a full disk', 'write', 'ENOSPC'],
  ] as const)('%s poisons the ledger for good, and nothing is tried again', async (_, call, code) => {
    const { disk, arm, calls } = failingOnce(call, code)
    const { folder, ledger } = await opened(disk)
    arm()
    const before = calls()
    const pending = [ledger.reserve(order()), ledger.reserve(order())].map((one) => (one.ok ? one.durable : undefined))
    for (const durable of pending) await expect(durable).rejects.toMatchObject({ code: 'LEDGER_FAULT', message: expect.stringContaining(code) })
    expect(ledger.fault).toMatchObject({ code: 'LEDGER_FAULT', reason: expect.stringContaining(`journal-000001.jsonl: Error: ${code}`) })
    expect(JSON.parse(readFileSync(join(folder, 'fault.json'), 'utf8'))).toEqual(ledger.fault)
    expect(ledger.reserve(order())).toEqual({ ok: false, limits: [] })
    const local = ledger.reserve(LOCAL)
    await expect(local.ok && local.durable).rejects.toMatchObject({ code: 'LEDGER_FAULT' })
    await expect(ledger.notice(notice({ episode: 'another' }), START_MS)).rejects.toMatchObject({ code: 'LEDGER_FAULT' })
    await expect(ledger.flush()).rejects.toMatchObject({ code: 'LEDGER_FAULT' })
    await ledger.close()
    expect(calls() - before).toBe(1)
    expect(readdirSync(folder)).not.toContain('checkpoint.json')
  })

  it('heals when it is opened again on a healthy disk: all that was acknowledged is there', async () => {
    const { disk, arm } = failingOnce('datasync', 'EIO')
    const { folder, ledger } = await opened(disk)
    arm()
    const lost = ledger.reserve(order())
    await expect(lost.ok && lost.durable).rejects.toMatchObject({ code: 'LEDGER_FAULT' })
    expect((await readLedger(folder)).fault).toEqual(ledger.fault)
    await ledger.close()
    const again = await openLedger(folder)
    await again.usePolicy(policy(), START_MS)
    expect(again.fault).toBeUndefined()
    expect(again.meters[0]).toMatchObject({ settled: 2 * 16_500_000, held: 0 })
    expect(readdirSync(folder)).not.toContain('fault.json')
    expect((await readLedger(folder)).fault).toBeUndefined()
  })

  it('keeps the old data whole when it is full, and cuts the torn line when there is room again', async () => {
    let room = Infinity
    const disk = diskWith({
      async write(fd, bytes, from, position) {
        const fits = Math.min(bytes.length - from, room)
        if (fits === 0) throw failure('ENOSPC')
        room -= fits
        return systemDisk.write(fd, bytes.subarray(0, from + fits), from, position)
      },
    })
    const { folder, ledger } = await opened(disk)
    const { size } = statSync(firstSegment(folder))
    room = 100
    await expect(ledger.observe({ backend: 'claude', used: 0.5, at: new Date(START_MS).toISOString(), source: 's' })).rejects.toMatchObject({
      code: 'LEDGER_FAULT',
    })
    expect(statSync(firstSegment(folder)).size).toBe(size + 100)
    await ledger.close()
    const again = await openLedger(folder)
    expect(again.fault).toBeUndefined()
    expect(again.opened.cutBytes).toBe(100)
    await again.usePolicy(policy(), START_MS)
    expect(again.meters[0]).toMatchObject({ settled: 2 * 16_500_000 })
  })

  it('poisons by a record that no reader would accept', async () => {
    const { ledger } = await opened(systemDisk)
    await expect(ledger.usePolicy(policy([], { version: 'v2', text: 'x'.repeat(2 ** 21) }), START_MS)).rejects.toMatchObject({ code: 'LEDGER_FAULT' })
    expect(ledger.fault?.reason).toContain('longer than a line of the journal may be')
  })

  it('is opened with a fault when not even the first record can be written', async () => {
    const disk = diskWith({ write: () => Promise.reject(failure('ENOSPC')) })
    const ledger = await openLedger(newFolder(), { disk })
    expect(ledger.fault).toMatchObject({ code: 'LEDGER_FAULT', reason: expect.stringContaining('ENOSPC') })
  })

  it('loses no byte to short writes', async () => {
    let writes = 0
    const short: Disk['write'] = (fd, bytes, from, position) => {
      writes++
      return systemDisk.write(fd, bytes.subarray(0, Math.min(bytes.length, from + 7)), from, position)
    }
    const folder = newFolder()
    const ledger = await openLedger(folder, {
      disk: diskWith({ write: short, writeSync: (fd, bytes, from, position) => systemDisk.writeSync(fd, bytes.subarray(0, from + 3), from, position) }),
    })
    await makeCalls(ledger, 3)
    ledger.reserve(order())
    ledger.closeSync()
    expect(writes).toBeGreaterThan(100)
    const again = await openLedger(folder)
    await again.usePolicy(policy(), START_MS)
    expect(again.fault).toBeUndefined()
    expect(again.meters[0]).toMatchObject({ settled: 3 * 16_500_000, presumed: 50_000_000 })
  })

  it('takes a write of nothing for a failure', async () => {
    const ledger = await openLedger(newFolder(), { disk: diskWith({ write: async () => 0 }) })
    expect(ledger.fault).toMatchObject({ code: 'LEDGER_FAULT', reason: expect.stringContaining('wrote nothing') })
  })

  it('only warns when it is the checkpoint that cannot be written, and the old one stays', async () => {
    const { folder, ledger } = await opened(systemDisk)
    await ledger.close()
    const before = readFileSync(join(folder, 'checkpoint.json'), 'utf8')
    const warnings: string[] = []
    // A checkpoint begins with `{"f`, a line with `{"s`.
    const disk = diskWith({
      write: (fd, bytes, from, position) => (bytes[2] === 0x66 ? Promise.reject(failure('ENOSPC')) : systemDisk.write(fd, bytes, from, position)),
    })
    const again = await openLedger(folder, { disk, onWarning: (text) => warnings.push(text) })
    await again.usePolicy(policy(), START_MS)
    await again.settle(held(again.reserve(order())).id, settlement()).durable
    await again.close()
    expect(again.fault).toBeUndefined()
    expect(warnings).toEqual([expect.stringContaining('The checkpoint could not be written: Error: ENOSPC')])
    expect(readFileSync(join(folder, 'checkpoint.json'), 'utf8')).toBe(before)
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
    const last = await openLedger(folder)
    await last.usePolicy(policy(), START_MS)
    expect(last.meters[0]).toMatchObject({ settled: 3 * 16_500_000 })
  })
})

describe('group commit', () => {
  it('answers nobody before the disk has, and all who waited together at once, with one write and one sync', async () => {
    const { disk, letGo, stalled } = stalling()
    let writes = 0
    const counting = diskWith({ ...disk, write: (...parameters) => (writes++, systemDisk.write(...parameters)) })
    const { ledger } = await opened(counting)
    const before = writes
    const reached = stalled()
    let answered = 0
    const pending = Array.from({ length: 20 }, async () => {
      const reserved = ledger.reserve(order())
      if (reserved.ok) await reserved.durable
      answered++
    })
    await reached
    expect(answered).toBe(0)
    letGo()
    await Promise.all(pending)
    expect(writes - before).toBe(1)
  })

  it('calls synced what was on disk before the batch, and numbers without a gap', async () => {
    const { folder, ledger } = await opened(systemDisk)
    await Promise.all([ledger.notice(notice({ episode: 'a' }), START_MS), ledger.notice(notice({ episode: 'b' }), START_MS)])
    const lines = linesOf(readFileSync(firstSegment(folder))).map((line) => JSON.parse(line) as { seq: number; synced: number })
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index + 1))
    expect(lines.slice(-2).map(({ seq, synced }) => seq - synced)).toEqual([1, 2])
  })

  it.each(['interval', 'never'] as const)('with fsync %s answers when the system has it, and syncs when asked to', async (fsync) => {
    let syncs = 0
    const folder = newFolder()
    const ledger = await openLedger(folder, { fsync, disk: diskWith({ datasync: (fd) => (syncs++, systemDisk.datasync(fd)) }) })
    await makeCalls(ledger, 2)
    const before = syncs
    expect(linesOf(readFileSync(firstSegment(folder)))).toHaveLength(7)
    await ledger.flush()
    expect(syncs - before).toBeLessThanOrEqual(1)
    await ledger.close()
    expect((await openLedger(folder)).fault).toBeUndefined()
  })

  it('with fsync interval gets to disk by itself', async () => {
    const synced = Promise.withResolvers<void>()
    const ledger = await openLedger(newFolder(), { fsync: 'interval', disk: diskWith({ datasync: (fd) => systemDisk.datasync(fd).then(synced.resolve) }) })
    await ledger.usePolicy(policy(), START_MS)
    const alive = setInterval(() => {}, 1000)
    await synced.promise
    clearInterval(alive)
  })
})

describe('segments', () => {
  it('end in a seal with the hash of what stands before it, and the next begins with the next number', async () => {
    const folder = newFolder()
    const ledger = await openLedger(folder, { segmentBytes: 1000 })
    await makeCalls(ledger, 10)
    await ledger.close()
    const names = readdirSync(folder).filter((name) => name.startsWith('journal-'))
    expect(names.length).toBeGreaterThan(5)
    const lines = names.flatMap((name) =>
      linesOf(readFileSync(join(folder, name))).map((line) => JSON.parse(line) as { seq: number; type: string; sha256: string }),
    )
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index + 1))
    for (const name of names.slice(0, -1)) {
      const bytes = readFileSync(join(folder, name))
      const sealAt = bytes.lastIndexOf('\n', -2) + 1
      const seal = JSON.parse(bytes.toString('utf8', sealAt)) as { type: string; sha256: string }
      expect(seal).toMatchObject({ type: 'seal', sha256: createHash('sha256').update(bytes.subarray(0, sealAt)).digest('hex') })
    }
    const again = await openLedger(folder, { segmentBytes: 1000 })
    await again.usePolicy(policy(), START_MS)
    expect(again.meters[0]).toMatchObject({ settled: 10 * 16_500_000 })
  })

  it('get a checkpoint of their own, so that a process that dies replays little', async () => {
    const folder = newFolder()
    const ledger = await openLedger(folder, { segmentBytes: 1000 })
    await makeCalls(ledger, 10)
    await ledger.flush()
    expect(JSON.parse(readFileSync(join(folder, 'checkpoint.json'), 'utf8')).segment).toBeGreaterThan(3)
  })

  it('may end the journal: the next one is made on opening', async () => {
    const folder = newFolder()
    const ledger = await openLedger(folder, { segmentBytes: 1 })
    await makeCalls(ledger, 3)
    const left = copyFolder(folder)
    const last = readdirSync(left).findLast((name) => name.startsWith('journal-')) ?? ''
    expect(statSync(join(left, last)).size).toBe(0)
    rmSync(join(left, last))
    rmSync(join(left, 'checkpoint.json'))
    const again = await openLedger(left)
    expect(again.fault).toBeUndefined()
    await again.usePolicy(policy(), START_MS)
    expect(again.meters[0]).toMatchObject({ settled: 3 * 16_500_000 })
    expect(statSync(join(left, last)).size).toBeGreaterThan(0)
  })
})

describe('closing in one blocking step', () => {
  it('keeps what is in flight and what waits, answers both, and frees the lock', async () => {
    const { disk, letGo, stalled } = stalling()
    const { folder, ledger } = await opened(disk)
    const reached = stalled()
    const inFlight = ledger.reserve(order())
    await reached
    const waiting = ledger.reserve(order())
    ledger.closeSync()
    await Promise.all([inFlight.ok && inFlight.durable, waiting.ok && waiting.durable])
    const again = await openLedger(folder)
    letGo()
    expect(again.fault).toBeUndefined()
    expect(again.opened).toMatchObject({ cutBytes: 0, presumed: [{ id: held(inFlight).id }, { id: held(waiting).id }] })
    await again.usePolicy(policy(), START_MS)
    await again.flush()
    expect(again.meters[0]).toMatchObject({ settled: 2 * 16_500_000, presumed: 100_000_000 })
    await again.close()
    expect((await openLedger(folder)).fault).toBeUndefined()
  })

  it('rewrites a batch that was half written', async () => {
    const reached = Promise.withResolvers<void>()
    let half = false
    const disk = diskWith({
      async write(fd, bytes, from, position) {
        if (!half) return systemDisk.write(fd, bytes, from, position)
        await systemDisk.write(fd, bytes.subarray(0, from + 50), from, position)
        reached.resolve()
        return new Promise(() => {})
      },
    })
    const { folder, ledger } = await opened(disk)
    half = true
    const reserved = ledger.reserve(order())
    await reached.promise
    ledger.closeSync()
    await (reserved.ok && reserved.durable)
    const again = await openLedger(folder)
    expect(again.fault).toBeUndefined()
    expect(again.opened).toMatchObject({ cutBytes: 0, presumed: [{ id: held(reserved).id }] })
  })

  it('takes nothing more, and may be called again', async () => {
    const { ledger } = await opened(systemDisk)
    ledger.closeSync()
    ledger.closeSync()
    await ledger.close()
    await expect(ledger.flush()).rejects.toMatchObject({ code: 'CLOSED' })
    expect(ledger.fault).toBeUndefined()
  })

  it('tells those who wait when the disk fails at the last moment', async () => {
    const disk = diskWith({
      writeSync: () => {
        throw failure('ENOSPC')
      },
    })
    const { folder, ledger } = await opened(disk)
    const reserved = ledger.reserve(order())
    ledger.closeSync()
    await expect(reserved.ok && reserved.durable).rejects.toMatchObject({ code: 'LEDGER_FAULT' })
    expect(ledger.fault).toMatchObject({ code: 'LEDGER_FAULT' })
    expect(readdirSync(folder)).toContain('fault.json')
    expect(readdirSync(folder)).not.toContain('checkpoint.json')
  })
})

import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { held, order, policy, settlement, START_MS } from '../../../../test/contract/ledger-samples.ts'
import { copyFolder, firstSegment, flipped, linesOf, makeCalls, newFolder, openLedger } from '../../../../test/faults/support.ts'
import { readCheckpoint, writeCheckpoint } from './checkpoint.ts'
import { systemDisk } from './disk.ts'
import { rebuildHistory } from './history-follower.ts'
import type { Ledger } from './ledger.ts'
import { followNotices } from './reader.ts'
import { repairLedger as repairAt, type RepairReport } from './repair.ts'
import { verify, type Verification } from './verify.ts'

const repairLedger = (folder: string): Promise<RepairReport> => repairAt(folder, { nowMs: START_MS })

const verified = (folder: string): Promise<Verification> =>
  verify(
    folder,
    (text, version) => policy(undefined, { text, version }),
    () => {},
  )

/** A closed ledger of so many calls, each of $0.0165, and its folder. */
async function closed(calls: number, segmentBytes?: number): Promise<string> {
  const folder = newFolder()
  const ledger = await openLedger(folder, segmentBytes === undefined ? {} : { segmentBytes })
  await makeCalls(ledger, calls)
  await ledger.close()
  return folder
}

/** What a process leaves behind that died: no checkpoint. */
async function died(calls: number, segmentBytes?: number): Promise<string> {
  const folder = await closed(calls, segmentBytes)
  rmSync(join(folder, 'checkpoint.json'))
  return folder
}

function segmentsOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith('journal-'))
    .toSorted()
}

/** Every line of these bytes stands in some file of the folder. */
function expectNothingDeleted(folder: string, before: ReadonlyMap<string, Buffer>): void {
  const after = readdirSync(folder)
    .filter((name) => /^(journal-|cut-)/.test(name))
    .map((name) => readFileSync(join(folder, name), 'latin1'))
  for (const bytes of before.values()) for (const line of linesOf(bytes)) expect(after.some((text) => text.includes(line))).toBe(true)
}

function journal(folder: string): ReadonlyMap<string, Buffer> {
  return new Map(segmentsOf(folder).map((name) => [name, readFileSync(join(folder, name))]))
}

async function inService(folder: string): Promise<Ledger> {
  const ledger = await openLedger(folder)
  expect(ledger.fault).toBeUndefined()
  await ledger.usePolicy(policy(), START_MS)
  return ledger
}

function edit(folder: string, change: (lines: string[]) => void, file = firstSegment(folder)): void {
  const lines = [...linesOf(readFileSync(file))]
  change(lines)
  writeFileSync(file, lines.join(''), 'latin1')
}

/** The index of the `number`-th line of a type. */
function nth(lines: readonly string[], type: string, number: number): number {
  const indexes = lines.flatMap((line, index) => (line.includes(`"type":"${type}"`) ? [index] : []))
  return indexes[number - 1] ?? -1
}

describe('repairLedger', () => {
  it('changes nothing in a ledger that is whole', async () => {
    const folder = await closed(3)
    const before = journal(folder)
    expect(await repairLedger(folder)).toMatchObject({ repaired: false, damages: [], files: [], lost: [] })
    expect(journal(folder)).toEqual(before)
    expect(readdirSync(folder)).toContain('checkpoint.json')
  })

  it('brings a ledger with a damaged settlement back into service, and keeps what it cuts', async () => {
    const folder = await died(4)
    edit(folder, (lines) => {
      const index = nth(lines, 'settle', 2)
      lines[index] = (lines[index] ?? '').replace('0.0165', '0.0005')
    })
    const before = journal(folder)
    const faulted = await openLedger(folder)
    expect(faulted.fault).toMatchObject({ code: 'LEDGER_DAMAGED' })
    expect(faulted.reserve(order()).ok).toBe(false)
    await faulted.close()
    expect((await verified(folder)).findings).toEqual([
      expect.objectContaining({ part: 'journal', file: 'journal-000001.jsonl', line: 6, seq: 6, offset: expect.any(Number) }),
    ])
    const report = await repairLedger(folder)
    expect(report).toMatchObject({
      repaired: true,
      lost: [{ from: 6, to: 6 }],
      salvaged: 5,
      imported: 0,
      restored: 0,
      fault: expect.stringContaining('checksum'),
    })
    expect(report.files).toHaveLength(1)
    expectNothingDeleted(folder, before)
    expect(existsSync(join(folder, 'fault.json'))).toBe(false)
    expect((await verified(folder)).findings).toEqual([])
    const ledger = await inService(folder)
    // The hold whose settlement is lost is presumed spent: never less than it came to.
    expect(ledger.meters[0]).toMatchObject({ settled: 3 * 16_500_000, held: 0, presumed: 50_000_000 })
    expect(ledger.reserve(order()).ok).toBe(true)
    expect(ledger.stream).toBe(report.stream)
    expect(ledger.stream).toBe(`${ledger.id}.1`)
    expect(ledger.notices).toHaveLength(1)
  })

  it('counts a settlement whose reservation is lost', async () => {
    const folder = await died(4)
    edit(folder, (lines) => {
      const index = nth(lines, 'reserve', 2)
      lines[index] = (lines[index] ?? '').replace('claude', 'clonde')
    })
    expect(await repairLedger(folder)).toMatchObject({ repaired: true, lost: [{ from: 5, to: 5 }], imported: 1 })
    expect((await verified(folder)).findings).toEqual([])
    expect((await inService(folder)).meters[0]).toMatchObject({ settled: 4 * 16_500_000, presumed: 0 })
  })

  it('counts it also where other calls were reserved in between', async () => {
    const folder = newFolder()
    const first = await openLedger(folder)
    await first.usePolicy(policy(), START_MS)
    const reserved = Array.from({ length: 5 }, () => held(first.reserve(order())).id)
    for (const id of reserved) await first.settle(id, settlement()).durable
    await first.close()
    rmSync(join(folder, 'checkpoint.json'))
    edit(folder, (lines) => {
      const index = nth(lines, 'reserve', 2)
      lines[index] = (lines[index] ?? '').replace('claude', 'clonde')
    })
    expect(await repairLedger(folder)).toMatchObject({ salvaged: 8, imported: 1 })
    expect((await inService(folder)).meters[0]).toMatchObject({ settled: 5 * 16_500_000, presumed: 0 })
  })

  it.each([1, 2, 5])('loses no spend that a checkpoint had seen: %i lines removed', async (count) => {
    const folder = await closed(5)
    edit(folder, (lines) => void lines.splice(nth(lines, 'settle', 2), count))
    const report = await repairLedger(folder)
    expect(report.repaired).toBe(true)
    expect((await verified(folder)).findings).toEqual([])
    const ledger = await inService(folder)
    expect(ledger.meters[0]).toMatchObject({ settled: 5 * 16_500_000, held: 0, presumed: 0 })
    expect(ledger.spend(0, START_MS * 2)).toEqual([expect.objectContaining({ costNano: 5 * 16_500_000, tokens: 5 * 2300, requests: 5 })])
  })

  it('restores a journal that was put back from a backup, or is gone, from its checkpoint', async () => {
    for (const damage of ['shorter', 'gone']) {
      const folder = await closed(5)
      const { id } = await ids(folder)
      if (damage === 'gone') rmSync(firstSegment(folder))
      else
        truncateSync(
          firstSegment(folder),
          linesOf(readFileSync(firstSegment(folder)))
            .slice(0, 5)
            .join('').length,
        )
      const report = await repairLedger(folder)
      expect(report).toMatchObject({ repaired: true, salvaged: 0, lost: [expect.objectContaining({ to: 14 })] })
      expect((await verified(folder)).findings).toEqual([])
      const ledger = await inService(folder)
      expect(ledger.id).toBe(id)
      expect(ledger.meters[0]).toMatchObject({ settled: 5 * 16_500_000, held: 0, presumed: 0 })
      await ledger.close()
    }
  })

  it('salvages what follows, whichever byte is another', async () => {
    const original = await died(3)
    const bytes = readFileSync(firstSegment(original))
    const lines = linesOf(bytes)
    for (let index = 0; index < bytes.length; index += 53) {
      const folder = copyFolder(original)
      writeFileSync(firstSegment(folder), flipped(bytes, index * 8))
      const before = journal(folder)
      const { damages, lost, repaired } = await repairLedger(folder)
      // The end may be taken for unacknowledged: that is cut by opening.
      if (repaired) {
        expect(damages, `byte ${index}`).toHaveLength(1)
        expect(
          lost.every(({ from, to }) => to - from <= 1),
          `byte ${index}`,
        ).toBe(true)
        expectNothingDeleted(folder, before)
      } else expect(index).toBeGreaterThan(bytes.length - (lines.at(-1)?.length ?? 0) - 1)
      expect((await verified(folder)).findings, `byte ${index}`).toEqual([])
      const ledger = await inService(folder)
      const { settled = 0, presumed = 0 } = ledger.meters[0] ?? {}
      // A newline that is another byte takes the lines on both sides with it: then a call may be gone.
      const gone = lost.some(({ from, to }) => to > from) ? 1 : 0
      expect(settled + presumed, `byte ${index}`).toBeGreaterThanOrEqual((3 - gone) * 16_500_000)
      await ledger.close()
    }
  })

  it('mends a missing segment, a seal that is gone, and one that does not match', async () => {
    const original = await died(12, 2500)
    const names = segmentsOf(original)
    expect(names.length).toBeGreaterThan(3)
    const second = names[1] ?? ''
    const damages: Record<string, (folder: string) => void> = {
      missing: (folder) => rmSync(join(folder, second)),
      unsealed: (folder) => edit(folder, (lines) => void lines.pop(), join(folder, second)),
      'sealed wrongly': (folder) =>
        edit(folder, (lines) => void lines.push(...lines.splice(-1).map((line) => line.replace(/"sha256":"./, '"sha256":"x'))), join(folder, second)),
      doubled: (folder) => edit(folder, (lines) => void lines.splice(2, 0, lines[2] ?? ''), join(folder, second)),
      'zero-filled': (folder) => writeFileSync(join(folder, second), Buffer.concat([Buffer.alloc(3_000_000), readFileSync(join(folder, second))])),
    }
    for (const [name, damage] of Object.entries(damages)) {
      const folder = copyFolder(original)
      damage(folder)
      const before = journal(folder)
      expect((await verified(folder)).findings, name).not.toEqual([])
      expect(await repairLedger(folder), name).toMatchObject({ repaired: true })
      if (name !== 'zero-filled') expectNothingDeleted(folder, before)
      expect((await verified(folder)).findings, name).toEqual([])
      const ledger = await inService(folder)
      expect(ledger.reserve(order()).ok).toBe(true)
      await ledger.close()
      expect((await verified(folder)).findings, name).toEqual([])
    }
  })

  it('can be repaired again, wherever a repair was cut short', async () => {
    const original = await died(12, 2500)
    const names = segmentsOf(original)
    edit(original, (lines) => void lines.splice(3, 1), join(original, names[1] ?? ''))
    const once = copyFolder(original)
    await repairLedger(once)
    const whole = await inService(once)
    const expected = whole.meters[0]?.settled
    await whole.close()
    // The new segment is in place, and of those that it replaces the last are still there.
    for (const left of [names.slice(2), names.slice(3), names.slice(-1)]) {
      const folder = copyFolder(original)
      for (const name of names.slice(1)) rmSync(join(folder, name))
      writeFileSync(join(folder, names[1] ?? ''), readFileSync(join(once, names[1] ?? '')))
      for (const name of left) writeFileSync(join(folder, name), readFileSync(join(original, name)))
      const faulted = await openLedger(folder)
      expect(faulted.fault, String(left)).toBeDefined()
      await faulted.close()
      expect(await repairLedger(folder), String(left)).toMatchObject({ repaired: true })
      expect((await verified(folder)).findings, String(left)).toEqual([])
      const ledger = await inService(folder)
      expect(ledger.meters[0]?.settled, String(left)).toBe(expected)
      await ledger.close()
    }
    // The line that was removed, and the one after it, are the reservation and the settlement of one call.
    expect(expected).toBe(11 * 16_500_000)
  })

  it('remakes the history that no longer fits', async () => {
    const folder = await died(4)
    await rebuildHistory(folder)
    edit(folder, (lines) => void lines.splice(4, 1))
    expect((await repairLedger(folder)).files).toContainEqual(expect.stringMatching(/^cut-.*-history\.sqlite$/))
    const { findings, checked } = await verified(folder)
    expect(findings).toEqual([])
    expect(checked).toEqual({ checkpoint: true, history: true, books: true })
  })

  it('tells those who follow the notices that it is another stream now', async () => {
    const folder = await closed(6)
    const following = new AbortController()
    const notices = followNotices(folder, 0, following.signal)
    expect((await notices.next()).value).toMatchObject({ number: 1 })
    const next = notices.next().catch((error: unknown) => error)
    await new Promise((resolve) => void setTimeout(resolve, 300))
    edit(folder, (lines) => void lines.splice(3, 1))
    await repairLedger(folder)
    expect(await next).toMatchObject({ code: 'LEDGER_DAMAGED' })
    following.abort()
    const again = await followNotices(folder, 0, new AbortController().signal).next()
    expect(again.value).toMatchObject({ number: 1 })
  })

  it('is refused while a router runs, and says which process', async () => {
    const folder = newFolder()
    await makeCalls(await openLedger(folder), 1)
    await expect(repairLedger(folder)).rejects.toMatchObject({
      code: 'LEDGER_LOCKED',
      message: expect.stringContaining(process.platform === 'linux' ? `process ${process.pid}` : 'another process'),
    })
    await expect(repairLedger(join(folder, 'none'))).rejects.toMatchObject({ code: 'LEDGER_MISSING' })
  })
})

async function ids(folder: string): Promise<{ id: string }> {
  const ledger = await openLedger(folder)
  const { id } = ledger
  await ledger.close()
  return { id }
}

describe('verify', () => {
  it('finds nothing in a ledger that is whole, beside the router that writes it', async () => {
    const folder = newFolder()
    const ledger = await openLedger(folder)
    await makeCalls(ledger, 5)
    held(ledger.reserve(order()))
    await ledger.flush()
    await rebuildHistory(folder)
    const before = readdirSync(folder)
    expect(await verified(folder)).toMatchObject({ findings: [], seq: 14, lines: 14, tornBytes: 0, checked: { checkpoint: false, history: true, books: true } })
    expect(readdirSync(folder)).toEqual(before)
    ledger.settle([...ledger.openHolds.keys()][0] ?? '', settlement())
    await ledger.close()
    expect(await verified(folder)).toMatchObject({ findings: [], checked: { checkpoint: true, history: true } })
  })

  it('finds a checkpoint that says another amount, by a nano', async () => {
    const folder = await closed(3)
    const checkpoint = await readCheckpoint(folder, systemDisk)
    if (checkpoint === undefined) throw new Error('there is none')
    const { snapshot } = checkpoint
    const cells = snapshot.cells.map((series) => ({ ...series, costNano: series.costNano.map((nano) => nano + 1) }))
    await writeCheckpoint(folder, systemDisk, { ...checkpoint, snapshot: { ...snapshot, cells } })
    expect((await verified(folder)).findings).toEqual([
      expect.objectContaining({ part: 'checkpoint', file: 'checkpoint.json', text: expect.stringContaining(': +1 nano-USD, +0 tokens, +0 requests') }),
    ])
    await writeCheckpoint(folder, systemDisk, { ...checkpoint, seq: 99 })
    expect((await verified(folder)).findings).toEqual([expect.objectContaining({ part: 'checkpoint', text: expect.stringContaining('is as of seq 99') })])
    writeFileSync(join(folder, 'checkpoint.json'), '{}')
    expect((await verified(folder)).findings).toEqual([expect.objectContaining({ part: 'checkpoint', text: expect.stringContaining('cannot be trusted') })])
  })

  it('finds a history whose sums are not those of the journal, or not those of its own calls', async () => {
    const folder = await closed(3)
    await rebuildHistory(folder)
    const change = (sql: string): void => {
      const database = new DatabaseSync(join(folder, 'history.sqlite'))
      database.exec(sql)
      database.close()
    }
    change('UPDATE calls SET cost_nano = cost_nano + 1; UPDATE rollups SET cost_nano = cost_nano + 3')
    expect((await verified(folder)).findings).toEqual([
      expect.objectContaining({
        part: 'history',
        text: expect.stringContaining('49500003 nano-USD, 3 calls, 4500 + 2400 tokens in SQLite, 49500000 nano-USD'),
      }),
    ])
    change('UPDATE rollups SET cost_nano = cost_nano - 3')
    expect((await verified(folder)).findings).toHaveLength(4)
    change('UPDATE calls SET cost_nano = cost_nano - 1')
    expect((await verified(folder)).findings).toEqual([])
    change('UPDATE cursor SET crc = crc + 1')
    expect((await verified(folder)).findings).toEqual([expect.objectContaining({ text: expect.stringContaining('that the journal does not have') })])
  })
})

import { closeSync, copyFileSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { encodeLines } from '../../packages/core/src/ledger/journal-lines.ts'
import { scanJournal, START, type Scan } from '../../packages/core/src/ledger/journal-scan.ts'
import { readLedger } from '../../packages/core/src/ledger/reader.ts'
import { held, order, policy, settlement, START_MS } from '../contract/ledger-samples.ts'
import { copyFolder, firstSegment, flipped, journalOf, linesOf, makeCalls, newFolder, openLedger } from './support.ts'

interface Found {
  readonly scan: Scan
  /** What was accepted, in bytes of JSON. */
  readonly accepted: readonly string[]
}

async function scan(folder: string, files: ReadonlyMap<string, Buffer>): Promise<Found> {
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) if (!files.has(name)) rmSync(join(folder, name))
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes)
  return scanAgain(folder)
}

async function scanAgain(folder: string): Promise<Found> {
  const accepted: string[] = []
  return { scan: await scanJournal(folder, START, undefined, (record) => accepted.push(JSON.stringify(record))), accepted }
}

/** An altered journal is either found damaged, or what is accepted of it is a prefix and every byte after that is reported. */
function expectNoneAcceptedSilently(whole: Found, altered: Found, size: number, what: string): void {
  const { accepted, scan: result } = altered
  expect(accepted, what).toEqual(whole.accepted.slice(0, accepted.length))
  if (result.ending.kind === 'damaged') return
  expect(result.ending.kind, what).toBe('torn')
  if (result.ending.kind === 'torn') expect(result.at.offset + result.ending.bytes, what).toBe(size)
}

describe('an altered journal', () => {
  it('is found damaged or gives an exact prefix, whichever one bit is another', async () => {
    const files = await journalOf(1)
    const [[name, bytes]] = [...files] as [[string, Buffer]]
    const folder = newFolder()
    const whole = await scan(folder, files)
    expect(whole.scan.ending.kind).toBe('whole')
    const kinds = { torn: 0, damaged: 0 }
    const lastLine = bytes.lastIndexOf('\n', -2) + 1
    const fd = openSync(join(folder, name), 'r+')
    onTestFinished(() => closeSync(fd))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const index = bit >> 3
      writeSync(fd, flipped(bytes, bit), index, 1, index)
      const found = await scanAgain(folder)
      writeSync(fd, bytes, index, 1, index)
      expectNoneAcceptedSilently(whole, found, bytes.length, `bit ${bit}`)
      // Each of these lines was on disk before the next was written: only the last may be taken for unacknowledged.
      if (index < lastLine - 1) expect(found.scan.ending.kind, `bit ${bit}`).toBe('damaged')
      if (found.scan.ending.kind !== 'whole') kinds[found.scan.ending.kind]++
    }
    expect(kinds.torn + kinds.damaged).toBe(bytes.length * 8)
    expect(kinds.torn).toBeGreaterThan(0)
  })

  it('gives an exact prefix, wherever it is cut short', async () => {
    const files = await journalOf(2)
    const [[name, bytes]] = [...files] as [[string, Buffer]]
    const folder = newFolder()
    const whole = await scan(folder, files)
    for (let length = bytes.length - 1; length >= 0; length--) {
      truncateSync(join(folder, name), length)
      const cut = bytes.subarray(0, length)
      const { accepted, scan: result } = await scanAgain(folder)
      expect(accepted, `${length} bytes`).toEqual(whole.accepted.slice(0, linesOf(cut).filter((line) => line.endsWith('\n')).length))
      expect(result.at.offset, `${length} bytes`).toBe(cut.lastIndexOf('\n') + 1)
      expect(result.ending.kind).toBe(result.at.offset === length ? 'whole' : 'torn')
    }
  })

  it.each<[string, (lines: string[], index: number) => void]>([
    ['removed', (lines, index) => void lines.splice(index, 1)],
    ['doubled', (lines, index) => void lines.splice(index, 0, ...lines.slice(index, index + 1))],
    ['swapped with the next', (lines, index) => void lines.splice(index, 2, ...lines.slice(index, index + 2).toReversed())],
    [
      'written with a carriage return',
      (lines, index) => void lines.splice(index, 1, ...lines.slice(index, index + 1).map((line) => line.replace('\n', '\r\n'))),
    ],
    ['preceded by a byte order mark', (lines, index) => void lines.splice(index, 0, '\xef\xbb\xbf')],
    ['preceded by an empty line', (lines, index) => void lines.splice(index, 0, '\n')],
    ['made longer than a mebibyte', (lines, index) => void lines.splice(index, 0, 'x'.repeat(3_000_000))],
  ])('is found damaged when a line is %s', async (_, edit) => {
    const files = await journalOf(3)
    const [[name, bytes]] = [...files] as [[string, Buffer]]
    const folder = newFolder()
    const whole = await scan(folder, files)
    const count = linesOf(bytes).length
    for (let index = 0; index < count - 2; index++) {
      const lines = [...linesOf(bytes)]
      edit(lines, index)
      const altered = Buffer.from(lines.join(''), 'latin1')
      const found = await scan(folder, new Map([[name, altered]]))
      expectNoneAcceptedSilently(whole, found, altered.length, `line ${index}`)
      expect(found.scan.ending.kind, `line ${index}`).toBe('damaged')
    }
  })

  it('is found damaged when a segment is missing, cut short, or not what its seal says', async () => {
    const files = await journalOf(6, { segmentBytes: 1000 })
    const folder = newFolder()
    const whole = await scan(folder, files)
    expect(files.size).toBeGreaterThan(3)
    expect(whole.scan.ending.kind).toBe('whole')
    for (const [name, bytes] of [...files].slice(0, -1)) {
      const without = new Map(files)
      without.delete(name)
      expect((await scan(folder, without)).scan.ending.kind, `without ${name}`).toBe('damaged')
      for (const length of [0, bytes.length - 1, bytes.lastIndexOf('\n', -2) + 1]) {
        expect((await scan(folder, new Map(files).set(name, bytes.subarray(0, length)))).scan.ending.kind, `${name} of ${length} bytes`).toBe('damaged')
      }
      const longer = new Map(files).set(name, Buffer.concat([bytes, Buffer.from('{}\n')]))
      expect((await scan(folder, longer)).scan.ending, name).toMatchObject({ kind: 'damaged', reason: expect.stringContaining('after its seal') })
    }
  })
})

it('finds a seal that is not the hash of its segment, though every line follows from the one before', async () => {
  const open = { type: 'open', ledger: 'l', session: 's', time: '2026-11-20T15:00:00.000Z', format: 1 } as const
  const sealed = encodeLines([open, { type: 'seal', sha256: '0'.repeat(64) }], START, 0).bytes
  const { ending } = (await scan(newFolder(), new Map([['journal-000001.jsonl', sealed]]))).scan
  expect(ending).toMatchObject({ kind: 'damaged', reason: expect.stringContaining('is not what its seal says') })
})

describe('opening', () => {
  it('cuts a torn end, keeps it aside, says so, and goes on', async () => {
    const folder = newFolder()
    const first = await openLedger(folder)
    await makeCalls(first, 2)
    const left = copyFolder(folder)
    // Longer than what opening and closing write in its place.
    const torn = `{"seq":8,"type":"settle","synced":7,"time${'x'.repeat(5000)}`
    writeFileSync(firstSegment(left), torn, { flag: 'a' })
    const warnings: string[] = []
    const ledger = await openLedger(left, { onWarning: (text) => warnings.push(text) })
    expect(ledger.fault).toBeUndefined()
    expect(ledger.opened.cutBytes).toBe(5041)
    expect(warnings).toEqual([expect.stringContaining('Cut 5041 bytes of an unacknowledged batch to cut-')])
    const aside = readdirSync(left).filter((name) => name.startsWith('cut-'))
    expect(aside).toEqual([expect.stringMatching(/^cut-\d{8}T\d{9}Z-8\.jsonl$/)])
    expect(readFileSync(join(left, ...aside), 'utf8')).toBe(torn)
    await ledger.usePolicy(policy(), START_MS)
    await ledger.close()
    const again = await openLedger(left)
    expect(again.fault).toBeUndefined()
    expect(again.opened.cutBytes).toBe(0)
  })

  it('presumes spent what was reserved and never settled', async () => {
    const folder = newFolder()
    const first = await openLedger(folder)
    await first.usePolicy(policy(), START_MS)
    const { id } = held(first.reserve(order()))
    await first.flush()
    const ledger = await openLedger(copyFolder(folder))
    await ledger.usePolicy(policy(), START_MS)
    expect(ledger.opened.presumed.map((hold) => hold.id)).toEqual([id])
    expect(ledger.meters[0]).toMatchObject({ settled: 0, held: 0, presumed: 50_000_000 })
  })

  it('stops cloud calls on a damaged journal, writes nothing to it, and still reads what was verified', async () => {
    const folder = newFolder()
    const first = await openLedger(folder)
    await makeCalls(first, 3)
    const left = copyFolder(folder)
    const lines = linesOf(readFileSync(firstSegment(left)))
    const damaged = lines.map((line) => (line.startsWith('{"seq":6,') ? line.replace('0.0165', '0.0005') : line)).join('')
    writeFileSync(firstSegment(left), damaged, 'latin1')
    const ledger = await openLedger(left)
    expect(ledger.fault).toMatchObject({ code: 'LEDGER_DAMAGED', reason: expect.stringContaining('the line of seq 6 does not match its checksum') })
    expect(JSON.parse(readFileSync(join(left, 'fault.json'), 'utf8'))).toEqual(ledger.fault)
    expect(await readLedger(left)).toMatchObject({ fault: { code: 'LEDGER_DAMAGED' }, policyText: 'budgets: {}' })
    expect(ledger.spend(0, START_MS * 2)).toMatchObject([{ costNano: 16_500_000, requests: 1 }])
    expect(ledger.reserve(order())).toEqual({ ok: false, limits: [] })
    const local = ledger.reserve(order({ backend: 'local', kind: 'local', model: 'llama' }))
    await expect(local.ok && local.durable).rejects.toMatchObject({ code: 'LEDGER_DAMAGED' })
    await expect(ledger.flush()).rejects.toMatchObject({ code: 'LEDGER_DAMAGED' })
    await ledger.close()
    expect(readFileSync(firstSegment(left), 'latin1')).toBe(damaged)
    expect(readdirSync(left)).not.toContain('checkpoint.json')
    // Mended, it opens again and the fault is gone.
    writeFileSync(firstSegment(left), lines.join(''), 'latin1')
    expect((await openLedger(left)).fault).toBeUndefined()
    expect(readdirSync(left)).not.toContain('fault.json')
  })
})

describe('a checkpoint', () => {
  /** A closed ledger of three calls, and its folder. */
  async function closed(): Promise<string> {
    const folder = newFolder()
    const ledger = await openLedger(folder)
    await makeCalls(ledger, 3)
    await ledger.close()
    return folder
  }

  async function settledIn(folder: string, warnings: string[] = []): Promise<{ fault: string | undefined; settled: number | undefined }> {
    const ledger = await openLedger(folder, { onWarning: (text) => warnings.push(text) })
    await ledger.usePolicy(policy(), START_MS).catch(() => undefined)
    return { fault: ledger.fault?.code, settled: ledger.meters[0]?.settled }
  }

  const WHOLE = { fault: undefined, settled: 3 * 16_500_000 }

  it('gives the same books as the whole journal', async () => {
    const folder = await closed()
    const without = copyFolder(folder)
    rmSync(join(without, 'checkpoint.json'))
    expect(await settledIn(folder)).toEqual(WHOLE)
    expect(await settledIn(without)).toEqual(WHOLE)
  })

  it('that is older only makes the replay longer', async () => {
    const folder = await closed()
    const old = join(dirname(folder), 'old.json')
    copyFileSync(join(folder, 'checkpoint.json'), old)
    const ledger = await openLedger(folder)
    await ledger.usePolicy(policy(), START_MS)
    await ledger.settle(held(ledger.reserve(order())).id, settlement({ costNano: 1 })).durable
    await ledger.close()
    copyFileSync(old, join(folder, 'checkpoint.json'))
    expect(await settledIn(folder)).toEqual({ fault: undefined, settled: 3 * 16_500_000 + 1 })
  })

  it('that is corrupt in any byte is set aside with a warning, and the journal replayed', async () => {
    const folder = await closed()
    const bytes = readFileSync(join(folder, 'checkpoint.json'))
    for (let index = 0; index < bytes.length; index += 97) {
      const copy = copyFolder(folder)
      writeFileSync(join(copy, 'checkpoint.json'), flipped(bytes, index * 8))
      const warnings: string[] = []
      expect(await settledIn(copy, warnings), `byte ${index}`).toEqual(WHOLE)
      expect(warnings).toEqual([expect.stringContaining('The checkpoint is set aside')])
    }
  })

  it('that says more than the journal has is damage', async () => {
    const folder = await closed()
    const shorter = copyFolder(folder)
    truncateSync(firstSegment(shorter), 500)
    expect((await readLedger(shorter)).fault).toMatchObject({ code: 'LEDGER_DAMAGED', reason: expect.stringContaining('is shorter than') })
    expect(await settledIn(shorter)).toMatchObject({ fault: 'LEDGER_DAMAGED', settled: WHOLE.settled })
    const without = copyFolder(folder)
    rmSync(firstSegment(without))
    expect(await settledIn(without)).toMatchObject({ fault: 'LEDGER_DAMAGED' })
  })

  it('proves that what stands before it in its segment was not altered, in any byte', async () => {
    const folder = await closed()
    const bytes = readFileSync(firstSegment(folder))
    for (let index = 0; index < bytes.length; index += 131) {
      const copy = copyFolder(folder)
      writeFileSync(firstSegment(copy), flipped(bytes, index * 8))
      expect(await settledIn(copy), `byte ${index}`).toMatchObject({ fault: 'LEDGER_DAMAGED' })
    }
  })

  it('may stand in for older segments that were taken away, but not for its own', async () => {
    const folder = newFolder()
    const ledger = await openLedger(folder, { segmentBytes: 1000 })
    await makeCalls(ledger, 3)
    await ledger.close()
    const segments = readdirSync(folder).filter((name) => name.startsWith('journal-'))
    expect(segments.length).toBeGreaterThan(2)
    const own = segments.at(-1) ?? ''
    for (const name of segments) if (name !== own) rmSync(join(folder, name))
    expect(await settledIn(copyFolder(folder))).toEqual(WHOLE)
    rmSync(join(folder, own))
    expect(await settledIn(folder)).toMatchObject({ fault: 'LEDGER_DAMAGED' })
  })

  it('leaves no temporary files, not even those of a process that died', async () => {
    const folder = await closed()
    writeFileSync(join(folder, 'checkpoint.json.1.x.tmp'), '{')
    await settledIn(folder)
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })
})

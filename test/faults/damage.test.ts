import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { encodeLines } from '../../packages/core/src/ledger/journal-lines.ts'
import { START } from '../../packages/core/src/ledger/journal-scan.ts'
import { readLedger } from '../../packages/core/src/ledger/reader.ts'
import { held, order, policy, settlement, START_MS } from '../contract/ledger-samples.ts'
import {
  copyFolder,
  expectNoneAcceptedSilently,
  firstSegment,
  flipped,
  journalOf,
  linesOf,
  makeCalls,
  newFolder,
  openLedger,
  scan,
  scanAgain,
} from './support.ts'

describe('an altered journal', () => {
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
    for (let index = 0; index < count; index++) {
      const lines = [...linesOf(bytes)]
      edit(lines, index)
      const altered = Buffer.from(lines.join(''), 'latin1')
      if (altered.equals(bytes)) continue
      const found = await scan(folder, new Map([[name, altered]]))
      // A journal without its last line is an exact prefix: nothing else could tell.
      if (bytes.subarray(0, altered.length).equals(altered)) expect(found.accepted).toEqual(whole.accepted.slice(0, -1))
      else expectNoneAcceptedSilently(whole, found, altered.length, `line ${index}`)
      if (index < count - 2) expect(found.scan.ending.kind, `line ${index}`).toBe('damaged')
    }
  })

  it('is found damaged or gives an exact prefix when its end turns into zeros, from whichever byte on', async () => {
    const files = await journalOf(2)
    const [[name, bytes]] = [...files] as [[string, Buffer]]
    const folder = newFolder()
    const whole = await scan(folder, files)
    for (let from = bytes.length - 1; from >= 0; from -= 3) {
      const found = await scan(folder, new Map([[name, Buffer.from(bytes).fill(0, from)]]))
      expectNoneAcceptedSilently(whole, found, bytes.length, `byte ${from}`)
      expect(found.accepted, `byte ${from}`).toHaveLength(linesOf(bytes.subarray(0, from)).filter((line) => line.endsWith('\n')).length)
    }
  })

  it.each<[string, (text: string) => string]>([
    ['in a byte order mark', (text) => `\xef\xbb\xbf${text}`],
    ['in an empty line', (text) => `\n${text}`],
  ])('is found damaged when it begins %s', async (_, edit) => {
    const files = await journalOf(2)
    const [[name, bytes]] = [...files] as [[string, Buffer]]
    const found = await scan(newFolder(), new Map([[name, Buffer.from(edit(bytes.toString('latin1')), 'latin1')]]))
    expect(found).toMatchObject({ accepted: [], scan: { ending: { kind: 'damaged' } } })
  })

  it('is found damaged when each of its lines ends as on Windows', async () => {
    const files = await journalOf(2)
    const [[name, bytes]] = [...files] as [[string, Buffer]]
    const found = await scan(newFolder(), new Map([[name, Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1')]]))
    expect(found).toMatchObject({ accepted: [], scan: { ending: { kind: 'damaged' } } })
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

  it.each<[string, Buffer]>([
    ['a page of zeros', Buffer.alloc(4096)],
    ['one zero', Buffer.alloc(1)],
    ['more zeros than a line may have bytes', Buffer.alloc(2 ** 20 + 5)],
    ['a carriage return', Buffer.from('\r\n')],
    ['a byte order mark', Buffer.from('\xef\xbb\xbf', 'latin1')],
    ['a line that is too long', Buffer.from(`${'x'.repeat(3_000_000)}\n`)],
    ['half of a letter', Buffer.from('{"seq":8,"type":"settle","task_id":"\xc3', 'latin1')],
  ])('recovers the books exactly from a journal that ends in %s, and keeps that aside', async (_, tail) => {
    const left = newFolder()
    mkdirSync(left, { mode: 0o700 })
    for (const [name, bytes] of await journalOf(2)) writeFileSync(join(left, name), Buffer.concat([bytes, tail]), { mode: 0o600 })
    const ledger = await openLedger(left)
    expect(ledger.fault).toBeUndefined()
    expect(ledger.opened.cutBytes).toBe(tail.length)
    await ledger.usePolicy(policy(), START_MS)
    expect(ledger.meters[0]).toMatchObject({ settled: 2 * 16_500_000, held: 0, presumed: 0 })
    const [aside = ''] = readdirSync(left).filter((name) => name.startsWith('cut-'))
    expect(readFileSync(join(left, aside)).equals(tail)).toBe(true)
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

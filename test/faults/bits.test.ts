import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { expectNoneAcceptedSilently, flipped, journalOf, newFolder, scan, scanAgain } from './support.ts'

it('a journal is found damaged or gives an exact prefix, whichever one bit is another', async () => {
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

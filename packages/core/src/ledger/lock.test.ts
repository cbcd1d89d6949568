import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { takeLock } from './lock.ts'

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lock-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Whether another process gets the lock. */
function freeElsewhere(folder: string): boolean {
  const script = `new (require('node:sqlite').DatabaseSync)(process.argv[1], { timeout: 0 }).exec('BEGIN EXCLUSIVE')`
  return spawnSync(process.execPath, ['-e', script, join(folder, 'lock')]).status === 0
}

it('is held against this process and others, also after refused attempts, until it is released', () => {
  const folder = newFolder()
  const lock = takeLock(folder)
  for (let attempt = 0; attempt < 3; attempt++) {
    expect(() => takeLock(folder)).toThrow(expect.objectContaining({ code: 'LEDGER_LOCKED' }))
    expect(freeElsewhere(folder)).toBe(false)
  }
  lock.release()
  lock.release()
  expect(freeElsewhere(folder)).toBe(true)
  takeLock(folder).release()
})

it('leaves one empty file of mode 0600', () => {
  const folder = newFolder()
  takeLock(folder).release()
  expect(readdirSync(folder)).toEqual(['lock'])
  expect(statSync(join(folder, 'lock')).mode & 0o777).toBe(0o600)
})

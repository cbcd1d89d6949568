import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readLedger } from '../../packages/core/src/ledger/reader.ts'
import { held, order, policy, START_MS } from '../contract/ledger-samples.ts'
import { copyFolder, firstSegment, makeCalls, newFolder, openLedger } from './support.ts'

const HAS_PIPES = spawnSync('mkfifo', ['--version']).status === 0

function pipe(path: string): void {
  expect(spawnSync('mkfifo', ['-m', '600', path]).status).toBe(0)
}

async function closedLedger(): Promise<string> {
  const folder = newFolder()
  const ledger = await openLedger(folder)
  await makeCalls(ledger, 2)
  await ledger.close()
  return folder
}

describe('the folder', () => {
  it.each<[string, (folder: string) => void]>([
    ['a link', (folder) => (mkdirSync(`${folder}-real`), symlinkSync(`${folder}-real`, folder))],
    ['a link to nowhere', (folder) => symlinkSync(`${folder}-nowhere`, folder)],
    ['a file', (folder) => writeFileSync(folder, '')],
    [
      'below a file',
      (folder) => (mkdirSync(folder), rmSync(folder, { recursive: true }), rmSync(dirname(folder), { recursive: true }), writeFileSync(dirname(folder), '')),
    ],
    ['one whose lock is a folder', (folder) => mkdirSync(join(folder, 'lock'), { recursive: true })],
    ['one whose lock is no database', (folder) => (mkdirSync(folder), writeFileSync(join(folder, 'lock'), 'x'.repeat(1000)))],
    ['one whose segment is a link', (folder) => (mkdirSync(folder), symlinkSync('/dev/null', firstSegment(folder)))],
    ['one whose checkpoint is a link', (folder) => (mkdirSync(folder), symlinkSync('/dev/null', join(folder, 'checkpoint.json')))],
    ['one whose history is a link', (folder) => (mkdirSync(folder), symlinkSync('/dev/null', join(folder, 'history.sqlite')))],
  ])('is refused when it is %s', async (_, make) => {
    const folder = newFolder()
    make(folder)
    await expect(openLedger(folder)).rejects.toMatchObject({ code: 'LEDGER_UNWRITABLE' })
    await expect(openLedger(`${folder}/`)).rejects.toMatchObject({ code: 'LEDGER_UNWRITABLE' })
  })

  // In a process of its own: what goes wrong here never ends.
  it.skipIf(!existsSync('/proc/self'))('is refused where the system will have no folder (needs /proc)', () => {
    const module = new URL('../../packages/core/src/ledger/json-ledger.ts', import.meta.url)
    const script = `const { openJsonLedger } = await import(${JSON.stringify(module.href)})
      await openJsonLedger({ folder: '/proc/manciple/ledger', nowMs: 0 }).catch(({ code }) => console.log(code))`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--no-warnings', '-e', script], { encoding: 'utf8', timeout: 20_000 })
    expect(stdout).toBe('LEDGER_UNWRITABLE\n')
  })

  it.skipIf(!HAS_PIPES)('is refused when it is a pipe (needs mkfifo)', async () => {
    const folder = newFolder()
    pipe(folder)
    await expect(openLedger(folder)).rejects.toMatchObject({ code: 'LEDGER_UNWRITABLE', message: expect.stringContaining('it is not a folder') })
    await expect(readLedger(folder)).rejects.toMatchObject({ code: 'LEDGER_MISSING' })
  })

  it.skipIf(!HAS_PIPES).each(['journal-000001.jsonl', 'checkpoint.json', 'fault.json', 'lock', 'history.sqlite'])(
    'is refused, and keeps no reader waiting, when %s in it is a pipe (needs mkfifo)',
    async (name) => {
      const folder = await closedLedger()
      rmSync(join(folder, name), { force: true })
      pipe(join(folder, name))
      await expect(openLedger(folder)).rejects.toMatchObject({
        code: 'LEDGER_UNWRITABLE',
        message: expect.stringContaining(`${name} in it is not a regular file`),
      })
      const { books } = await readLedger(folder)
      if (name !== 'journal-000001.jsonl') expect(books.spend(0, START_MS * 2)).toMatchObject([{ requests: 2 }])
    },
  )

  it.skipIf(process.platform === 'win32')('is refused where everyone may put another in its place', async () => {
    const folder = await closedLedger()
    const parent = dirname(folder)
    chmodSync(parent, 0o777)
    const refusal = { code: 'LEDGER_UNWRITABLE', message: expect.stringContaining(`everyone may write ${parent}`) }
    await expect(openLedger(folder)).rejects.toMatchObject(refusal)
    // Also where it is yet to be made, however deep, and asking twice changes nothing.
    await expect(openLedger(join(parent, 'new', 'ledger'))).rejects.toMatchObject(refusal)
    await expect(openLedger(join(parent, 'new', 'ledger'))).rejects.toMatchObject(refusal)
    expect(readdirSync(parent)).toEqual(['ledger'])
    chmodSync(parent, 0o1777)
    expect((await openLedger(folder)).fault).toBeUndefined()
    chmodSync(parent, 0o755)
    expect((await openLedger(join(parent, 'new', 'ledger'))).fault).toBeUndefined()
  })

  it.skipIf(process.platform === 'win32')('and its files are for their owner alone after every seal, cut and checkpoint', async () => {
    const modes = (folder: string): readonly string[] =>
      readdirSync(folder)
        .filter((name) => (statSync(join(folder, name)).mode & 0o777) !== 0o600)
        .map((name) => `${name} is ${(statSync(join(folder, name)).mode & 0o777).toString(8)}`)
    const folder = join(newFolder(), 'deep', 'ledger')
    const ledger = await openLedger(folder, { segmentBytes: 1_000 })
    await ledger.usePolicy(policy(), START_MS)
    for (let call = 0; call < 20; call++) {
      const reserved = ledger.reserve(order())
      held(reserved)
      if (reserved.ok) await reserved.durable
      expect(modes(folder)).toEqual([])
    }
    await ledger.close()
    expect(modes(folder)).toEqual([])
    for (const made of [folder, dirname(folder), dirname(dirname(folder))]) expect(statSync(made).mode & 0o777, made).toBe(0o700)
    const damaged = copyFolder(folder)
    const last = readdirSync(damaged).findLast((name) => name.startsWith('journal-')) ?? ''
    writeFileSync(join(damaged, last), 'x', { flag: 'a' })
    const again = await openLedger(damaged)
    again.closeSync()
    const [cut] = readdirSync(damaged).filter((name) => name.startsWith('cut-'))
    expect(cut).toBeDefined()
    expect(modes(damaged)).toEqual([])
    expect(readdirSync(folder).filter((name) => !name.startsWith('journal-'))).toEqual(['checkpoint.json', 'lock'])
  })
})

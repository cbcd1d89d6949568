import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, test } from 'vitest'
import { readPassword } from './password.ts'
import { bridgeSettings, parseBridgeSettings } from './settings.ts'
import { readBridgeSettings } from './settings-file.ts'

const DEFAULTS = { url: 'ws://127.0.0.1:4002/', account: 'manciple', password: { env: 'MANCIPLE_EVENNIA_PASSWORD' }, ledger: 'data/ledger', latest: false }

describe('the settings of a bridge', () => {
  it('all have defaults, which configs/evennia.yaml shows', () => {
    expect(bridgeSettings({})).toEqual(DEFAULTS)
    expect(parseBridgeSettings('', 'empty.yaml')).toEqual(DEFAULTS)
    expect(readBridgeSettings('configs/evennia.yaml')).toEqual(DEFAULTS)
  })

  it('of the command line stand instead of the file', () => {
    const file = 'account: filed\npassword_env: FILED\n'
    expect(parseBridgeSettings(file, 'f', { account: 'given', password_file: 'secret', url: undefined })).toMatchObject({
      account: 'given',
      password: { file: 'secret' },
      url: DEFAULTS.url,
    })
  })

  it('that are wrong are all said at once, with line and remedy', () => {
    const source = 'url: http://x/\nacount: me\nledger: 7\npassword: hunter2\n'
    const attempt = (): unknown => parseBridgeSettings(source, 'evennia.yaml')
    expect(attempt).toThrow(/evennia\.yaml:1:1: `url`[^]*expected a websocket URL|evennia\.yaml:1:1[^]*websocket URL/)
    expect(attempt).toThrow(/evennia\.yaml:2:1: `acount` is not a setting/)
    expect(attempt).toThrow(/evennia\.yaml:3:1/)
    expect(attempt).toThrow(/evennia\.yaml:4:1: `password` is not a setting/)
    expect(attempt).toThrow(expect.objectContaining({ code: 'BRIDGE_CONFIG_INVALID' }))
  })

  it.each([
    ['a list', '- url\n', /not a mapping/],
    ['no YAML', 'url: [\n', /f:\d+:\d+: This is not plain YAML/],
    ['a key twice', 'url: ws://localhost/\nurl: ws://localhost/\n', /f:2:1/],
    ['an alias bomb', 'a: &a [x]\nb: [*a, *a]\n', /alias|not a setting/i],
    ['two places for the password', 'password_env: A\npassword_file: b\n', /f:2:1[^]*found both/],
    ['a password in the URL', 'url: wss://me:pw@host/\n', /without a password in it/],
    ['a file that is too long', '#'.repeat(20_000), /at most 16384 characters/],
  ])('%s is refused', (_, source, text) => {
    expect(() => parseBridgeSettings(source, 'f')).toThrow(text)
  })

  it('keep the password off the network, unless it is said to be private', () => {
    for (const url of ['ws://127.0.0.1:4002/', 'ws://localhost/', 'ws://[::1]:80/', 'wss://game.example.com/ws'])
      expect(bridgeSettings({ url })).toMatchObject({ url })
    for (const url of ['ws://game.example.com/', 'ws://10.0.0.1/', 'ws://127.0.0.1.example.com/']) {
      expect(() => bridgeSettings({ url })).toThrow(/shows the password to the network/)
      expect(bridgeSettings({ url, allow_plaintext: true })).toMatchObject({ url })
    }
  })

  it('that cannot be read say so', () => {
    expect(() => readBridgeSettings('no/such.yaml')).toThrow(/no\/such\.yaml cannot be read/)
  })
})

test('a password comes from the environment, or from a file that only its owner may read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'password-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'secret')
  expect(readPassword({ env: 'A' }, { A: 'x' })).toBe('x')
  expect(() => readPassword({ env: 'A' }, {})).toThrow(expect.objectContaining({ code: 'BRIDGE_PASSWORD_MISSING' }))
  expect(() => readPassword({ file }, {})).toThrow(expect.objectContaining({ code: 'BRIDGE_PASSWORD_MISSING' }))
  writeFileSync(file, ' s3cret \n', { mode: 0o600 })
  expect(readPassword({ file }, {})).toBe('s3cret')
  for (const mode of [0o640, 0o604, 0o644]) {
    chmodSync(file, mode)
    expect(() => readPassword({ file }, {})).toThrow(
      expect.objectContaining({ code: 'BRIDGE_PASSWORD_EXPOSED', message: expect.not.stringContaining('s3cret') }),
    )
  }
})

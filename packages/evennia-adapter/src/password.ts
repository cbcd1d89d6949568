import { readFileSync, statSync } from 'node:fs'
import { BridgeError } from './errors.ts'
import type { PasswordPlace } from './settings.ts'

/**
 * Reads the password where the settings say that it is. White space around it does not count.
 * @throws BridgeError `BRIDGE_PASSWORD_MISSING`, `BRIDGE_PASSWORD_EXPOSED` for a file that others than its owner may read.
 */
export function readPassword(place: PasswordPlace, env: Readonly<Record<string, string | undefined>>): string {
  const [found, where] = 'env' in place ? [env[place.env], `the environment variable ${place.env}`] : [readSecret(place.file), place.file]
  const password = found?.trim() ?? ''
  if (password === '') throw new BridgeError('BRIDGE_PASSWORD_MISSING', `There is no password in ${where}.`)
  return password
}

function readSecret(file: string): string {
  try {
    const { mode } = statSync(file)
    // Windows has no such bits.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new BridgeError('BRIDGE_PASSWORD_EXPOSED', `${file} has mode ${(mode & 0o777).toString(8).padStart(4, '0')}.`)
    }
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof BridgeError) throw error
    throw new BridgeError('BRIDGE_PASSWORD_MISSING', `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

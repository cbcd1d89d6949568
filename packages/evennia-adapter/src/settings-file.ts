import { readFileSync } from 'node:fs'
import { BridgeError } from './errors.ts'
import { parseBridgeSettings, type BridgeSettings, type BridgeSettingsInput } from './settings.ts'

/**
 * Reads a file such as `configs/evennia.yaml`. Paths in it are relative to the working directory.
 * @param over settings that stand instead of the file's
 * @throws BridgeError `BRIDGE_CONFIG_INVALID`.
 */
export function readBridgeSettings(file: string, over: BridgeSettingsInput = {}): BridgeSettings {
  let source: string
  try {
    source = readFileSync(file, 'utf8')
  } catch (error) {
    throw new BridgeError('BRIDGE_CONFIG_INVALID', `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  return parseBridgeSettings(source, file, over)
}

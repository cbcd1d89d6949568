/** Every error that the bridge to a game adds to Manciple's, by code: what to do. */
export const BRIDGE_ERRORS = {
  BRIDGE_CONFIG_INVALID: 'Mend the file or the option, and start the bridge again. configs/evennia.yaml is an example.',
  BRIDGE_PASSWORD_MISSING: "Put the password of the bridge's account into the environment variable or the file that is named; `evennia costs_setup` prints it.",
  BRIDGE_PASSWORD_EXPOSED: 'Others can read the file with the password. Run `chmod 600` on it.',
} as const

export type BridgeErrorCode = keyof typeof BRIDGE_ERRORS

/** The only error class that the bridge throws on purpose. `code` is stable; `message` is for people. */
export class BridgeError extends Error {
  override readonly name = 'BridgeError'
  readonly code: BridgeErrorCode

  /** @param found what was found, and where; the remedy from {@link BRIDGE_ERRORS} is appended. */
  constructor(code: BridgeErrorCode, found: string, options?: ErrorOptions) {
    super(`${found}\n${BRIDGE_ERRORS[code]}`, options)
    this.code = code
  }
}

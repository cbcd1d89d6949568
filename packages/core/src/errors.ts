/** Every error that Manciple throws, by code: what happened, and what to do. `docs/errors.md` is checked against this table. */
export const ERRORS = {
  CONFIG_MISSING: 'The policy file does not exist. Give the path of an existing file, or let `manciple init` write one.',
  CONFIG_UNREADABLE: 'The policy file cannot be read. Check that it is a regular file and that this user may read it.',
  CONFIG_INVALID: 'The policy file has mistakes. Each is listed with its line; mend them all and load it again. The last good policy stays in force.',
  REQUEST_INVALID:
    'What was asked or noted is malformed, and nothing came of it. Put right what is named: counts are whole and not negative, names not empty and, of models, listed in the policy.',
  QUERY_INVALID: 'The question to the history is malformed. Give two times and the keys to sum by.',
  BACKEND_UNKNOWN: 'The request names a backend that the policy does not have. Name one of those listed, or add it under `backends:`.',
  USAGE_INVALID: 'The reported usage is malformed; nothing was settled. Report whole, non-negative token counts with cached ≤ input and reasoning ≤ output.',
  HOLD_ENDED: 'This dispatch was settled or released before. Each attempt is billed once; ask for a new decision for another attempt.',
  DISPATCH_REFUSED: 'No backend may take this call and the policy has no local backend. Wait for the reset named, raise the limit, or add a local backend.',
  LEDGER_MISSING: 'There is no ledger here. Give the folder that the router writes, or start the router to make one.',
  LEDGER_LOCKED: 'Another process is writing this ledger. Stop it, or give this router a ledger folder of its own.',
  LEDGER_UNWRITABLE: 'The ledger folder cannot be written. Check that it is a folder of this user on a disk with space, not a link.',
  LEDGER_DAMAGED: 'The ledger contradicts itself. Cloud calls stay stopped until `manciple ledger repair` has been run.',
  LEDGER_FAULT: 'The ledger could not be written to disk. Cloud calls stay stopped until the router is started again on a healthy disk.',
  ENTRY_UNKNOWN: 'The ledger has no decision of this id. Give the `id` of an entry that was not imported or adjusted, as `manciple ledger export` shows it.',
  ADJUST_INVALID:
    'The correction is malformed, or would take back more than was spent; nothing was changed. Give whole figures, a reason, and the time of the spend that it corrects.',
  IMPORT_INVALID: 'What is to be imported has mistakes. Each is listed with its line; nothing was imported. Mend them all and import it again.',
  IMPORT_UNPRICED:
    'What is to be imported has no cost and its models no known price; nothing was imported. Give each model a price under `prices:`, start the router once, and import it again.',
  TRACE_INVALID: 'What is to be replayed has mistakes. Each is listed with its line; nothing was replayed. Mend them all and replay it again.',
  RULES_DISAGREE: 'A compiled rule and json-rules-engine disagree. Cloud calls stay stopped; please report the rule.',
  CLOSED: 'Manciple has been closed. Open it again to ask for decisions.',
} as const

export type ErrorCode = keyof typeof ERRORS

/** The only error class that Manciple throws on purpose. `code` is stable; `message` is for people. */
export class MancipleError extends Error {
  override readonly name = 'MancipleError'
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>

  /** @param found what was found, and where; the remedy from {@link ERRORS} is appended. */
  constructor(code: ErrorCode, found: string, details: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(`${found}\n${ERRORS[code]}`, options)
    this.code = code
    this.details = details
  }
}

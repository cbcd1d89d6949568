/** Version of what this package asks of a host and of its config. */
export const PLUGIN_CONTRACT = 1

/**
 * Every error that the plugin itself adds to Manciple's, by code: what happened, and what to do.
 * `status` is what an HTTP client is answered.
 */
export const PLUGIN_ERRORS = {
  PLUGIN_CONFIG_INVALID: { status: 500, remedy: "Mend the options given to the plugin, or its `config` in the router's own config file, and start again." },
  MODEL_UNKNOWN: { status: 400, remedy: 'Name one of the models listed, or `auto` to leave the choice to the policy.' },
  HEADER_INVALID: { status: 400, remedy: 'Mend the header or leave it out.' },
  REQUEST_INVALID: { status: 400, remedy: 'Give whole, non-negative token counts and non-empty names.' },
  INPUT_UNBOUNDED: {
    status: 400,
    remedy:
      'The size of such content does not bound its tokens. Send an upper bound of all input tokens in the header `x-manciple-input-tokens`, in the AI SDK as `providerOptions.manciple.inputTokens`, or give `budgetedFetch` one for such content as `unboundedTokens`.',
  },
  BACKEND_UNCLEAR: {
    status: 500,
    remedy: 'Name the backend of the policy that this URL belongs to: `budgetedFetch(manciple, { backends: { NAME: { url: BASE_URL } } })`.',
  },
  REROUTE_IMPOSSIBLE: {
    status: 429,
    remedy: 'No backend that the budget has room for can take this call as it stands. Wait for the reset named, raise the limit, or mend what is named.',
  },
  ENDPOINT_UNMETERED: { status: 500, remedy: 'The call went through uncounted. Enter what it cost with `manciple ledger adjust`.' },
  BUDGET_REFUSED: { status: 429, remedy: 'Wait for the reset named, raise the limit, or add a local backend to the policy.' },
  BACKENDS_FAILED: { status: 503, remedy: 'Every backend that may take this call has failed it. Try again later.' },
  MANCIPLE_FAILED: { status: 503, remedy: 'No call is dispatched unchecked. See the output of the router for the cause.' },
} as const

export type PluginErrorCode = keyof typeof PLUGIN_ERRORS

/** The only error class that the plugin throws on purpose. `code` is stable; `message` is for people. */
export class PluginError extends Error {
  override readonly name = 'PluginError'
  readonly code: PluginErrorCode
  /** HTTP status for the client. */
  readonly status: number

  /** @param found what was found, and where; the remedy from {@link PLUGIN_ERRORS} is appended. */
  constructor(code: PluginErrorCode, found: string, options?: ErrorOptions) {
    super(`${found}\n${PLUGIN_ERRORS[code].remedy}`, options)
    this.code = code
    this.status = PLUGIN_ERRORS[code].status
  }
}

/** A model name of the host, and the backend and model of the policy that it stands for. */
export interface HostModel {
  readonly backend: string
  readonly model: string
}

/** The model name by which a client leaves the choice to the policy. */
export const AUTO_MODEL = 'auto'

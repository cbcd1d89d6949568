import type { Decision } from '@manciple/core'
import type { PluginError } from './contract.ts'
import type { WireFormat } from './wire/format.ts'

/**
 * An answer in place of the provider's, as its own clients read errors: status 429 becomes their `RateLimitError`.
 * `x-should-retry: false` keeps OpenAI's and Anthropic's SDKs from trying again; `retry-after` says when the budget has room.
 */
export function refusalResponse(error: PluginError, format: WireFormat, resetMs: number | undefined): Response {
  const { status, code, message } = error
  const headers = new Headers({ 'content-type': 'application/json', 'x-should-retry': 'false', 'x-manciple-decision': `refuse;code=${quoted(code)}` })
  if (resetMs !== undefined) headers.set('retry-after', String(Math.max(1, Math.ceil((resetMs - Date.now()) / 1000))))
  return new Response(JSON.stringify(format.errorBody({ status, code, message })), { status, headers })
}

/** The header that tells the caller where the call went and why, as an RFC 9651 item with parameters. */
export function decisionHeader({ verdict, backend = '', model = '', reasons }: Decision): string {
  const reason = verdict === 'dispatch' ? '' : `;reason=${quoted(reasons.join('; '))}`
  return `${verdict};backend=${quoted(backend)};model=${quoted(model)}${reason}`
}

/** A string of RFC 9651: printable ASCII. */
function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, String.raw`\$&`)}"`
}

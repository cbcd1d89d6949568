import { PluginError } from './contract.ts'

/**
 * Checks the output bound that a client asks for. Manciple itself takes 0, for what writes nothing by its nature, such as embeddings;
 * as a bound on a chat, some servers take it for none.
 * @throws PluginError `REQUEST_INVALID`.
 */
export function checkWishedOutput(tokens: number | undefined): void {
  if (tokens === 0) throw new PluginError('REQUEST_INVALID', 'The output bound of the request: expected at least 1 token; found 0.')
}

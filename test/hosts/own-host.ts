import { boundInputTokens } from '@manciple/core'
import type { DecideRequest, Manciple } from '@manciple/core'
import { Call } from '@manciple/router-plugin'
import OpenAI from 'openai'

type Ask = Omit<DecideRequest, 'inputTokens'> & { prompt: string; signal: AbortSignal; onText: (text: string) => void }

/** A router in front of OpenAI-compatible servers, by backend. Each attempt is decided first and billed once, whatever becomes of it. */
export function ownHost(manciple: Manciple, servers: Record<string, OpenAI>, timeoutMs: number) {
  return async ({ prompt, signal, onText, ...wish }: Ask): Promise<void> => {
    const inputTokens = boundInputTokens(Buffer.byteLength(prompt), 1)
    const dispatch = await manciple.decide({ ...wish, inputTokens })
    const { backend, model, maxOutputTokens, hold, reasons } = dispatch.decision
    if (backend === undefined || model === undefined || hold === undefined) throw new Error(reasons.join('; '))
    const call = new Call({ dispatch, id: hold, backend, inputTokens, outputBound: maxOutputTokens, timeoutMs, onFault: console.error })
    const messages = [{ role: 'user' as const, content: prompt }]
    const request = { model, messages, max_tokens: maxOutputTokens, stream: true, stream_options: { include_usage: true } } as const
    try {
      for await (const { choices, usage } of await servers[backend]!.chat.completions.create(request, { signal })) {
        const text = choices[0]?.delta.content ?? ''
        if (text !== '') call.progress(Buffer.byteLength(text), undefined)
        if (usage) call.progress(0, usageOf(usage))
        onText(text)
      }
      // The SDK ends an aborted stream without an error.
      if (signal.aborted) call.abandon('aborted')
      else call.answered()
    } catch (error) {
      if (isRefusal(error) && !call.streaming) call.release('the server did not serve it')
      else call.abandon(signal.aborted ? 'aborted' : error instanceof OpenAI.APIError ? 'error' : 'cut')
      throw error
    }
  }
}

/** A time-out is no refusal: the server may have served the call. */
function isRefusal(error: unknown): boolean {
  if (error instanceof OpenAI.APIUserAbortError || error instanceof OpenAI.APIConnectionTimeoutError) return false
  return error instanceof OpenAI.APIError && error.status !== 408 && error.status !== 504
}

/** Input includes what was read from a cache. */
function usageOf({ prompt_tokens, completion_tokens, prompt_tokens_details }: OpenAI.CompletionUsage) {
  return { inputTokens: prompt_tokens, outputTokens: completion_tokens, cacheReadTokens: prompt_tokens_details?.cached_tokens ?? 0 }
}

import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import type { LanguageModelV4 } from '@ai-sdk/provider'
import { openManciple } from '@manciple/core'
import type { Manciple } from '@manciple/core'
import { budgeted, mancipleRouter } from '@manciple/router-plugin/ai-sdk'
import type { HostCall, HostSetting, HostUnderTest, OpenHost } from '@manciple/router-plugin/conformance'
import { generateText, streamText } from 'ai'

type ClaudeOver = 'openai-compatible' | 'anthropic'

/** The AI SDK in this process. Its providers speak the real wire formats to the fake ones; a call that may fail over is routed, another goes to its model alone. */
function aiSdkHost(over: ClaudeOver): HostUnderTest {
  return {
    name: `ai-sdk over ${over}`,
    ...(over === 'anthropic' ? { cannot: NO_USAGE } : {}),
    async open(setting: HostSetting): Promise<OpenHost> {
      const faults: unknown[] = []
      const onFault = (error: unknown): void => void faults.push(error)
      const manciple = await openManciple({ config: { text: setting.policy }, ledger: setting.ledger, onError: onFault })
      const models = modelsFor(setting, over)
      const terms = { manciple, callTimeoutMs: setting.callTimeoutMs, onFault }
      const backends = { claude: models.claude, gpt: models.gpt, local: models.local }
      const routed = mancipleRouter({ ...terms, backends })
      const alone = budgeted(models.claude, { ...terms, backend: 'claude' })
      return {
        call: (call) => attempts(call.taskType === 'work' && !call.failover ? alone : routed, call),
        close: () => closed(manciple, faults),
      }
    },
  }
}

const UNREADABLE = 'the SDK’s own Anthropic provider takes an answer without usage for one that it cannot read; it is billed by its hold'
const NO_USAGE = { 'usage is missing (plain)': UNREADABLE, 'usage is missing (stream)': UNREADABLE }

function modelsFor({ providers }: Pick<HostSetting, 'providers'>, over: ClaudeOver): Record<'claude' | 'gpt' | 'local', LanguageModelV4> {
  const copied = (name: 'claude' | 'gpt' | 'local', model: string): LanguageModelV4 =>
    createOpenAICompatible({ name, baseURL: `${providers[name]}/v1`, apiKey: 'fake', includeUsage: true })(model)
  const direct = createAnthropic({ baseURL: `${providers.claude}/v1`, apiKey: 'fake' })
  return {
    claude: over === 'anthropic' ? direct('claude-sonnet-4-20250514') : copied('claude', 'claude-sonnet-4-20250514'),
    gpt: copied('gpt', 'gpt-4.1'),
    local: copied('local', 'llama3.1:8b'),
  }
}

/** The SDK tries again after errors, and not after a time-out: whoever wants that calls again. */
async function attempts(model: LanguageModelV4, call: HostCall): Promise<string> {
  const { timeoutMs, retries } = call
  if (timeoutMs === undefined) return ask(model, call, retries)
  for (let attempt = 0; ; attempt++) {
    const signal = AbortSignal.any([call.signal, AbortSignal.timeout(timeoutMs)])
    try {
      return await ask(model, { ...call, signal }, 0)
    } catch (error) {
      if (attempt === retries) throw error
    }
  }
}

async function ask(model: LanguageModelV4, call: HostCall, maxRetries: number): Promise<string> {
  const { prompt, maxOutputTokens, signal, taskId, taskType, backend } = call
  const providerOptions = { manciple: { taskId, taskType, backend } }
  const request = { model, prompt, maxOutputTokens, maxRetries, abortSignal: signal, providerOptions }
  if (!call.stream) return (await generateText(request)).text
  let failure: { readonly error: unknown } | undefined
  let text = ''
  const { fullStream } = streamText({ ...request, onError: ({ error }) => void (failure = { error }) })
  for await (const part of fullStream) {
    if (part.type !== 'text-delta') continue
    text += part.text
    call.onText()
  }
  signal.throwIfAborted()
  if (failure !== undefined) throw failure.error
  return text
}

async function closed(manciple: Manciple, faults: readonly unknown[]): Promise<void> {
  await manciple.close()
  if (faults.length > 0) throw new AggregateError(faults, 'Manciple met faults')
}

export const compatible = aiSdkHost('openai-compatible')
export const anthropic = aiSdkHost('anthropic')

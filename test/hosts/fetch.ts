import { openManciple } from '@manciple/core'
import { budgetedFetch } from '@manciple/router-plugin/fetch'
import type { FormatName } from '@manciple/router-plugin/fetch'
import type { HostCall, HostSetting, HostUnderTest, OpenHost } from '@manciple/router-plugin/conformance'
import { askAnthropic, askGemini, askOpenAi, askResponses, anthropicClient, openAi } from './clients.ts'
import { taskHeaders } from './gateway.ts'

type Ask = (origin: string, call: HostCall, fetch: typeof globalThis.fetch) => Promise<string>

/** The clients of each wire format. */
const CLIENTS: Readonly<Record<Exclude<FormatName, 'embeddings'>, Ask>> = {
  'openai-chat': (origin, call, fetch) => askOpenAi(openAi(`${origin}/v1`, call, { headers: taskHeaders(call), fetch }), call),
  'openai-responses': (origin, call, fetch) => askResponses(openAi(`${origin}/v1`, call, { headers: taskHeaders(call), fetch }), call),
  anthropic: (origin, call, fetch) => askAnthropic(anthropicClient(origin, call, { headers: taskHeaders(call), fetch }), call),
  gemini: (origin, call, fetch) => askGemini(origin, call, { headers: taskHeaders(call), fetch }),
}

/** What a format's client or its world does not do, by case. */
const CANNOT: Readonly<Partial<Record<FormatName, Readonly<Record<string, string>>>>> = {
  gemini: {
    'a refusal is final: a client that would try again does not': 'the AI SDK tries again after a 429, whatever the headers say',
    'client tries again after a time-out (plain)': 'the AI SDK does not try again after a time-out of its own',
    'client tries again after a time-out (stream)': 'the AI SDK does not try again after a time-out of its own',
  },
}

/** `budgetedFetch` under the official client of a wire format. */
export function fetchHost(format: Exclude<FormatName, 'embeddings'>): HostUnderTest {
  return {
    name: `fetch (${format})`,
    cannot: CANNOT[format] ?? {},
    async open({ policy, ledger, providers, callTimeoutMs }: HostSetting): Promise<OpenHost> {
      const manciple = await openManciple({ config: { text: policy }, ledger })
      const base = format === 'anthropic' || format === 'gemini' ? '' : '/v1'
      const backends = {
        claude: { url: `${providers.claude}${base}` },
        gpt: { url: `${providers.gpt}${base}`, accepts: [format], apiKey: 'fake' },
        local: { url: `${providers.local}${base}`, accepts: [format] },
      }
      return {
        call: (call) => CLIENTS[format](providers[call.backend], call, budgetedFetch(manciple, { backends, callTimeoutMs, failover: call.failover })),
        close: () => manciple.close(),
      }
    },
  }
}

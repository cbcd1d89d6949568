import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openManciple } from '@manciple/core'
import { conformanceSuite } from '@manciple/router-plugin/conformance'
import type { HostCall, HostUnderTest } from '@manciple/router-plugin/conformance'
import OpenAI from 'openai'
import { afterAll, describe, expect, test } from 'vitest'
import { ownHost } from './own-host.ts'

const host: HostUnderTest = {
  name: 'own host',
  async open({ policy, ledger, providers, callTimeoutMs }) {
    const manciple = await openManciple({ config: { text: policy }, ledger })
    const server = (url: string): OpenAI => new OpenAI({ apiKey: 'fake', baseURL: `${url}/v1`, maxRetries: 0 })
    const servers = { claude: server(providers.claude), gpt: server(providers.gpt), local: server(providers.local) }
    const ask = ownHost(manciple, servers, callTimeoutMs)
    return {
      call: (call) => persistent(call, ask),
      close: () => manciple.close(),
    }
  },
}

/** A client of the host: its patience, and how it tries again. */
async function persistent(call: HostCall, ask: ReturnType<typeof ownHost>): Promise<string> {
  const { timeoutMs, failover, backend } = call
  for (let tries = 0; ; tries++) {
    const signal = timeoutMs === undefined ? call.signal : AbortSignal.any([call.signal, AbortSignal.timeout(timeoutMs)])
    const wish = tries > 0 && failover ? { backend: 'gpt' } : { backend, model: call.model }
    let text = ''
    try {
      await ask({
        ...wish,
        taskId: call.taskId,
        taskType: call.taskType,
        prompt: call.prompt,
        maxOutputTokens: call.maxOutputTokens,
        signal,
        onText(part) {
          text += part
          if (part !== '') call.onText()
        },
      })
      return text
    } catch (error) {
      if (tries >= call.retries + Number(failover) || call.taskType === 'nowhere') throw error
    }
  }
}

const suite = conformanceSuite(host)
afterAll(() => suite.close())

describe('the host of docs/hosts.md', () => {
  for (const { name, run } of suite.cases) test(name, run)

  test('stands there word for word, and has at most 30 lines', () => {
    const code = readFileSync(join(import.meta.dirname, 'own-host.ts'), 'utf8')
    const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'hosts.md'), 'utf8')
    expect(page).toContain(`\`\`\`ts\n${code}\`\`\`\n`)
    const host = /^export function ownHost[^]*?^\}$/m.exec(code)?.[0] ?? ''
    expect(host.split('\n').length).toBeLessThanOrEqual(30)
  })
})

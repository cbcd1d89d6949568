import { conformanceSuite } from '@manciple/router-plugin/conformance'
import { afterAll, describe, test } from 'vitest'
import { expectBilling } from './billing.ts'
import { gatewayFor, gatewayHost } from './gateway.ts'
import { killInMidCall } from './killed.ts'
import type { Victim } from './killed.ts'

const suite = conformanceSuite(gatewayHost)
afterAll(() => suite.close())

const gateway: Victim = {
  async start(setting, stream) {
    const running = await gatewayFor(setting)
    const body = JSON.stringify({ model: 'claude', stream, max_tokens: 300, messages: [{ role: 'user', content: 'What does a manciple buy?' }] })
    const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
    const answer = fetch(`${running.url}/openai/v1/chat/completions`, request).then((response) => response.text())
    answer.catch(() => 'the gateway was killed')
    return {
      async kill() {
        await running.stop('SIGKILL')
      },
    }
  },
}

describe('the gateway host', () => {
  for (const { name, run } of suite.cases) test(name, run)

  test('docs/billing.md says what was billed', async () => {
    expectBilling(gatewayHost.name, suite.billed, [await killInMidCall(gateway)])
  })
})

import { join } from 'node:path'
import { conformanceSuite } from '@manciple/router-plugin/conformance'
import { afterAll, describe, test } from 'vitest'
import { compatible as host } from './ai-sdk.ts'
import { expectBilling } from './billing.ts'
import { inProcess, killInMidCall } from './killed.ts'

const suite = conformanceSuite(host)
afterAll(() => suite.close())

describe('the AI SDK host over openai-compatible', () => {
  for (const { name, run } of suite.cases) test(name, run)

  test('docs/billing.md says what was billed', async () => {
    expectBilling(host.name, suite.billed, [await killInMidCall(inProcess(join(import.meta.dirname, 'ai-sdk.ts'), 'compatible'))])
  })
})

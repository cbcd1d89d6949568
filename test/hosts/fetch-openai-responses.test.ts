import { join } from 'node:path'
import { conformanceSuite } from '@manciple/router-plugin/conformance'
import { afterAll, describe, test } from 'vitest'
import { expectBilling } from './billing.ts'
import { fetchHost } from './fetch.ts'
import { inProcess, killInMidCall } from './killed.ts'

const host = fetchHost('openai-responses')
const suite = conformanceSuite(host)
afterAll(() => suite.close())

describe('the fetch host, openai-responses', () => {
  for (const { name, run } of suite.cases) test(name, run)

  test('docs/billing.md says what was billed', async () => {
    expectBilling(host.name, suite.billed, [await killInMidCall(inProcess(join(import.meta.dirname, 'killed-hosts.ts'), 'openai-responses'))])
  })
})

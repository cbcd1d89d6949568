import { existsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { HostCall, HostSetting, HostUnderTest, OpenHost } from '@manciple/router-plugin/conformance'
import { startGateway } from '../../demo/src/gateway.ts'
import type { Gateway } from '../../demo/src/gateway.ts'
import { openAi, askOpenAi } from './clients.ts'

const BUILT = fileURLToPath(new URL('../../packages/router-plugin/dist/llm-gateway.js', import.meta.url))

/** The unmodified gateway with the built plugin, in a process of its own; the client is OpenAI's own SDK. It fails over by itself. */
export const gatewayHost: HostUnderTest = {
  name: 'llm-gateway',
  cannot: { 'a refusal is final: a client that would try again does not': 'the gateway lets a plugin set the status and the body of an answer, but no header' },
  async open(setting: HostSetting): Promise<OpenHost> {
    if (!existsSync(BUILT)) throw new Error('The gateway loads the built plugin: run `tsc -b` first.')
    let gateway = await gatewayFor(setting)
    return {
      async call(call: HostCall): Promise<string> {
        gateway = await alive(gateway, setting)
        return askOpenAi(openAi(`${gateway.url}/openai/v1`, call, { headers: taskHeaders(call) }), { ...call, model: call.backend })
      },
      async close() {
        await gateway.stop()
      },
    }
  },
}

export function gatewayFor({ policy, ledger, providers, callTimeoutMs }: HostSetting): Promise<Gateway> {
  const folder = dirname(ledger)
  const policyFile = join(folder, 'budgets.yaml')
  writeFileSync(policyFile, policy)
  const model = (backend: string, name: string, url: string): { name: string; backend: string; model: string; url: string; apiKey: string } => ({
    name: backend,
    backend,
    model: name,
    url: `${url}/v1`,
    apiKey: 'fake',
  })
  const models = [
    model('claude', 'claude-sonnet-4-20250514', providers.claude),
    model('gpt', 'gpt-4.1', providers.gpt),
    model('local', 'llama3.1:8b', providers.local),
  ]
  return startGateway({ folder, models, policy: policyFile, ledger, callTimeoutMs })
}

/** A provider that cuts a stream kills the gateway: whoever runs it has it started again. */
async function alive(gateway: Gateway, setting: HostSetting): Promise<Gateway> {
  const up = await fetch(`${gateway.url}/health`).then(
    ({ ok }) => ok,
    () => false,
  )
  if (up) return gateway
  await gateway.stop()
  return gatewayFor(setting)
}

export function taskHeaders({ taskId, taskType }: Pick<HostCall, 'taskId' | 'taskType'>): Record<string, string> {
  return { 'x-manciple-task-id': taskId, 'x-manciple-task-type': taskType }
}

/** The process that killed.ts kills: one host, one call that never ends. */
import type { HostCall, HostSetting, HostUnderTest } from '@manciple/router-plugin/conformance'

interface Order {
  readonly module: string
  readonly name: string
  readonly setting: HostSetting
  readonly stream: boolean
}

const order: Order = JSON.parse(process.argv[2] ?? '')
const hosts: Readonly<Record<string, HostUnderTest>> = await import(order.module)
const host = await hosts[order.name]?.open(order.setting)
await host?.call(endlessCall(order.stream))

export function endlessCall(stream: boolean): HostCall {
  return {
    taskId: 'killed',
    taskType: 'work',
    backend: 'claude',
    model: 'claude-sonnet-4-20250514',
    prompt: 'What does a manciple buy?',
    stream,
    maxOutputTokens: 300,
    retries: 0,
    failover: false,
    timeoutMs: undefined,
    signal: new AbortController().signal,
    onText: () => {},
  }
}

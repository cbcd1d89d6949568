import { formatIssues, parsePolicy, policyVersion, readPolicyFile } from '@manciple/core'
import type { Policy } from '@manciple/core'
import type { Gateway, GatewayModel } from './gateway.ts'
import { startGateway } from './gateway.ts'
import type { Upstream } from './upstreams.ts'
import { startUpstream } from './upstreams.ts'

/** A gateway with a provider behind each backend of its policy. */
export interface Stage {
  readonly gateway: Gateway
  /** The stubs, by backend. A backend with a real provider has none. */
  readonly upstreams: ReadonlyMap<string, Upstream>
  readonly models: readonly GatewayModel[]
  /** Stops the gateway and the stubs. */
  close(): Promise<number | null>
}

/** A real provider with an OpenAI-compatible API. */
export interface Provider {
  readonly url: string
  /** The environment variable that holds its key; the gateway reads it itself, so that no file holds a key. */
  readonly keyVariable: string
}

export interface StageOptions {
  /** For the gateway's config and log. */
  readonly folder: string
  readonly policy: string
  readonly ledger: string
  readonly latencyMs: number
  readonly clock?: { readonly start: string; readonly rate: number }
  readonly callTimeoutMs?: number
  readonly clientKey?: string
  /** Real providers, by backend; all other backends get a stub. */
  readonly providers?: ReadonlyMap<string, Provider>
}

/** @throws MancipleError `CONFIG_…` for a policy with mistakes. @throws Error when the gateway does not come up. */
export async function setStage(options: StageOptions): Promise<Stage> {
  const { backends } = policyOf(options.policy)
  const upstreams = new Map<string, Upstream>()
  const models: GatewayModel[] = []
  // Local last: the gateway's default must never be a cloud model.
  for (const { name, models: names } of backends.toSorted((a, b) => Number(a.kind === 'local') - Number(b.kind === 'local'))) {
    const provider = options.providers?.get(name)
    const upstream = provider === undefined ? await startUpstream({ name, latencyMs: options.latencyMs }) : undefined
    if (upstream !== undefined) upstreams.set(name, upstream)
    const url = upstream?.url ?? provider?.url ?? ''
    const apiKey = provider === undefined ? 'stub' : `\${${provider.keyVariable}}`
    // The first model of a backend goes by the backend's name as well.
    for (const [index, model] of names.entries()) models.push({ name: index === 0 ? name : model, backend: name, model, url, apiKey })
  }
  const closeStubs = (): Promise<unknown> => Promise.all([...upstreams.values()].map((upstream) => upstream.close()))
  try {
    const gateway = await startGateway({ ...options, models })
    return {
      gateway,
      upstreams,
      models,
      async close() {
        const code = await gateway.stop()
        await closeStubs()
        return code
      },
    }
  } catch (error) {
    await closeStubs()
    throw error
  }
}

function policyOf(file: string): Policy {
  const text = readPolicyFile(file)
  const parsed = parsePolicy(text, policyVersion(text))
  if (!parsed.ok) throw new Error(formatIssues(parsed.issues, { file, text }))
  return parsed.policy
}

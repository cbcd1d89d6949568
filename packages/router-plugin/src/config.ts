import { parsePolicy, policyVersion, readPolicyFile } from '@manciple/core'
import { z } from 'zod'
import { AUTO_MODEL, PluginError } from './contract.ts'
import type { HostModel } from './contract.ts'

const name = z.string().min(1).max(200)

const schema = z.strictObject({
  policy: z.string().min(1),
  ledger: z.string().min(1),
  models: z
    .record(name, z.strictObject({ backend: name, model: name }))
    .refine((models) => Object.keys(models).length > 0, 'name at least one model')
    .refine(
      (models) => !(AUTO_MODEL in models),
      `\`${AUTO_MODEL}\` is what a client asks for to leave the choice to the policy; call the model something else`,
    ),
  clock: z.strictObject({ start: z.iso.datetime({ offset: true }), rate: z.number().positive().max(10_000_000) }).optional(),
  callTimeoutMs: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .default(600_000),
  maxRetries: z.int().min(1).max(100).default(1),
})

/** What the host's config file says under the plugin's `config`, checked. */
export interface PluginConfig {
  /** Path of the policy file. */
  readonly policy: string
  /** Folder of the ledger. */
  readonly ledger: string
  /** Model names of the host → backend and model of the policy. */
  readonly models: ReadonlyMap<string, HostModel>
  /** For demonstrations and replays: ledger time begins at `startMs` and runs `rate` times as fast as real time. */
  readonly clock: { readonly startMs: number; readonly rate: number } | undefined
  /** A call of which nothing more is heard is settled after this much real time. Ten minutes unless given. */
  readonly callTimeoutMs: number
  /** How often the host tries one request: the host's own number, for a try beyond it would leave the client hanging. 1, no failover, unless given. */
  readonly maxRetries: number
}

/** @throws PluginError `PLUGIN_CONFIG_INVALID`, with every mistake. */
export function parsePluginConfig(input: unknown): PluginConfig {
  const parsed = schema.safeParse(input)
  if (!parsed.success) {
    const mistakes = parsed.error.issues.map((issue) => `  ${issue.path.map(String).join('.') || 'config'}: ${issue.message}`)
    throw new PluginError('PLUGIN_CONFIG_INVALID', `The config of the plugin \`manciple\` has mistakes:\n${mistakes.join('\n')}`)
  }
  const { models, clock, ...rest } = parsed.data
  return {
    ...rest,
    models: new Map(Object.entries(models)),
    clock: clock === undefined ? undefined : { startMs: Date.parse(clock.start), rate: clock.rate },
  }
}

/**
 * Holds the models against the policy file as it is now. What is wrong with the file itself is left for `openManciple` to say.
 * @returns the host's names of local models.
 * @throws PluginError `PLUGIN_CONFIG_INVALID` for a model that the policy does not have. @throws MancipleError `CONFIG_MISSING`, `CONFIG_UNREADABLE`.
 */
export function checkAgainstPolicy({ policy, models }: PluginConfig): readonly string[] {
  const text = readPolicyFile(policy)
  const parsed = parsePolicy(text, policyVersion(text))
  if (!parsed.ok) return []
  const mistakes: string[] = []
  const local: string[] = []
  for (const [hostName, { backend: backendName, model }] of models) {
    const backend = parsed.policy.backends.find((one) => one.name === backendName)
    if (backend === undefined)
      mistakes.push(`  models.${hostName}.backend: ${backendName} is not one of ${parsed.policy.backends.map((one) => one.name).join(', ')}`)
    else if (!backend.models.includes(model)) mistakes.push(`  models.${hostName}.model: ${model} is not one of ${backend.models.join(', ')}`)
    else if (backend.kind === 'local') local.push(hostName)
  }
  if (mistakes.length > 0) throw new PluginError('PLUGIN_CONFIG_INVALID', `The plugin's models do not fit the policy ${policy}:\n${mistakes.join('\n')}`)
  return local
}

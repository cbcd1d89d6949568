import type { LanguageModelV4CallOptions, LanguageModelV4Message, SharedV4ProviderOptions } from '@ai-sdk/provider'
import { boundInputTokens } from '@manciple/core'
import { z } from 'zod'
import { PluginError } from './contract.ts'

const name = z.string().min(1).max(200)

const taskSchema = z.strictObject({
  backend: name.optional(),
  model: name.optional(),
  pinned: z.boolean().optional(),
  taskId: name.optional(),
  taskType: name.optional(),
  tags: z.array(name).max(64).optional(),
  inputTokens: z.int().min(0).max(1_000_000_000).optional(),
})

/** What a caller says of its task: for all calls where the model is made, or for one in `providerOptions.manciple`. */
export interface TaskOptions {
  /** The backend that the call would like; the policy's choice unless given. */
  readonly backend?: string | undefined
  /** The model that the call would like, by the policy's name. */
  readonly model?: string | undefined
  /** Only the named backend, or local. */
  readonly pinned?: boolean | undefined
  readonly taskId?: string | undefined
  readonly taskType?: string | undefined
  /** Rules may read them. */
  readonly tags?: readonly string[] | undefined
  /** An upper bound of all input tokens, where the caller knows better than the bytes of the prompt: needed with images, files and hosted tools. */
  readonly inputTokens?: number | undefined
}

/** One call as Manciple sees it. */
export interface ModelRequest {
  /** As they came, without what is meant for Manciple. */
  readonly options: LanguageModelV4CallOptions
  readonly task: TaskOptions
  /** Upper bound of the input, tokens. */
  readonly inputTokens: number
  /** Whether a model without tools could not serve it. */
  readonly needsTools: boolean
}

/** @throws PluginError `REQUEST_INVALID`, `INPUT_UNBOUNDED`. */
export function readRequest(options: LanguageModelV4CallOptions, defaults: TaskOptions): ModelRequest {
  const { manciple, ...providerOptions } = options.providerOptions ?? {}
  const task = { ...defaults, ...readTask(manciple, 'providerOptions.manciple', 'REQUEST_INVALID') }
  const { tools, toolChoice } = options
  return {
    options: { ...options, providerOptions },
    task,
    inputTokens: task.inputTokens ?? boundOfInput(options, providerOptions),
    needsTools: tools !== undefined && tools.length > 0 && toolChoice?.type !== 'none',
  }
}

/** @throws PluginError with every mistake, named from `where` on. */
export function readTask(input: unknown, where: string, code: 'REQUEST_INVALID' | 'PLUGIN_CONFIG_INVALID'): TaskOptions {
  if (input === undefined) return {}
  const parsed = taskSchema.safeParse(input)
  if (parsed.success) return parsed.data
  const mistakes = parsed.error.issues.map((issue) => `  ${[where, ...issue.path.map(String)].join('.')}: ${issue.message}`)
  throw new PluginError(code, `What is said of the task has mistakes:\n${mistakes.join('\n')}`)
}

/** Options by which a provider takes input that is not in the prompt: a conversation that it keeps, tools that it hosts. */
const HIDDEN_INPUT: ReadonlySet<string> = new Set(['previousResponseId', 'conversation', 'mcpServers', 'container', 'cachedContent'])

function boundOfInput({ prompt, tools, responseFormat }: LanguageModelV4CallOptions, providerOptions: SharedV4ProviderOptions): number {
  for (const [index, message] of prompt.entries()) {
    const found = unboundedPart(message)
    if (found !== undefined) throw unbounded(`prompt[${index}] holds ${found}`)
  }
  const hosted = tools?.find((tool) => tool.type === 'provider')
  if (hosted !== undefined) throw unbounded(`the tool ${hosted.name} is the provider's own`)
  for (const [provider, given] of Object.entries(providerOptions)) {
    const hidden = Object.keys(given).find((key) => HIDDEN_INPUT.has(key))
    if (hidden !== undefined) throw unbounded(`providerOptions.${provider}.${hidden} adds input that is not in the prompt`)
  }
  return boundInputTokens(Buffer.byteLength(JSON.stringify([prompt, tools, responseFormat])), prompt.length)
}

function unbounded(found: string): PluginError {
  return new PluginError('INPUT_UNBOUNDED', `The input cannot be bounded: ${found}.`)
}

/** What of a message its bytes do not bound, in words. A text file is text; a part of a provider's own kind is what it wrote itself. */
function unboundedPart(message: LanguageModelV4Message): string | undefined {
  if (message.role === 'system') return undefined
  for (const part of message.content) {
    if ((part.type === 'file' || part.type === 'reasoning-file') && part.data.type !== 'text') return `a file (${part.mediaType})`
    if (part.type !== 'tool-result' || part.output.type !== 'content') continue
    if (part.output.value.some((one) => one.type === 'file' && one.data.type !== 'text')) return `a file in the result of ${part.toolName}`
  }
  return undefined
}

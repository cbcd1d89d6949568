import { UnsupportedFunctionalityError } from '@ai-sdk/provider'
import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3DataContent,
  LanguageModelV3Message,
  LanguageModelV3StreamPart,
  LanguageModelV3ToolResultOutput,
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4FilePart,
  LanguageModelV4Message,
  LanguageModelV4StreamPart,
  LanguageModelV4ToolResultOutput,
} from '@ai-sdk/provider'
import { PluginError } from './contract.ts'

/** A model of the AI SDK that Manciple can meter: provider spec v4, or v3 as `ai` 6 had it. */
export type MeteredModel = LanguageModelV4 | LanguageModelV3

/**
 * The model under spec v4. The two differ in how files are written; what v3 has no word for is a stated error, before anything is sent.
 * @throws PluginError `PLUGIN_CONFIG_INVALID` for a model of another spec, or what is no model.
 */
export function asV4(model: MeteredModel, where: string): LanguageModelV4 {
  if (typeof model !== 'object' || model === null || typeof model.doGenerate !== 'function' || typeof model.doStream !== 'function') {
    throw new PluginError('PLUGIN_CONFIG_INVALID', `${where}: expected a language model of the AI SDK, such as anthropic('…'); found ${describe(model)}.`)
  }
  if (model.specificationVersion === 'v4') return model
  if (model.specificationVersion === 'v3') return upgraded(model)
  const found = String((model as { specificationVersion: unknown }).specificationVersion)
  throw new PluginError(
    'PLUGIN_CONFIG_INVALID',
    `${where}: expected a model of provider spec v4 or v3; found ${found}. Update its package, or wrap it: wrapLanguageModel({ model, middleware: [] }) of \`ai\`.`,
  )
}

function upgraded(model: LanguageModelV3): LanguageModelV4 {
  return {
    specificationVersion: 'v4',
    provider: model.provider,
    modelId: model.modelId,
    supportedUrls: model.supportedUrls,
    async doGenerate(options) {
      const result = await model.doGenerate(optionsForV3(options))
      return { ...result, content: result.content.map(contentForV4) }
    },
    async doStream(options) {
      const result = await model.doStream(optionsForV3(options))
      return { ...result, stream: result.stream.pipeThrough(new TransformStream({ transform: (part, to) => to.enqueue(partForV4(part)) })) }
    },
  }
}

function optionsForV3(options: LanguageModelV4CallOptions): LanguageModelV3CallOptions {
  return { ...options, prompt: options.prompt.map(messageForV3) }
}

function messageForV3(message: LanguageModelV4Message): LanguageModelV3Message {
  switch (message.role) {
    case 'system':
      return message
    case 'user':
      return { ...message, content: message.content.map((part) => (part.type === 'file' ? filePartForV3(part) : part)) }
    case 'tool':
      return { ...message, content: message.content.map((part) => (part.type === 'tool-result' ? { ...part, output: outputForV3(part.output) } : part)) }
    case 'assistant':
      return {
        ...message,
        content: message.content.map((part) => {
          if (part.type === 'custom' || part.type === 'reasoning-file') throw unsupported(`a part of type ${part.type}`)
          if (part.type === 'file') return filePartForV3(part)
          return part.type === 'tool-result' ? { ...part, output: outputForV3(part.output) } : part
        }),
      }
  }
}

function filePartForV3(part: LanguageModelV4FilePart): Omit<LanguageModelV4FilePart, 'data'> & { data: LanguageModelV3DataContent } {
  const { data } = part
  if (data.type === 'data') return { ...part, data: data.data }
  if (data.type === 'url') return { ...part, data: data.url }
  if (data.type === 'text') return { ...part, data: Buffer.from(data.text).toString('base64') }
  throw unsupported('a file by the reference of a provider')
}

function outputForV3(output: LanguageModelV4ToolResultOutput): LanguageModelV3ToolResultOutput {
  if (output.type !== 'content') return output
  return { ...output, value: output.value.map((part) => (part.type === 'file' ? resultFileForV3(part) : part)) }
}

type ContentOf<Output> = Output extends { readonly type: 'content'; value: (infer Part)[] } ? Part : never
type ResultFile = Extract<ContentOf<LanguageModelV4ToolResultOutput>, { type: 'file' }>

function resultFileForV3({ data, mediaType, filename, providerOptions }: ResultFile): ContentOf<LanguageModelV3ToolResultOutput> {
  const options = providerOptions === undefined ? {} : { providerOptions }
  if (data.type === 'url') return { type: 'file-url', url: data.url.toString(), ...options }
  if (data.type === 'reference') return { type: 'file-id', fileId: data.reference, ...options }
  const bytes = data.type === 'text' ? Buffer.from(data.text) : data.data
  const base64 = typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('base64')
  return { type: 'file-data', data: base64, mediaType, ...(filename === undefined ? {} : { filename }), ...options }
}

function contentForV4(content: LanguageModelV3Content): LanguageModelV4Content {
  return content.type === 'file' ? { ...content, data: { type: 'data', data: content.data } } : content
}

function partForV4(part: LanguageModelV3StreamPart): LanguageModelV4StreamPart {
  return part.type === 'file' ? { ...part, data: { type: 'data', data: part.data } } : part
}

function unsupported(what: string): UnsupportedFunctionalityError {
  return new UnsupportedFunctionalityError({ functionality: what, message: `A model of provider spec v3 takes no ${what.replace(/^a /, '')}.` })
}

function describe(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : value === null ? 'null' : typeof value
}

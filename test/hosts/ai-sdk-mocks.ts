import type { LanguageModelV4StreamPart, LanguageModelV4Usage } from '@ai-sdk/provider'
import { MockLanguageModelV4 } from 'ai/test'

/** 100 tokens in and 20 out. */
export const USAGE: LanguageModelV4Usage = {
  inputTokens: { total: 100, noCache: 100, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 20, text: 20, reasoning: undefined },
}

const STOP = { unified: 'stop', raw: 'stop' } as const

export function streamParts(texts: readonly string[], usage = USAGE): LanguageModelV4StreamPart[] {
  return [
    { type: 'stream-start', warnings: [] },
    { type: 'text-start', id: 't' },
    ...texts.map((delta): LanguageModelV4StreamPart => ({ type: 'text-delta', id: 't', delta })),
    { type: 'text-end', id: 't' },
    { type: 'finish', finishReason: STOP, usage },
  ]
}

/** A model that says its own name. */
export function mockModel(modelId: string, usage = USAGE, provider = 'mock'): MockLanguageModelV4 {
  return new MockLanguageModelV4({
    provider,
    modelId,
    doGenerate: async () => ({ content: [{ type: 'text', text: modelId }], finishReason: STOP, usage, warnings: [] }),
    doStream: async () => ({ stream: ReadableStream.from(streamParts([modelId], usage)) as ReadableStream<LanguageModelV4StreamPart> }),
  })
}

/** A model whose every call fails with this. */
export function failingModel(modelId: string, error: unknown): MockLanguageModelV4 {
  const fail = (): never => {
    throw error
  }
  return new MockLanguageModelV4({ provider: 'mock', modelId, doGenerate: async () => fail(), doStream: async () => fail() })
}

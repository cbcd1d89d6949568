import { anthropic } from './anthropic.ts'
import { embeddings } from './embeddings.ts'
import type { WireFormat } from './format.ts'
import { gemini } from './gemini.ts'
import { openAiChat } from './openai-chat.ts'
import { openAiResponses } from './openai-responses.ts'

export const FORMATS: readonly WireFormat[] = [openAiChat, openAiResponses, anthropic, gemini, embeddings]

/** The format that a path belongs to. */
export function formatOfPath(path: string): WireFormat | undefined {
  return FORMATS.find(({ endpoint }) => endpoint.test(path))
}

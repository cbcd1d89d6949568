import { fetchHost } from './fetch.ts'

/** Hosts as a process of their own can be told to open them: by the name of an export. */
const [chat, responses, anthropic, gemini] = [fetchHost('openai-chat'), fetchHost('openai-responses'), fetchHost('anthropic'), fetchHost('gemini')]
export { chat as 'openai-chat', responses as 'openai-responses', anthropic, gemini }

import { describe, expect, test } from 'vitest'
import { boundByBytes, joinUsage, outputBytes, usageOfOpenAi } from './openai-chat.ts'

describe('usage', () => {
  test('is read with its cached and reasoning parts', () => {
    const raw = {
      prompt_tokens: 1500,
      completion_tokens: 800,
      prompt_tokens_details: { cached_tokens: 1024 },
      completion_tokens_details: { reasoning_tokens: 300 },
    }
    expect(usageOfOpenAi(raw)).toEqual({ inputTokens: 1500, outputTokens: 800, cacheReadTokens: 1024, reasoningTokens: 300 })
  })

  test.each([
    ['missing', undefined],
    ['null', null],
    ['a list', []],
    ['without output', { prompt_tokens: 3 }],
    ['negative', { prompt_tokens: -1, completion_tokens: 2 }],
    ['a fraction', { prompt_tokens: 1.5, completion_tokens: 2 }],
    ['NaN', { prompt_tokens: Number.NaN, completion_tokens: 2 }],
    ['text', { prompt_tokens: '12', completion_tokens: 2 }],
    ['more cached than sent', { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 6 } }],
    ['more reasoning than output', { prompt_tokens: 5, completion_tokens: 2, completion_tokens_details: { reasoning_tokens: 3 } }],
    ['NaN in its details', { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: { cached_tokens: Number.NaN } }],
  ])('that is %s is no usage', (_, raw) => {
    expect(usageOfOpenAi(raw)).toBeUndefined()
  })

  test('of a stream keeps the largest of each running count, and what only an early chunk says', () => {
    const first = joinUsage(undefined, { prompt_tokens: 40, completion_tokens: 1 })
    const last = joinUsage(first, { prompt_tokens: undefined, completion_tokens: 9, completion_tokens_details: { reasoning_tokens: 2 } })
    expect(usageOfOpenAi(last)).toEqual({ inputTokens: 40, outputTokens: 9, cacheReadTokens: 0, reasoningTokens: 2 })
    expect(joinUsage(last, undefined)).toBe(last)
  })
})

describe('bytes', () => {
  test('bound text, tool calls and their results', () => {
    expect(boundByBytes([{ content: 'hello' }, { content: null }, { content: [{ type: 'text', text: 'hi' }] }])).toBe(true)
    expect(boundByBytes([{ content: [{ type: 'tool_result', content: [{ type: 'text', text: 'x' }] }] }])).toBe(true)
  })

  test.each([
    [[{ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }]],
    [[{ type: 'text', text: 'x' }, { type: 'input_audio' }]],
    [[{ type: 'tool_result', content: [{ type: 'image' }] }]],
    [[{ type: 'a kind of tomorrow' }]],
    [['bare']],
    [{ type: 'text', text: 'not in a list' }],
  ])('do not bound %j', (content) => {
    expect(boundByBytes([{ content }])).toBe(false)
  })

  test('of a chunk count what the model wrote, in UTF-8, and not what the protocol adds', () => {
    expect(outputBytes([{ index: 0, delta: { role: 'assistant', content: 'né' } }])).toBe(3)
    const tools = [{ index: 0, id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }]
    expect(outputBytes([{ index: 0, delta: { tool_calls: tools, reasoning_content: 'hm' } }])).toBe(10)
    expect(outputBytes(undefined)).toBe(0)
  })
})

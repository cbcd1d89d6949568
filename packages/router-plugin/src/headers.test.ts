import { expect, test } from 'vitest'
import { PluginError } from './contract.ts'
import { readTaskHeaders } from './headers.ts'

test('the task is read from its headers', () => {
  const headers = { 'x-manciple-task-id': 't-1', 'x-manciple-task-type': 'bulk', 'x-manciple-pinned': 'true', 'x-manciple-input-tokens': '1500' }
  expect(readTaskHeaders(headers)).toEqual({ taskId: 't-1', taskType: 'bulk', pinned: true, inputTokens: 1500 })
})

test('every header may be left out', () => {
  expect(readTaskHeaders({ host: 'x' })).toEqual({ taskId: undefined, taskType: undefined, pinned: false, inputTokens: undefined })
})

test.each([
  ['x-manciple-input-tokens', '-1'],
  ['x-manciple-input-tokens', '1e3'],
  ['x-manciple-input-tokens', 'NaN'],
  ['x-manciple-input-tokens', '99999999999999999999'],
  ['x-manciple-pinned', 'yes'],
  ['x-manciple-task-id', 'x'.repeat(201)],
  ['x-manciple-task-type', ['a', 'b']],
])('%s: %j is refused by name', (name, value) => {
  expect(() => readTaskHeaders({ [name]: value })).toThrow(expect.objectContaining({ code: 'HEADER_INVALID', message: expect.stringContaining(name) }))
  expect(() => readTaskHeaders({ [name]: value })).toThrow(PluginError)
})

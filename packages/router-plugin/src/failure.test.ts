import { expect, test } from 'vitest'
import { failureOf } from './failure.ts'

test.each([
  'OpenAI API Error (503): overloaded',
  'OpenAI API Error (429): Request failed with status code 429',
  'Anthropic API Error (401): invalid x-api-key',
  'Request failed with status code 500',
  'connect ECONNREFUSED 127.0.0.1:4998',
  'getaddrinfo ENOTFOUND api.example.com',
  'read ECONNRESET',
  'socket hang up',
  'connect ETIMEDOUT 10.0.0.1:443',
])('%s: not served', (message) => {
  expect(failureOf(message)).toBe('unserved')
})

test.each(['OpenAI API Error (400): max_tokens is too large', 'OpenAI API Error (422): unprocessable'])('%s: the request is at fault', (message) => {
  expect(failureOf(message)).toBe('rejected')
})

test.each([
  'OpenAI API request timeout',
  'timeout of 1000ms exceeded',
  'read ETIMEDOUT',
  'OpenAI API Error (504): upstream timed out',
  'OpenAI API Error (408): Request Timeout',
  "Cannot read properties of undefined (reading '0')",
  '',
])('%j: may have been served', (message) => {
  expect(failureOf(message)).toBe('unknown')
})

import { APICallError, LoadAPIKeyError, TypeValidationError, UnsupportedFunctionalityError } from '@ai-sdk/provider'
import { expect, test } from 'vitest'
import { failureOfAiSdk, failureOfPart, isCut } from './ai-sdk-failure.ts'

function answered(statusCode: number | undefined, cause?: unknown): APICallError {
  return new APICallError({ message: 'x', url: 'http://x', requestBodyValues: {}, cause, ...(statusCode === undefined ? {} : { statusCode }) })
}

function coded(code: string): Error {
  return Object.assign(new Error(code), { code })
}

test.each([
  ['an overloaded provider', answered(529), 'unserved'],
  ['a wrong key', answered(401), 'unserved'],
  ['a request at fault', answered(400), 'rejected'],
  ['a time-out of the provider’s own', answered(504), 'unknown'],
  ['an answer that cannot be read', answered(200, new TypeValidationError({ value: 1, cause: 'x' })), 'unknown'],
  ['an answer that was cut', answered(200, coded('UND_ERR_SOCKET')), 'unknown'],
  ['a connection refused', answered(undefined, coded('ECONNREFUSED')), 'unserved'],
  ['a connection closed before an answer', answered(undefined, new TypeError('fetch failed', { cause: coded('UND_ERR_SOCKET') })), 'unserved'],
  ['no headers in time', answered(undefined, coded('UND_ERR_HEADERS_TIMEOUT')), 'unknown'],
  ['no key', new LoadAPIKeyError({ message: 'x' }), 'unserved'],
  ['what the model cannot do', new UnsupportedFunctionalityError({ functionality: 'x' }), 'unserved'],
  ['an abort', new DOMException('x', 'AbortError'), 'unknown'],
  ['anything else', new Error('x'), 'unknown'],
  ['what is no error', 'x', 'unknown'],
])('%s', (_, error, failure) => {
  expect(failureOfAiSdk(error)).toBe(failure)
})

test('an error that the provider puts into its stream before a token says that it has served nothing; one of the SDK’s own does not', () => {
  expect(failureOfPart({ type: 'overloaded_error', message: 'x' })).toBe('unserved')
  expect(failureOfPart(answered(400))).toBe('rejected')
  expect(failureOfPart(new TypeValidationError({ value: 1, cause: 'x' }))).toBe('unknown')
})

test('a connection that failed is found under its causes, and a chain that bites its tail ends', () => {
  const tail = coded('x')
  tail.cause = tail
  expect([isCut(new TypeError('terminated', { cause: coded('ECONNRESET') })), isCut(tail)]).toEqual([true, false])
})

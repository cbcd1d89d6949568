import { PluginError } from '../contract.ts'

/** An object of unknown make. */
export type Json = Readonly<Record<string, unknown>>

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Undefined where the text is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The value where it is an object. */
export function jsonOf(value: unknown): Json | undefined {
  return isJson(value) ? value : undefined
}

/** The objects of a list; none where it is no list. */
export function listOf(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isJson) : []
}

/** A count of tokens as a provider reports it. */
export function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

/** A count that may be left out: 0 then. Undefined where it is there and no count. */
export function optionalCount(value: unknown): number | undefined {
  return value === undefined || value === null ? 0 : countOf(value)
}

/** A whole number in a request, left out where it is null. @throws PluginError `REQUEST_INVALID`. */
export function wishOf(body: Json | undefined, field: string): number | undefined {
  const value = body?.[field]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number') return value
  throw new PluginError('REQUEST_INVALID', `${field}: expected a whole number; found ${JSON.stringify(value).slice(0, 80)}.`)
}

/** @throws PluginError `REQUEST_INVALID`. */
export function modelOf(value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw new PluginError('REQUEST_INVALID', `model: expected a name; found ${String(JSON.stringify(value)).slice(0, 80)}.`)
}

/** UTF-8 bytes of all text in a value, but for the fields named. */
export function textBytes(value: unknown, except: ReadonlySet<string> = NONE): number {
  if (typeof value === 'string') return Buffer.byteLength(value)
  if (typeof value !== 'object' || value === null) return 0
  let bytes = 0
  for (const [key, part] of Object.entries(value)) if (!except.has(key)) bytes += textBytes(part, except)
  return bytes
}

const NONE: ReadonlySet<string> = new Set()

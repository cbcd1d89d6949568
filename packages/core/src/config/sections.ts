import type { z } from 'zod'

/** The entries of what should be a mapping; none where it is something else, which the schema has reported. */
export function entriesOf(value: unknown): readonly [string, unknown][] {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : []
}

/** The items of what should be a list, with their indexes; none where it is something else. */
export function itemsOf(value: unknown): readonly [number, unknown][] {
  return Array.isArray(value) ? [...value.entries()] : []
}

/** The value of a key of what should be a mapping. */
export function fieldOf(value: unknown, key: string): unknown {
  return entriesOf(value).find(([name]) => name === key)?.[1]
}

/** The value where its form is right; undefined where it is absent or the schema has reported it. */
export function sound<Value>(schema: z.ZodType<Value>, value: unknown): Value | undefined {
  return value === undefined ? undefined : schema.safeParse(value).data
}

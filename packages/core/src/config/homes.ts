import { z } from 'zod'
import type { Path } from './tree.ts'

/** A place that keys belong to: `budgets`, `rules[].event`, `backends.NAME`; empty for the top level. */
interface Home {
  readonly place: readonly string[]
  readonly keys: readonly string[]
}

const homesOf = new WeakMap<z.ZodType, readonly Home[]>()

/** Says where a key belongs that cannot stand at `path`: of several homes the one closest to it. Undefined where a file of this schema has none. */
export function homeHint(schema: z.ZodType, key: string, path: Path): string | undefined {
  const homes = homesOf.get(schema) ?? collect(schema, [], new Set())
  homesOf.set(schema, homes)
  const here = path.map((part) => (typeof part === 'number' ? '[]' : part))
  const shared = ({ place }: Home): number => {
    const differs = place.findIndex((part, index) => part !== 'NAME' && part !== here[index])
    return differs === -1 ? place.length : differs
  }
  const [home] = homes.filter(({ keys }) => keys.includes(key)).toSorted((a, b) => shared(b) - shared(a) || a.place.length - b.place.length)
  return home === undefined ? undefined : belongsUnder(home.place)
}

/** The hint for a key that has its place under another one. */
export function belongsUnder(place: readonly string[]): string {
  return place.length === 0 ? 'it belongs at the top level, without indentation' : `it belongs under \`${place.join('.').replaceAll('.[]', '[]')}\``
}

/** All mappings with fixed keys below a schema, each once: conditions hold conditions. */
function collect(schema: unknown, place: readonly string[], seen: Set<unknown>): readonly Home[] {
  if (seen.has(schema)) return []
  if (schema instanceof z.ZodOptional) return collect(schema.unwrap(), place, seen)
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => collect(option, place, seen))
  if (schema instanceof z.ZodRecord) return collect(schema.valueType, [...place, 'NAME'], seen)
  if (schema instanceof z.ZodArray) return collect(schema.element, [...place, '[]'], seen)
  if (!(schema instanceof z.ZodObject)) return []
  seen.add(schema)
  return [{ place, keys: Object.keys(schema.shape) }, ...Object.entries(schema.shape).flatMap(([key, inner]) => collect(inner, [...place, key], seen))]
}

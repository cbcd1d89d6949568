import { closest, distance } from 'fastest-levenshtein'

/** The candidate that was probably meant: within a third of the longer word's letters, at least one and at most three. Undefined where none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  // Edit distance grows with the product of the lengths; nobody means a name by a text this long.
  if (word.length > 100 || candidates.length === 0) return undefined
  const best = closest(
    word.toLowerCase(),
    candidates.map((candidate) => candidate.toLowerCase()),
  )
  const found = candidates.find((candidate) => candidate.toLowerCase() === best)
  if (found === undefined || found === word) return undefined
  const reach = Math.min(3, Math.max(1, Math.floor(Math.max(word.length, best.length) / 3)))
  return distance(word.toLowerCase(), best) <= reach ? found : undefined
}

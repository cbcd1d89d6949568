import { distance } from 'fastest-levenshtein'

/** Names shorter than this lie within many others by chance. */
const LEAST_PART = 4

/**
 * The candidate that was probably meant: a few slips away, each a letter too many, missing, wrong or swapped with its neighbour, in any case of letters;
 * else one that holds the word as a part, or is a part of it. Undefined where none is near.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  // Edit distance grows with the product of the lengths; nobody means a name by a text this long.
  if (word.length > 100) return undefined
  const typed = word.toLowerCase()
  let best: { readonly name: string; readonly far: number } | undefined
  for (const name of candidates) {
    const least = best?.far ?? Infinity
    const far = name === word ? Infinity : distanceOf(typed, name.toLowerCase(), least)
    if (far < least) best = { name, far }
  }
  return best?.name
}

/** Slips, or for a part what the whole is longer by, beyond any number of slips; Infinity where the two are not alike, or no nearer than `least`. */
function distanceOf(typed: string, name: string, least: number): number {
  const reach = Math.min(reachOf(Math.max(typed.length, name.length)), least - 1)
  const apart = Math.abs(typed.length - name.length)
  const slips = apart > reach ? Infinity : slipsOf(typed, name, reach)
  if (slips <= reach) return slips
  return Math.min(typed.length, name.length) >= LEAST_PART && (name.includes(typed) || typed.includes(name)) ? reachOf(Infinity) + apart : Infinity
}

/** How many slips a name of so many letters may have: another short name is soon only two letters away. */
function reachOf(length: number): number {
  if (length < 3) return 0
  return length < 5 ? 1 : length < 9 ? 2 : 3
}

/** Edits, where two letters that have changed places count as one. The library counts them as two. */
function slipsOf(typed: string, name: string, reach: number): number {
  const edits = distance(typed, name)
  if (edits < 2 || edits > reach + 1) return edits
  const isSwapped = [...typed].some((_, at) => distance(typed.slice(0, at) + typed.charAt(at + 1) + typed.charAt(at) + typed.slice(at + 2), name) === edits - 2)
  return isSwapped ? edits - 1 : edits
}

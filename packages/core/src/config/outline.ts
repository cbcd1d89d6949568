import { isMap, isScalar, isSeq, type ParsedNode } from 'yaml'
import type { Outline } from '../policy/policy.ts'
import { entriesOf, fieldOf, itemsOf } from './sections.ts'

/** What a file speaks of, and where it ends: enough to see whether its text could be a part of another. */
export function outlineOf(text: string, root: ParsedNode, file: unknown): Outline {
  const entries = new Set<string>()
  addEntries(entries, '', file)
  return { entries, end: JSON.stringify(endOf(root)), isLastLineWhole: text.endsWith('\n') || (/[}\]]$/.test(text) && isBracketed(root)) }
}

/** Whether the last value of the file stands between brackets. */
function isBracketed(node: ParsedNode | null | undefined): boolean {
  if (isMap<ParsedNode, ParsedNode | null>(node)) return node.flow === true || isBracketed(node.items.at(-1)?.value)
  return isSeq<ParsedNode>(node) && (node.flow === true || isBracketed(node.items.at(-1)))
}

/** Keys at any depth, and the items of lists that have names. What is below an item is its own affair: a rule may be rewritten. */
function addEntries(entries: Set<string>, parent: string, value: unknown): void {
  for (const [key, below] of entriesOf(value)) {
    const entry = `${parent}/${JSON.stringify(key)}`
    entries.add(entry)
    addEntries(entries, entry, below)
  }
  for (const [, item] of itemsOf(value)) {
    const name = fieldOf(item, 'name')
    if (typeof name === 'string') entries.add(`${parent}/${JSON.stringify(name)}`)
  }
}

/**
 * The way down to the last entry: keys and names, which stay when a value is edited; an item without a name is known by what it says.
 * What stands between brackets is whole or no YAML, so the way ends there.
 */
function endOf(node: ParsedNode | null | undefined): readonly unknown[] {
  if (isMap<ParsedNode, ParsedNode | null>(node) && node.flow !== true) {
    const last = node.items.at(-1)
    return last === undefined ? [] : [textOf(last.key), ...endOf(last.value)]
  }
  if (isSeq<ParsedNode>(node) && node.flow !== true) {
    const item = node.items.at(-1)
    const name = isMap<ParsedNode, ParsedNode | null>(item) ? item.items.find(({ key }) => textOf(key) === 'name')?.value : undefined
    return name === undefined ? [item?.toJSON()] : [textOf(name), ...endOf(item)]
  }
  return []
}

function textOf(node: ParsedNode | null): unknown {
  return isScalar(node) ? node.value : undefined
}

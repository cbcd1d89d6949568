import { isMap, isScalar, isSeq, type LineCounter, type ParsedNode, type Scalar } from 'yaml'
import type { Origin } from '../policy/policy.ts'
import { oneLine, type Issue } from './issues.ts'

/** From the root of the file to a value: keys of mappings, indexes of lists. */
export type Path = readonly (string | number)[]

/** What is wrong at a path. `found` is what stands there, unless given; `at: 'key'` points at the key instead of the value. */
export interface Mistake {
  readonly message: string
  readonly expected: string
  readonly found?: string
  readonly hint?: string
  readonly at?: 'key'
}

/** For `{ amount: 1,000,000/day }`, which YAML takes apart. */
export const COMMA_HINT = 'a comma begins a new entry: write the number without commas'

/** Beyond this many, mending the first ones comes first. */
export const MAX_ISSUES = 100

/** `rules[0].event.type`; keys that are no plain names are quoted. */
export function formatPath(path: Path): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`
      const shown = /^[\w-]+$/.test(part) ? part : JSON.stringify(oneLine(part))
      return index === 0 ? shown : `.${shown}`
    })
    .join('')
}

/** The nodes of one file: finds where a path stands, and collects what is wrong there. At most one issue a place is kept: the first. */
export class Tree {
  readonly #root: ParsedNode
  readonly #lines: LineCounter
  readonly #issues = new Map<string, Issue>()
  readonly #advice: Issue[] = []

  constructor(root: ParsedNode, lines: LineCounter) {
    this.#root = root
    this.#lines = lines
  }

  get issues(): readonly Issue[] {
    return [...this.#issues.values()]
  }

  /** Whether further mistakes would be left out. */
  get isFull(): boolean {
    return this.#issues.size >= MAX_ISSUES
  }

  get advice(): readonly Issue[] {
    return this.#advice
  }

  /** Whether further advice would be left out. */
  get isAdviceFull(): boolean {
    return this.#advice.length >= MAX_ISSUES
  }

  /** Adds a mistake: the file is refused. */
  add(path: Path, mistake: Mistake): void {
    if (this.isFull) return
    const issue = this.#issue(path, mistake)
    const place = `${issue.line}:${issue.column}`
    if (!this.#issues.has(place)) this.#issues.set(place, issue)
  }

  /** Adds what may be said but is hardly meant: the file is taken. */
  advise(path: Path, mistake: Mistake): void {
    if (!this.isAdviceFull) this.#advice.push(this.#issue(path, mistake))
  }

  #issue(path: Path, { message, expected, found, hint, at }: Mistake): Issue {
    const place = this.#find(path)
    const node = (at === 'key' ? place.key : undefined) ?? place.value ?? place.key
    return { ...this.#position(node), path: formatPath(path), message, found: found ?? describe(place.value), expected, ...(hint !== undefined && { hint }) }
  }

  line(path: Path): number {
    return this.#position(this.#find(path).value).line
  }

  origin(path: Path): Origin {
    return { ...this.#position(this.#find(path).value), path: formatPath(path) }
  }

  /** Where the key of a value stands, or the item of a list. */
  keyOrigin(path: Path): Origin {
    return { ...this.#position(this.#find(path).key), path: formatPath(path) }
  }

  /** The file's plain value: strings, numbers, booleans, null, lists and mappings. What YAML may read otherwise than it looks is added to the issues. */
  value(): unknown {
    return this.#valueOf(this.#root, [])
  }

  #position(node: ParsedNode | undefined): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(node?.range[0] ?? 0)
    return { line, column: col }
  }

  /** The node at a path, or the nearest one above it. */
  #find(path: Path): { key: ParsedNode | undefined; value: ParsedNode | undefined } {
    let key: ParsedNode | undefined
    let value: ParsedNode | undefined = this.#root
    for (const part of path) {
      const pair: { key: ParsedNode | undefined; value: ParsedNode | null | undefined } | undefined = isMap<ParsedNode, ParsedNode | null>(value)
        ? value.items.find((item) => isScalar(item.key) && item.key.value === part)
        : isSeq<ParsedNode>(value)
          ? { key: undefined, value: typeof part === 'number' ? value.items[part] : undefined }
          : undefined
      if (pair === undefined || (pair.key === undefined && pair.value === undefined)) return { key: key ?? value, value: undefined }
      key = pair.key ?? pair.value ?? undefined
      value = pair.value ?? undefined
    }
    return { key, value }
  }

  #valueOf(node: ParsedNode | null, path: Path): unknown {
    if (isSeq<ParsedNode>(node)) return node.items.map((item, index) => this.#valueOf(item, [...path, index]))
    if (isMap<ParsedNode, ParsedNode | null>(node)) return this.#mappingOf(node, path)
    if (!isScalar(node)) return null
    if (typeof node.value === 'number') this.#checkNumber(node, path)
    return node.value
  }

  #mappingOf(node: { readonly items: readonly { key: ParsedNode; value: ParsedNode | null }[] }, path: Path): Record<string, unknown> {
    const mapping: Record<string, unknown> = {}
    const lines = new Map<string, number>()
    for (const { key, value } of node.items) {
      const name: unknown = isScalar(key) ? key.value : undefined
      const position = this.#position(key)
      if (typeof name !== 'string' || name === '__proto__' || name === '<<') {
        this.#addAt(position, path, keyMistake(name, key, value))
        continue
      }
      const first = lines.get(name)
      if (first === undefined) mapping[name] = this.#valueOf(value, [...path, name])
      else
        this.#addAt(position, [...path, name], {
          message: `The key \`${oneLine(name)}\` stands here twice`,
          found: `${oneLine(name)}, as on line ${first}`,
          expected: 'each key once',
        })
      lines.set(name, first ?? position.line)
    }
    return mapping
  }

  #checkNumber(node: Scalar, path: Path): void {
    const source = node.source ?? ''
    // YAML also knows .nan, .inf, 1e400, 0x10, 0o17 and 010, and a double drops digits without a word.
    if (!/^-?(?:(?:0|[1-9]\d*)(?:\.\d+)?|\.\d+)$/.test(source)) {
      this.add(path, {
        message: `\`${formatPath(path)}\` is not a plain number`,
        expected: 'a number in plain decimals, like 8192 or 0.57',
      })
    } else if (source.replace(/^[-0.]+/, '').replace('.', '').length > 15) {
      this.add(path, { message: `\`${formatPath(path)}\` has more digits than a number can keep`, expected: 'at most 15 digits' })
    }
  }

  #addAt(position: { line: number; column: number }, path: Path, mistake: Mistake & { readonly found: string }): void {
    if (!this.isFull) this.#issues.set(`${position.line}:${position.column}`, { ...position, path: formatPath(path), ...mistake })
  }
}

function keyMistake(name: unknown, key: ParsedNode, value: ParsedNode | null): Mistake & { readonly found: string } {
  const found = describe(key)
  if (name === '<<') return { message: 'Merge keys are not allowed', found, expected: 'every key written out', hint: 'copy the entries that were to be merged' }
  if (name === '__proto__') return { message: 'The key `__proto__` is not allowed', found, expected: 'another name' }
  const isSplit = isScalar(key) && /^\d{3}$/.test(key.source ?? '') && value === null
  return { message: 'A key is not a text', found, expected: 'a name', hint: isSplit ? COMMA_HINT : 'put quotes around it' }
}

/** What stands in the file, for people. */
export function describe(node: ParsedNode | undefined): string {
  if (node === undefined) return 'nothing'
  if (isMap(node)) return node.items.length === 0 ? 'an empty mapping' : 'a mapping'
  if (isSeq(node)) return node.items.length === 0 ? 'an empty list' : 'a list'
  if (!isScalar(node)) return 'nothing'
  if (node.value === null) return node.source === '' || node.source === undefined ? 'nothing' : `${node.source} (null)`
  if (typeof node.value === 'string') return node.type === 'PLAIN' ? `${oneLine(node.value)} (text)` : `${oneLine(JSON.stringify(node.value))} (text)`
  return `${oneLine(node.source ?? String(node.value))} (${typeof node.value === 'boolean' ? 'true or false' : 'number'})`
}

import { z } from 'zod'
import { AMOUNT_FORM, parseAmount } from './amount.ts'
import { oneLine } from './issues.ts'
import { nearest } from './nearest.ts'
import { fileSchema, SHARE_FORM } from './schema.ts'
import { formatPath, MAX_ISSUES, type Mistake, type Path, type Tree } from './tree.ts'

/** Keys of json-rules-engine that would let a rule mean something else than it shows. */
const REFUSED_KEYS: ReadonlyMap<string, string> = new Map([
  ['priority', 'order never decides: every rule that matches has its effect; remove the key'],
  ['path', 'a fact has no parts to reach into; remove the key'],
  ['params', 'facts take no parameters; remove the key'],
  ['condition', 'conditions have no names; write the condition out'],
])

/** A kind of file, and what to call it. */
export interface Form {
  readonly schema: z.ZodType
  readonly name: string
}

const POLICY: Form = { schema: fileSchema, name: 'a policy' }

/** Adds what zod found wrong with the form of a file, in the words of the file: of a policy unless another form is given. */
export function addFormMistakes(tree: Tree, file: unknown, form: Form = POLICY): void {
  for (const issue of form.schema.safeParse(file).error?.issues ?? []) addIssue(tree, file, issue, issue.path as Path, form)
}

function addIssue(tree: Tree, file: unknown, issue: z.core.$ZodIssue, path: Path, form: Form): void {
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(form.schema, path)
    for (const key of issue.keys.slice(0, MAX_ISSUES)) tree.add([...path, key], unknownKey(key, path, known))
    return
  }
  if (issue.code === 'invalid_key') {
    const expected = issue.issues[0]?.message ?? issue.message
    return tree.add(path, { message: `A name in \`${formatPath(path.slice(0, -1))}\` cannot be used`, found: String(path.at(-1)), expected, at: 'key' })
  }
  const inner = issue.code === 'invalid_union' ? issue.errors.find(reachesInside) : undefined
  if (inner !== undefined) {
    for (const deeper of inner) addIssue(tree, file, deeper, [...path, ...(deeper.path as Path)], form)
    return
  }
  const value = valueAt(file, path)
  if (value === undefined) return tree.add(path, { message: `\`${formatPath(path)}\` is missing`, expected: issue.message })
  tree.add(path, {
    message: path.length === 0 ? `The file is not ${form.name}` : `\`${formatPath(path)}\` cannot be used as it stands`,
    expected: issue.message,
    ...hinted(hintFor(issue, value)),
  })
}

/** Whether a branch of a union took the value for one of its own: its complaints are then the useful ones. */
function reachesInside(branch: readonly z.core.$ZodIssue[]): boolean {
  return branch.every((issue) => issue.path.length > 0 || issue.code === 'unrecognized_keys' || issue.code === 'too_small' || issue.code === 'too_big')
}

function unknownKey(key: string, path: Path, known: readonly string[]): Mistake {
  const where = path.length === 0 ? '' : ` in \`${formatPath(path)}\``
  return { message: `Unknown key${where}`, found: oneLine(key), expected: `one of ${known.join(', ')}`, at: 'key', ...hinted(unknownKeyHint(key, known)) }
}

function unknownKeyHint(key: string, known: readonly string[]): string | undefined {
  const meant = nearest(key, known)
  if (meant !== undefined) return `did you mean \`${meant}\`?`
  return REFUSED_KEYS.get(key) ?? REFUSED_KEYS.get(nearest(key, [...REFUSED_KEYS.keys()]) ?? '')
}

function hinted(hint: string | undefined): { hint?: string } {
  return hint === undefined ? {} : { hint }
}

function hintFor(issue: z.core.$ZodIssue, value: unknown): string | undefined {
  if (value === null) return 'fill it in, or remove the key'
  if (issue.message === AMOUNT_FORM) {
    const problem = parseAmount(value)
    return 'problem' in problem ? problem.hint : undefined
  }
  if (issue.message === SHARE_FORM && shareHint(value) !== undefined) return shareHint(value)
  if (typeof value !== 'string') return undefined
  const names =
    issue.code === 'invalid_value' ? issue.values.map(String) : issue.code === 'invalid_type' && issue.expected === 'boolean' ? ['true', 'false'] : []
  const meant = nearest(value, names)
  if (meant !== undefined) return `did you mean ${meant}?`
  if (issue.code !== 'invalid_type') return undefined
  if (issue.expected === 'boolean') return /^(yes|on|y)$/i.test(value) ? 'did you mean true?' : /^(no|off|n)$/i.test(value) ? 'did you mean false?' : undefined
  if (issue.expected !== 'number') return undefined
  if (/^\d+(\.\d+)?$/.test(value)) return `remove the quotes: ${value}`
  return /^\d+,\d+$/.test(value) ? `did you mean ${value.replace(',', '.')}?` : undefined
}

function shareHint(value: unknown): string | undefined {
  const percent = typeof value === 'number' ? value : Number(/^(\d+(?:\.\d+)?)%?$/.exec(String(value))?.[1])
  return percent >= 5 && percent <= 100 ? `did you mean ${percent / 100}?` : undefined
}

function knownKeys(schema: unknown, path: Path): readonly string[] {
  if (schema instanceof z.ZodOptional) return knownKeys(schema.unwrap(), path)
  if (schema instanceof z.ZodUnion) return schema.options.map((option) => knownKeys(option, path)).find((keys) => keys.length > 0) ?? []
  const [head, ...rest] = path
  if (schema instanceof z.ZodObject) return head === undefined ? Object.keys(schema.shape) : knownKeys(schema.shape[head], rest)
  if (schema instanceof z.ZodRecord) return knownKeys(schema.valueType, rest)
  if (schema instanceof z.ZodArray) return knownKeys(schema.element, rest)
  return []
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (at, part) => (typeof at === 'object' && at !== null && Object.hasOwn(at, part) ? (at as Record<string | number, unknown>)[part] : undefined),
    value,
  )
}

import { z } from 'zod'
import { AMOUNT_FORM, parseAmount } from './amount.ts'
import { BUILT_IN_NAMES } from './backends.ts'
import { belongsUnder, homeHint } from './homes.ts'
import { oneLine } from './issues.ts'
import { meantDollars } from './meant-amount.ts'
import { nearest } from '../nearest.ts'
import { fileSchema, SHARE_FORM } from './schema.ts'
import { COMMA_HINT, formatPath, MAX_ISSUES, type Mistake, type Path, type Tree } from './tree.ts'

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
  if (tree.isFull) return
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(form.schema, path)
    for (const key of issue.keys.slice(0, MAX_ISSUES))
      tree.add([...path, key], unknownKey(key, path, known, unknownKeyHint({ tree, key, path, known, file, form })))
    return
  }
  if (issue.code === 'invalid_key') {
    const expected = issue.issues[0]?.message ?? issue.message
    const [message, key] = [`A name in \`${formatPath(path.slice(0, -1))}\` cannot be used`, String(path.at(-1))]
    return tree.add(path, { message, found: key, expected, at: 'key', ...hinted(missingSpaceHint(key) ?? commaHint(tree, file, path)) })
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
    ...hinted(formHint(issue, value, path) ?? (value === null ? emptyHint(form, file, path) : (commaHint(tree, file, path) ?? hintFor(issue, value, path)))),
  })
}

/** Whether a branch of a union took the value for one of its own: its complaints are then the useful ones. */
function reachesInside(branch: readonly z.core.$ZodIssue[]): boolean {
  return branch.every((issue) => issue.path.length > 0 || issue.code === 'unrecognized_keys' || issue.code === 'too_small' || issue.code === 'too_big')
}

function unknownKey(key: string, path: Path, known: readonly string[], hint: string | undefined): Mistake {
  const where = path.length === 0 ? '' : ` in \`${formatPath(path)}\``
  return { message: `Unknown key${where}`, found: oneLine(key), expected: `one of ${known.join(', ')}`, at: 'key', ...hinted(hint) }
}

interface UnknownKey {
  readonly tree: Tree
  readonly key: string
  readonly path: Path
  readonly known: readonly string[]
  readonly file: unknown
  readonly form: Form
}

function unknownKeyHint({ tree, key, path, known, file, form }: UnknownKey): string | undefined {
  const slip = missingSpaceHint(key) ?? commaHint(tree, file, [...path, key])
  if (slip !== undefined) return slip
  const meant = nearest(key, known)
  if (meant !== undefined) return `did you mean \`${meant}\`?`
  const refused = REFUSED_KEYS.get(key) ?? REFUSED_KEYS.get(nearest(key, [...REFUSED_KEYS.keys()]) ?? '')
  if (refused !== undefined && path.includes('conditions')) return refused
  const emptied = emptiedBy(form, file, path, key)
  if (emptied !== undefined) return `indent it, to stand under \`${emptied}\``
  return homeHint(form.schema, key, path) ?? backendHint(file, path, key, form) ?? refused
}

/** A backend's name where a section is expected: what is said of it tells which of two places it belongs to. */
function backendHint(file: unknown, path: Path, key: string, form: Form): string | undefined {
  const isBackend = BUILT_IN_NAMES.includes(key) || valueAt(file, ['backends', key]) !== undefined
  if (form !== POLICY || !isBackend || path.length > 1 || path[0] === 'rules') return undefined
  const value = valueAt(file, [...path, key])
  return belongsUnder(typeof value === 'string' || typeof value === 'number' ? ['budgets', 'per_backend'] : ['backends'])
}

/** The key above an unknown one that was left without a value, where the unknown one could stand under it. */
function emptiedBy(form: Form, file: unknown, path: Path, key: string): string | undefined {
  const siblings = keysAt(file, path)
  const known = knownKeys(form.schema, path)
  const above = siblings.slice(0, siblings.indexOf(key)).findLast((name) => known.includes(name))
  if (above === undefined || valueAt(file, [...path, above]) !== null) return undefined
  const schema = schemaAt(form.schema, [...path, above])
  const takes = schema instanceof z.ZodRecord ? homeHint(form.schema, key, path) === undefined : knownKeys(form.schema, [...path, above]).includes(key)
  return takes ? above : undefined
}

function emptyHint(form: Form, file: unknown, path: Path): string {
  const above = path.slice(0, -1)
  const keys = keysAt(file, above)
  const below = keys.slice(keys.indexOf(String(path.at(-1))) + 1).slice(0, 20)
  if (below.some((key) => emptiedBy(form, file, above, key) === path.at(-1))) return 'indent the lines that belong under it'
  const [known, own] = [knownKeys(form.schema, above), knownKeys(form.schema, path)]
  const strayed = keys.find((key) => own.includes(key) && !known.includes(key))
  return strayed === undefined ? 'fill it in, or remove the key' : `move \`${strayed}\` under it, indented`
}

function keysAt(file: unknown, path: Path): readonly string[] {
  const value = valueAt(file, path)
  return typeof value === 'object' && value !== null ? Object.keys(value) : []
}

/** Entries of a mapping or list that a comma may have taken apart; in longer ones nobody looks for it. */
const MAX_PARTS = 50

/** In `{ amount: 1,000/day }` and `[1,000/day]` the comma begins a new entry. @returns the number in one piece, where nothing else stands between its parts. */
function commaHint(tree: Tree, file: unknown, path: Path): string | undefined {
  const above = path.slice(0, -1)
  const isList = Array.isArray(valueAt(file, above))
  const partAt = (key: string | number): { readonly key: string | number; readonly isKey: boolean; readonly text: string } => {
    const value = valueAt(file, [...above, key])
    return value === null ? { key, isKey: true, text: String(key) } : { key, isKey: false, text: String(value) }
  }
  const keys = keysAt(file, above)
  const [last] = path.slice(-1)
  if (last === undefined || keys.length > MAX_PARTS || !/^\d{1,3}(?!\d)/.test(partAt(last).text)) return undefined
  const parts = keys.map((key) => partAt(isList ? Number(key) : key))
  const first = parts.find(({ text }) => /^\d{1,3}$/.test(text))
  const rest = parts.filter(({ text }) => /^\d{3}(?!\d)/.test(text))
  if (first === undefined || rest.length === 0 || ![first, ...rest].some(({ key }) => key === last)) return undefined
  const { line, column } = tree.origin([...above, first.key])
  const next = rest.find(({ key, isKey }) => {
    const at = isKey ? tree.keyOrigin([...above, key]) : tree.origin([...above, key])
    return at.line === line && at.column === column + first.text.length + 1
  })
  return next === undefined ? COMMA_HINT : `a comma begins a new entry: write ${first.text}${next.text}`
}

/** For `key:value` and `-entry`, which YAML reads as one text. */
function missingSpaceHint(text: string): string | undefined {
  if (/^-[A-Za-z{["']/.test(text)) return `a space is missing after the dash: write - ${oneLine(text.slice(1))}`
  const [, key, rest = ''] = /^([A-Za-z_][\w.-]*):(\S.*)$/s.exec(text) ?? []
  return key === undefined ? undefined : `a space is missing after the colon: write ${key}: ${oneLine(rest)}`
}

/** Where a value has another form than the file must have there: what was probably meant by it. */
function formHint(issue: z.core.$ZodIssue, value: unknown, path: Path): string | undefined {
  if (issue.code !== 'invalid_type') return undefined
  const { expected } = issue
  if (typeof value === 'string' && (expected === 'object' || expected === 'record' || expected === 'array')) return missingSpaceHint(value)
  if (typeof value === 'number' && path.length === 2 && path[0] === 'preferences') return `the task type comes first, like reasoning: { ${path[1]}: ${value} }`
  if (expected !== 'array' || typeof value !== 'object' || value === null) return undefined
  const [key] = Object.keys(value)
  return key === undefined ? undefined : (missingSpaceHint(key) ?? 'begin each entry with a dash and a space')
}

function hinted(hint: string | undefined): { hint?: string } {
  return hint === undefined ? {} : { hint }
}

function hintFor(issue: z.core.$ZodIssue, value: unknown, path: Path): string | undefined {
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
  const number = meantDollars(value, String(path.at(-1)))
  return number === undefined ? undefined : `write ${number}`
}

function shareHint(value: unknown): string | undefined {
  const percent = typeof value === 'number' ? value : Number(/^(\d+(?:\.\d+)?)%?$/.exec(String(value))?.[1])
  return percent >= 5 && percent <= 100 ? `did you mean ${percent / 100}?` : undefined
}

function knownKeys(schema: unknown, path: Path): readonly string[] {
  const found = schemaAt(schema, path)
  return found instanceof z.ZodObject ? Object.keys(found.shape) : []
}

/** The schema of a path; of several forms the mapping with fixed keys. */
function schemaAt(schema: unknown, path: Path): unknown {
  if (schema instanceof z.ZodOptional) return schemaAt(schema.unwrap(), path)
  if (schema instanceof z.ZodUnion) return schema.options.map((option) => schemaAt(option, path)).find((option) => option instanceof z.ZodObject)
  const [head, ...rest] = path
  if (head === undefined) return schema
  if (schema instanceof z.ZodObject) return schemaAt(schema.shape[head], rest)
  if (schema instanceof z.ZodRecord) return schemaAt(schema.valueType, rest)
  return schema instanceof z.ZodArray ? schemaAt(schema.element, rest) : undefined
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (at, part) => (typeof at === 'object' && at !== null && Object.hasOwn(at, part) ? (at as Record<string | number, unknown>)[part] : undefined),
    value,
  )
}

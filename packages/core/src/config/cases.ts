import { z } from 'zod'
import type { Origin, Policy } from '../policy/policy.ts'
import { addNameMistakes } from './case-names.ts'
import { sortIssues, withoutByteOrderMark, type Issue } from './issues.ts'
import { addFormMistakes } from './mistakes.ts'
import type { Parsed } from './parse.ts'
import { fieldOf } from './sections.ts'
import { readSyntax } from './syntax.ts'
import { formatPath, Tree, type Path } from './tree.ts'

const MAPPING = (keys: string) => ({ error: `a mapping of ${keys}` })
const TEXT = { error: 'a text of 1 to 256 characters' }
const TEXTS = { error: 'a list of texts' }
const TIME = { error: 'a local time, like 2026-06-15T12:00' }
const AGO = { error: 'how long before the time of the case, like 90m, 6h or 2d' }
const COUNT = { error: 'a whole number, 0 or more' }
const AMOUNT = { error: "a number in the limit's unit, 0 or more, with at most 9 decimals" }
const VERDICT = { error: 'one of dispatch, reroute, refuse' }

const text = z.string(TEXT).min(1, TEXT).max(256, TEXT)
const texts = z.array(text, TEXTS).max(64, TEXTS)
const time = z.string(TIME).regex(/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/, TIME)
const count = z.int(COUNT).min(0, COUNT).max(1_000_000_000, COUNT)
const amount = z.number(AMOUNT).min(0, AMOUNT).max(1e15, AMOUNT)

const spentSchema = z
  .strictObject(
    { ago: z.string(AGO).regex(/^\d{1,5}[mhd]$/, AGO), backend: text, model: text, task_type: text, usd: amount, tokens: count, requests: count },
    MAPPING('ago, backend, model, task_type, usd, tokens and requests'),
  )
  .partial({ ago: true, model: true, task_type: true, usd: true, tokens: true, requests: true })

const requestSchema = z
  .strictObject(
    {
      backend: text,
      model: text,
      task_id: text,
      task_type: text,
      tags: texts,
      input_tokens: count,
      max_output_tokens: count,
      min_output_tokens: count,
      n: count,
      candidates: texts,
      pinned: z.boolean({ error: 'true or false' }),
    },
    MAPPING('backend, model, task_type, input_tokens, max_output_tokens and the other fields of a request'),
  )
  .partial()

const EXPECTATION = { error: 'at least one of verdict, backend, model, max_output_tokens, rules and notices: a case that expects nothing passes always' }
const expectSchema = z
  .strictObject(
    {
      verdict: z.enum(['dispatch', 'reroute', 'refuse'], VERDICT),
      backend: text,
      model: text,
      max_output_tokens: count,
      rules: texts.describe('Rules that matched, or limits without room, for some candidate. An empty list: none at all.'),
      notices: texts.describe('Kinds of notices that the totals raise.'),
    },
    MAPPING('verdict, backend, model, max_output_tokens, rules and notices'),
  )
  .partial()
  .refine((expected) => Object.keys(expected).length > 0, EXPECTATION)

const CASES = { error: 'a list of 1 to 1,000 cases' }
const caseSchema = z
  .strictObject(
    {
      name: text,
      at: time,
      totals: z.record(text, amount, MAPPING('names of limits to what is spent of them')),
      spent: z.array(spentSchema, { error: 'a list of earlier spend' }).max(100),
      request: requestSchema,
      expect: expectSchema,
    },
    MAPPING('name, at, totals, spent, request and expect'),
  )
  .partial({ at: true, totals: true, spent: true, request: true })

const casesSchema = z
  .strictObject(
    {
      policy: z.string({ error: 'the path of a policy file, or the policy itself as a block of text' }).min(1),
      at: time,
      cases: z.array(caseSchema, CASES).min(1, CASES).max(1_000, CASES),
    },
    MAPPING('policy, at and cases'),
  )
  .partial({ policy: true, at: true })

const EMPTY = { expected: 'a list of cases, at least `cases:`', hint: 'the least is cases: [{ name: a call goes out, expect: { verdict: dispatch } }]' }
const FORM = { schema: casesSchema, name: 'a file of policy cases' }

/** When a case takes place that does not say: the middle of a month, a day and, being a Monday, not of a week. Local time. */
const USUAL_TIME = '2026-06-15T12:00'

/** What is to be decided on which totals, and what should come of it. As it stands in the file. */
export interface PolicyCase extends Omit<z.infer<typeof caseSchema>, 'at'> {
  readonly at: string
  /** Of the case itself. */
  readonly origin: Origin
  /** Where each expectation and each total stands: by `expect.verdict`, `totals.all.day`. */
  readonly origins: ReadonlyMap<string, Origin>
}

/** The policy that a file of cases is about, as the file names it: by its path, or as a text of its own; undefined: that of whoever runs the cases. */
export type NamedPolicy = { readonly path: string } | { readonly text: string } | undefined

/** The cases of a file, and the policy that they are about. */
export interface PolicyCases {
  readonly policy: Policy
  readonly cases: readonly PolicyCase[]
}

/** A file of cases, or everything that is wrong with it; nothing where only the policy that it names by a path has mistakes. */
export type ParsedCases = { readonly ok: true; readonly cases: PolicyCases } | { readonly ok: false; readonly issues: readonly Issue[] }

/** Reads a file of policy cases, as strictly as a policy: every name in it must be known to the policy, or be a kind of notice. */
export function readPolicyCases(source: string, noticeKinds: readonly string[], readPolicy: (named: NamedPolicy) => Parsed): ParsedCases {
  const text = withoutByteOrderMark(source)
  const syntax = readSyntax(text, EMPTY)
  if (!syntax.ok) return { ok: false, issues: sortIssues(syntax.issues) }
  const tree = new Tree(syntax.root, syntax.lines)
  const file = tree.value()
  addFormMistakes(tree, file, FORM)
  const named = namedPolicy(file)
  const found = named === 'unreadable' ? undefined : readPolicy(named)
  if (found?.ok === true) addNameMistakes(tree, file, found.policy, noticeKinds)
  const parsed = casesSchema.safeParse(file)
  const inPolicy = found?.ok === false && typeof named === 'object' && 'text' in named ? inBlock(text, tree.origin(['policy']), named.text, found.issues) : []
  if (found?.ok !== true || tree.issues.length > 0 || !parsed.success) return { ok: false, issues: sortIssues([...tree.issues, ...inPolicy]) }
  const { at = USUAL_TIME, cases } = parsed.data
  const withPlaces = cases.map((one, index) => ({
    ...one,
    at: one.at ?? at,
    origin: tree.origin(['cases', index, 'name']),
    origins: originsOf(tree, index, one),
  }))
  return { ok: true, cases: { policy: found.policy, cases: withPlaces } }
}

function namedPolicy(file: unknown): NamedPolicy | 'unreadable' {
  const policy = fieldOf(file, 'policy')
  if (policy === undefined) return undefined
  if (typeof policy !== 'string' || policy === '') return 'unreadable'
  return policy.includes('\n') ? { text: policy } : { path: policy }
}

/** The mistakes of a policy that stands in the file as a block of text, at their places in the file; those of a folded or quoted text at its beginning. */
function inBlock(file: string, { line, column }: Origin, policy: string, issues: readonly Issue[]): readonly Issue[] {
  const lines = file.split('\n')
  const isBlock = lines[line - 1]?.charAt(column - 1) === '|'
  const own = policy.split('\n')
  const first = own.findIndex((text) => text.trim() !== '')
  const indentation = leading(lines[line + first] ?? '') - leading(own[first] ?? '')
  return issues.map((issue) => (isBlock ? { ...issue, line: issue.line + line, column: issue.column + indentation } : { ...issue, line, column }))
}

function leading(text: string): number {
  return text.length - text.trimStart().length
}

function originsOf(tree: Tree, index: number, { totals = {}, expect }: z.infer<typeof caseSchema>): ReadonlyMap<string, Origin> {
  const paths: readonly Path[] = [['at'], ...Object.keys(totals).map((name) => ['totals', name]), ...Object.keys(expect).map((key) => ['expect', key])]
  return new Map(paths.map((path) => [path.join('.'), { ...tree.origin(['cases', index, ...path]), path: formatPath(path) }]))
}

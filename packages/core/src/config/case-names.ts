import { nearest } from '../nearest.ts'
import { compileShorthand } from '../policy/compile.ts'
import type { Policy } from '../policy/policy.ts'
import { oneLine } from './issues.ts'
import { entriesOf, fieldOf, itemsOf } from './sections.ts'
import type { Path, Tree } from './tree.ts'

/** Adds a mistake for every name in a file of cases that its policy does not have, also where the form of a case is wrong. */
export function addNameMistakes(tree: Tree, file: unknown, policy: Policy, noticeKinds: readonly string[]): void {
  const known = namesOf(policy, noticeKinds)
  for (const [index, one] of itemsOf(fieldOf(file, 'cases'))) checkCase(tree, ['cases', index], one, known)
}

interface Names {
  readonly backend: readonly string[]
  readonly model: readonly string[]
  readonly limit: readonly string[]
  /** Limits are found among the rules that matched, too. */
  readonly rule: readonly string[]
  readonly notice: readonly string[]
}

function namesOf(policy: Policy, noticeKinds: readonly string[]): Names {
  const { backends, limits, rules } = policy
  const limit = limits.map(({ name }) => name)
  const ownKinds = rules.flatMap(({ event }) => event.params.kind ?? [])
  return {
    backend: backends.map(({ name }) => name),
    model: backends.flatMap(({ models }) => models),
    limit,
    rule: [...new Set([...limit, ...[...compileShorthand(policy), ...rules].map(({ name }) => name)])],
    notice: [...noticeKinds, ...ownKinds],
  }
}

function checkCase(tree: Tree, path: Path, one: unknown, known: Names): void {
  const check = (what: keyof Names, at: Path, name: unknown, among = known[what], place?: 'key'): void => {
    if (typeof name === 'string' && !among.includes(name)) addUnknown(tree, [...path, ...at], WORDS[what], name, among, place)
  }
  for (const [name] of entriesOf(fieldOf(one, 'totals'))) check('limit', ['totals', name], name, known.limit, 'key')
  for (const [index, spent] of itemsOf(fieldOf(one, 'spent'))) {
    check('backend', ['spent', index, 'backend'], fieldOf(spent, 'backend'))
    check('model', ['spent', index, 'model'], fieldOf(spent, 'model'))
  }
  const request = fieldOf(one, 'request')
  const model = fieldOf(request, 'model')
  const expected = fieldOf(one, 'expect')
  check('backend', ['request', 'backend'], fieldOf(request, 'backend'))
  for (const [index, name] of itemsOf(fieldOf(request, 'candidates'))) check('backend', ['request', 'candidates', index], name)
  // A backend that is named is asked for any model.
  if (fieldOf(request, 'backend') === undefined) check('model', ['request', 'model'], model)
  check('backend', ['expect', 'backend'], fieldOf(expected, 'backend'))
  check('model', ['expect', 'model'], fieldOf(expected, 'model'), typeof model === 'string' ? [...known.model, model] : known.model)
  for (const [index, name] of itemsOf(fieldOf(expected, 'rules'))) check('rule', ['expect', 'rules', index], name)
  for (const [index, name] of itemsOf(fieldOf(expected, 'notices'))) check('notice', ['expect', 'notices', index], name)
}

const WORDS: Readonly<Record<keyof Names, string>> = { backend: 'backend', model: 'model', limit: 'limit', rule: 'rule or limit', notice: 'kind of notice' }

function addUnknown(tree: Tree, path: Path, what: string, name: string, known: readonly string[], place: 'key' | undefined): void {
  if (tree.isFull) return
  const meant = nearest(name, known)
  tree.add(path, {
    message: `There is no ${what} \`${oneLine(name)}\``,
    found: oneLine(name),
    expected: known.length === 0 ? `none: the policy has no ${what}` : `one of ${oneLine(known.join(', '), 300)}`,
    ...(meant !== undefined && { hint: `did you mean \`${meant}\`?` }),
    ...(place !== undefined && { at: place }),
  })
}

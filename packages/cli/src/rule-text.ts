import type { Condition, Rule } from '@manciple/core'

/** A rule as it would stand under `rules:`, in YAML that may be pasted there; above it, as a comment, where it comes from. */
export function ruleYaml({ name, conditions, event, line }: Rule): string {
  const { limit } = event.params
  const origin = [line === undefined ? 'by default' : `line ${line}`, ...(limit === undefined ? [] : [`limit ${limit}`])]
  return [
    `# ${origin.join(', ')}`,
    `- name: ${scalar(name)}`,
    '  conditions:',
    ...conditionLines(conditions).map((text) => `    ${text}`),
    ...eventLines(event),
  ].join('\n')
}

function conditionLines(condition: Condition): string[] {
  if ('fact' in condition) return [leaf(condition)]
  if ('not' in condition) return ['not:', ...conditionLines(condition.not).map((line) => `  ${line}`)]
  const [key, inner] = 'all' in condition ? ['all:', condition.all] : ['any:', condition.any]
  return [key, ...inner.flatMap((one) => conditionLines(one).map((line, index) => `  ${index === 0 ? '- ' : '  '}${line}`))]
}

function leaf({ fact, operator, value }: Extract<Condition, { fact: string }>): string {
  return `{ fact: ${fact}, operator: ${operator}, value: ${valueText(value)} }`
}

function valueText(value: Extract<Condition, { fact: string }>['value']): string {
  if (typeof value !== 'object') return scalar(value)
  return 'fact' in value ? `{ fact: ${value.fact} }` : `[${value.map(scalar).join(', ')}]`
}

function eventLines({ type, params }: Rule['event']): string[] {
  const { limit: _origin, ...own } = params
  const given = Object.entries(own).map(([key, value]) => `      ${key}: ${scalar(value)}`)
  return ['  event:', `    type: ${type}`, ...(given.length === 0 ? [] : ['    params:', ...given])]
}

/** JSON's form of a text or number is YAML's as well; plain words that YAML reads as text need no quotes. */
function scalar(value: string | number): string {
  const plain = typeof value === 'string' && /^[a-z][\w.]*([ -][\w.]+)*$/i.test(value) && !/^(true|false|null)$/i.test(value)
  return plain ? value : JSON.stringify(value)
}

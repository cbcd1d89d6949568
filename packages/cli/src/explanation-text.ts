import { formatUsd, type CandidateExplanation, type Explanation } from '@manciple/core'
import { shortAmount, shortQuantity } from './amounts.ts'
import { printable, wrap, type Terminal } from './terminal.ts'

/** Verdict, reasons and candidates. */
export function explanationText(explanation: Explanation, terminal: Terminal): string {
  const reasons = explanation.reasons.map((reason) => `  ${fitted(reason, terminal.width, 2)}`)
  return `${[verdictText(explanation, terminal), ...reasons].join('\n')}\n\n${candidatesText(explanation, terminal)}`
}

/** For programs: each candidate with its record's own fields beside the rest. */
export function explanationJson({ candidates, ...decided }: Explanation): Record<string, unknown> {
  const flat = candidates.map(({ candidate, ...rest }) => ({ ...candidate, ...rest, whatIf: rest.whatIf ?? null }))
  return { ...decided, candidates: flat }
}

/** `reroute: kimi/kimi-k2`. */
export function verdictText({ verdict, backend, model }: Explanation, { colours }: Terminal): string {
  const paint = verdict === 'dispatch' ? colours.green : verdict === 'reroute' ? colours.yellow : colours.red
  return `${paint(colours.bold(verdict))}${backend === undefined ? '' : `: ${backend}/${model ?? ''}`}`
}

/** A name may be longer than a line. */
export function fitted(text: string, width: number, indent: number): string {
  const room = width - indent
  const words = printable(text)
    .split(' ')
    .flatMap((word) => word.match(new RegExp(`.{1,${room}}`, 'gu')) ?? [''])
  return wrap(words.join(' '), width, indent)
}

const LABEL_WIDTH = 12

/** Every candidate: rules that matched with their facts, headroom, and what would have to be different. */
export function candidatesText({ candidates }: Explanation, terminal: Terminal): string {
  return candidates.map((one) => candidateText(one, terminal)).join('\n\n')
}

function candidateText({ candidate, toll, headroom, rules, whatIf }: CandidateExplanation, terminal: Terminal): string {
  const { colours, width } = terminal
  const { backend, model, out, score, estimate_nano: estimate, limits = [] } = candidate
  const cost = estimate === null ? '' : `, may cost ${formatUsd(estimate, 4)}`
  const state = out === undefined ? colours.green('taken') : out
  const row = (label: string, text: string): string => `  ${colours.dim(label.padEnd(LABEL_WIDTH - 2))}${fitted(text, width, LABEL_WIDTH)}`
  const room = headroom.map(({ limit, unit, free }) => `${limit} ${unit === 'usd' ? shortQuantity(free, unit) : shortAmount(free, unit)}`)
  const matched = rules.filter((rule) => rule.matched)
  return [
    `${colours.bold(`${backend}/${model}`)}: ${state}, score ${score.toFixed(2)}${cost}`,
    ...(limits.length === 0 ? [] : [row('no room', limits.join(', '))]),
    ...(Math.abs(toll) < 0.005 ? [] : [row('pacing', pacingText(toll))]),
    ...(room.length === 0 ? [] : [row('headroom', room.join(', '))]),
    ...matched.map(({ rule, facts }) => row(rule.event.type, `"${rule.name}"${rule.line === undefined ? '' : ` (line ${rule.line})`}: ${factsText(facts)}`)),
    ...(whatIf === undefined ? [] : [row('otherwise', whatIf.text)]),
  ].join('\n')
}

/** What pacing moved the score by. */
function pacingText(toll: number): string {
  const by = Math.abs(toll).toFixed(2)
  return toll < 0 ? `adds ${by}: what is paid for would lapse` : `takes ${by}: what is left is worth more to other calls`
}

function factsText(facts: Readonly<Record<string, unknown>>): string {
  return Object.entries(facts)
    .map(
      ([name, value]) =>
        `${name} ${typeof value === 'number' ? Number(value.toPrecision(4)) : Array.isArray(value) ? `[${value.join(', ')}]` : JSON.stringify(value)}`,
    )
    .join(', ')
}

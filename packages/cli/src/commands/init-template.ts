import { NANO_PER_USD, usdToNano } from '@manciple/core'

/** Backends that need nothing but their name. */
export const BUILT_IN_BACKENDS = ['claude', 'kimi', 'gpt', 'gemini'] as const

/** What a new policy file is to say. Amounts of money as they are written: `20.00`. */
export interface PolicyAnswers {
  readonly daily: string
  readonly monthly: string
  /** The accounts that there are, each with what it may take a month, where it has a limit of its own. */
  readonly backends: ReadonlyMap<string, string | undefined>
  readonly timezone: string
  /** Model of the local backend; undefined where there is none. */
  readonly localModel: string | undefined
  readonly hardStop: boolean
}

const NANO_PER_CENT = NANO_PER_USD / 100

/** As short as it can be exactly, with cents. */
export function usdText(nano: number): string {
  return nano % NANO_PER_CENT === 0 ? (nano / NANO_PER_USD).toFixed(2) : (nano / NANO_PER_USD).toFixed(9).replace(/0+$/, '')
}

/** Below five times the even pace a day keeps a month from being used up. In whole cents, rounded up. */
export function dailyFor(monthly: string): string {
  const cents = Math.ceil(((usdToNano(monthly) ?? 0) * 5) / 30 / NANO_PER_CENT)
  return usdText(cents * NANO_PER_CENT)
}

/** A policy file with its comments. @param schema path of the JSON Schema, for editors; undefined where there is none. */
export function policyFileText(answers: PolicyAnswers, schema: string | undefined): string {
  return [head(schema), budgets(answers), AMOUNTS, timezone(answers), backends(answers), REST].join('\n\n') + '\n'
}

function head(schema: string | undefined): string {
  const editor = ['# Editors that speak to a YAML language server complete it, by this line:', `# yaml-language-server: $schema=${schema ?? ''}`]
  return [
    '# What may be spent on models, and what must not be left unused.',
    '#',
    '# This file is read again whenever it is saved; a file with a mistake is refused whole, and the last good one stays in force.',
    '# `manciple check` says what is wrong with it, and advises; with `--rules` it prints every rule that it amounts to.',
    ...(schema === undefined ? [] : editor),
  ].join('\n')
}

function budgets({ daily, monthly, backends: accounts, hardStop }: PolicyAnswers): string {
  const limited = [...accounts].filter(([, amount]) => amount !== undefined)
  return [
    'budgets:',
    `  daily_limit_usd: ${daily}   # of all cloud backends together`,
    `  monthly_limit_usd: ${monthly}`,
    ...(limited.length === 0 ? [] : ['  per_backend:', ...limited.map(([name, amount]) => `    ${name}: ${amount}/month`)]),
    '  warning_threshold: 0.8   # warn at 80% spend',
    `  hard_stop: ${hardStop}${hardStop ? '          # refuse cloud calls at limit' : '         # warn at limit, and refuse nothing'}`,
  ].join('\n')
}

function timezone(answers: PolicyAnswers): string {
  return `# The zone of all calendar windows, and of the facts hour, weekday and day_of_month.\ntimezone: ${answers.timezone}`
}

function backends({ backends: accounts, localModel }: PolicyAnswers): string {
  return [
    '# The accounts that serve models. claude, kimi, gpt and gemini may leave out provider and models; any other backend says them itself.',
    '# What can be said of each:',
    BACKEND_KEYS,
    'backends:',
    ...[...accounts.keys()].map((name) => `  ${name}: {}`),
    ...(localModel === undefined
      ? []
      : [`  local: { kind: local, models: [${JSON.stringify(localModel)}] }   # costs nothing, and takes what the cloud may not`]),
  ].join('\n')
}

const BACKEND_KEYS = `#     provider: anthropic             # whose price list applies: anthropic, moonshotai, openai, google …
#     models: [claude-sonnet-4-20250514, claude-opus-4-8, claude-haiku-4-5]   # the first is the default
#     quota: 45M tokens/week@Mon 09:00    # what is already paid for, and so should be used; unless given, the longest limit
#     paid: 200.00/month              # what the plan costs; weighs the quota in the total
#     limits: [900k tokens/5h@first-use, 20.00/day]   # windows nest`

const AMOUNTS = `# An amount is QUANTITY/WINDOW.
#   quantity  US dollars at list price (20.00), or tokens or requests (900k tokens, 1500 requests; k and M are thousands and millions)
#   window    day  week  month  quarter  year    of the calendar, in the zone below
#             month@15                           a month from a billing day
#             week@Mon 09:00                     a week from a weekday and time
#             5h@first-use                       a span that begins with the first call after the last one ended
#             5h  7d                             rolling: the last five hours, the last seven days`

const REST = `# All that follows has a default. Remove the # to change it.

# Limits of any scope, with names of their own. Rules read them as opus.used, opus.spent and opus.left_usd.
# limits:
#   - { name: opus, amount: 3.00/day, model: claude-opus-4-8 }
#   - { name: bulk, amount: 10.00/month, task_type: bulk }

# How much of what is paid for should be used. Work is routed to where a floor is in danger, and a notice says so.
# floors:
#   backend: 0.5          # of each backend's quota …
#   total: 0.7            # … and of all quotas together
#   low_remaining: 0.1    # with less than this left, shift load away gently

# How well a backend suits a task type, 0 to 1. Where nothing is said: 1 for the backend that a request names, 0.5 for others.
# preferences:
#   reasoning: { claude: 1.0, gpt: 0.9, gemini: 0.8, kimi: 0.8, local: 0.4 }

# US dollars per million tokens, in place of the price list; or \`free\`. A model with no known price is refused, never taken for free.
# prices:
#   kimi-k2: { input_mtok: 0.57, output_mtok: 2.30, cache_read_mtok: 0.15 }
#   my-model: free

# The bound on the answer of a request that names none. Default: 8192.
# max_output_tokens: 8192

# Rules of your own: conditions and events of json-rules-engine.
#   facts      backend backend_kind model task_type task_id tags · input_tokens max_output_tokens estimate_usd · hour weekday day_of_month
#              backend.used .remaining .utilization .pace .elapsed · total.utilization .pace .elapsed
#              of every limit: all.day.used, all.day.spent, all.day.left_usd; claude.month.used …
#   operators  equal notEqual in notIn · lessThan lessThanInclusive greaterThan greaterThanInclusive · contains doesNotContain (tags)
#   events     forbid, avoid, prefer (\`by\` 0 to 1, unless given 0.2), notify (\`kind\`, \`severity\`: info advice warning alert)
# rules:
#   - name: opus is for reasoning
#     conditions:
#       all:
#         - { fact: model, operator: equal, value: claude-opus-4-8 }
#         - { fact: task_type, operator: notEqual, value: reasoning }
#     event: { type: forbid, params: { message: "opus is kept for reasoning" } }`

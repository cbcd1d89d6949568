import { parseArgs } from 'node:util'

export const HELP = `npm start [-- OPTIONS]

A model router with Manciple in it: a real gateway in its own process, four stub
cloud backends and a local one, and traffic on a clock that runs a month in about
forty seconds.

  --trace FILE    replay a trace: a CSV with TIMESTAMP,ContextTokens,GeneratedTokens,
                  or JSON lines {t, id, task_type, prompt_tokens, completion_tokens}
  --limit N       at most so many calls (5000)
  --days D        how many days of the ledger's clock the traffic is spread over
                  (30; a trace 10, so that each day is too dear)
  --seconds S     how long that takes (40)
  --seed N        of the traffic (1)
  --policy FILE   another policy than the demo's own
  --ledger DIR    a folder for the ledger, new or empty (a new one under data/demo/)
  --serve         keep the gateway up in real time for your own client, with real
                  backends for ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY and
                  MOONSHOT_API_KEY where they are set
  --help          this text
`

export interface Options {
  readonly trace: string | undefined
  readonly limit: number
  readonly days: number
  readonly seconds: number
  readonly seed: number
  readonly policy: string | undefined
  readonly ledger: string | undefined
  readonly serve: boolean
  readonly help: boolean
}

/** @throws Error that names the option. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      trace: { type: 'string' },
      limit: { type: 'string', default: '5000' },
      days: { type: 'string' },
      seconds: { type: 'string', default: '40' },
      seed: { type: 'string', default: '1' },
      policy: { type: 'string' },
      ledger: { type: 'string' },
      serve: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  return {
    trace: values.trace,
    limit: wholeNumber('limit', values.limit, 1, 1_000_000),
    days: wholeNumber('days', values.days ?? (values.trace === undefined ? '30' : '10'), 1, 366),
    seconds: wholeNumber('seconds', values.seconds, 2, 86_400),
    seed: wholeNumber('seed', values.seed, 0, 2 ** 32 - 1),
    policy: values.policy,
    ledger: values.ledger,
    serve: values.serve,
    help: values.help,
  }
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || text.trim() === '' || value < least || value > most) {
    throw new Error(`--${option}: expected a whole number from ${least} to ${most}; found ${JSON.stringify(text)}`)
  }
  return value
}

import { adjustSpend, dropPresumed, formatUsd, NANO_PER_USD, openOutsideView, parseTime, usdToNano, type LedgerEntry } from '@manciple/core'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { jsonText } from '../../amounts.ts'
import { addLedgerOptions, type LedgerOptions } from '../../outside.ts'
import { terminalOf, type Io } from '../../terminal.ts'

interface AdjustOptions extends LedgerOptions {
  readonly reason: string
  readonly dropPresumed?: string
  readonly backend?: string
  readonly model?: string
  readonly task?: string
  readonly type?: string
  readonly time?: string
  readonly cost?: number
  readonly inputTokens?: number
  readonly outputTokens?: number
  readonly requests?: number
}

const EXAMPLES = `
Figures are what the books lack, or, negative, what they have too much. They
count in the windows of --time; no window of a limit can fall below zero.

Exit codes: 0 corrected, 2 wrong use, locked or unreadable.

Examples:
  $ manciple ledger adjust --backend claude --cost -1.25 --reason "refund 4711"
  $ manciple ledger adjust --backend gpt --cost 0.80 --time 2026-04-02T14:30 \\
      --reason "call from the playground"
  $ manciple ledger adjust --drop-presumed k3x9-1f --reason "it never went out"`

export function defineAdjust(parent: Command, io: Io, done: (code: number) => void): void {
  const command = addLedgerOptions(parent.command('adjust'))
    .summary('correct spend, with a reason')
    .description('Corrects spend, or ends a presumed hold whose call was never billed. A line of the journal like any other. The router must be stopped.')
    .requiredOption('--reason <text>', 'why; kept with the correction')
    .option('--backend <name>', 'whose spend')
    .option('--model <name>', 'of which model; limits by model count nothing without it')
    .option('--task <id>', 'of which task')
    .option('--type <type>', 'of which task type')
    .option('--time <time>', 'when it was spent (2026-04-01T14:30); now unless given')
    .option('--cost <usd>', 'in USD', signedUsd)
    .option('--input-tokens <count>', 'prompt tokens', signedCount)
    .option('--output-tokens <count>', 'completion tokens', signedCount)
    .option('--requests <count>', 'requests', signedCount)
    .addOption(
      new Option('--drop-presumed <id>', 'end this presumed hold; see stats for them').conflicts([
        'backend',
        'cost',
        'inputTokens',
        'outputTokens',
        'requests',
      ]),
    )
    .addHelpText('after', EXAMPLES)
  command.action(async (options: AdjustOptions) => done(await run(io, options, command)))
}

async function run(io: Io, options: AdjustOptions, command: Command): Promise<number> {
  const { ledger, latest, json, reason } = options
  const time = latest ? { nowMs: 0 } : {}
  const ok = terminalOf(io).colours.green('ok')
  if (options.dropPresumed !== undefined) {
    await dropPresumed(ledger, options.dropPresumed, reason, time)
    io.stdout.write(json ? jsonText({ dropped: options.dropPresumed, reason }) : `${ok}: hold ${options.dropPresumed} counts no longer.\n`)
    return 0
  }
  const entry = await adjustSpend(ledger, { ...(await correctionOf(options, command)), reason }, time)
  io.stdout.write(json ? jsonText({ entry, reason }) : `${ok}: ${entryText(entry)}\n`)
  return 0
}

async function correctionOf(options: AdjustOptions, command: Command) {
  const {
    ledger,
    backend,
    model,
    task,
    type,
    time,
    cost: costNano = 0,
    inputTokens: promptTokens = 0,
    outputTokens: completionTokens = 0,
    requests = 0,
  } = options
  if (backend === undefined) return command.error("error: it takes '--backend <name>', or '--drop-presumed <id>'.")
  if (costNano === 0 && promptTokens === 0 && completionTokens === 0 && requests === 0) {
    return command.error("error: it takes at least one of '--cost', '--input-tokens', '--output-tokens', '--requests'.")
  }
  const spent = time === undefined ? undefined : parseTime(time, (await openOutsideView(ledger)).policy.timezone)
  if (time !== undefined && spent === undefined) {
    return command.error(`error: option '--time <time>' argument '${time}' is invalid. It is to be a date or time, as 2026-04-01 or 2026-04-01T14:30.`)
  }
  return {
    backend,
    costNano,
    promptTokens,
    completionTokens,
    requests,
    ...(model === undefined ? {} : { model }),
    ...(task === undefined ? {} : { taskId: task }),
    ...(type === undefined ? {} : { taskType: type }),
    ...(spent === undefined ? {} : { spentAt: new Date(spent.startMs) }),
  }
}

function entryText({ timestamp, backend, model, cost_usd, prompt_tokens, completion_tokens, requests = 0 }: LedgerEntry): string {
  const figures = [
    ...(cost_usd === 0 ? [] : [formatUsd(Math.round(cost_usd * NANO_PER_USD), 4)]),
    ...(prompt_tokens === 0 ? [] : [`${prompt_tokens} input tokens`]),
    ...(completion_tokens === 0 ? [] : [`${completion_tokens} output tokens`]),
    ...(requests === 0 ? [] : [`${requests} requests`]),
  ]
  return `${figures.join(', ')} for ${model === '' ? backend : `${backend}/${model}`} at ${timestamp}.`
}

function signedUsd(text: string): number {
  const nano = usdToNano(text.replace(/^[+-]/, ''))
  if (nano === undefined) throw new InvalidArgumentError('It is to be an amount in USD with up to nine decimals, as 1.25 or -0.05.')
  return text.startsWith('-') ? -nano : nano
}

function signedCount(text: string): number {
  if (!/^[+-]?\d{1,15}$/.test(text)) throw new InvalidArgumentError('It is to be a whole number, as 1500 or -1500.')
  return Number(text)
}

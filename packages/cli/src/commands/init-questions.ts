import { CANCEL_SYMBOL, confirm, intro, multiselect, outro, text } from '@clack/prompts'
import { parsePolicy, usdToNano } from '@manciple/core'
import type { Dialogue } from '../terminal.ts'
import { BUILT_IN_BACKENDS, dailyFor, usdText, type PolicyAnswers } from './init-template.ts'

const UNLIMITED = 'none'

/** The way out of any question: Ctrl-C or Esc. */
class Cancelled extends Error {}

/** Asks what a first policy needs. @param usual what an empty answer stands for. @returns undefined where the questions were broken off. */
export async function askForPolicy({ input, output }: Dialogue, usual: PolicyAnswers): Promise<PolicyAnswers | undefined> {
  const streams = { input, output }
  const asked = async <Value>(answer: Promise<Value | typeof CANCEL_SYMBOL>): Promise<Value> => {
    const value = await answer
    if (value === CANCEL_SYMBOL) throw new Cancelled()
    return value
  }
  const money = async (message: string, usualUsd: string): Promise<string> =>
    written(await asked(text({ ...streams, message, placeholder: usualUsd, defaultValue: usualUsd, validate: moneyProblem })))
  intro('A first policy: everything in it can be changed later.', streams)
  try {
    const monthly = await money('What may all cloud models together cost a month, in USD?', usual.monthly)
    const daily = await money('And a day? Work comes in bursts: five times the even pace is a good bound.', dailyFor(monthly))
    const options = BUILT_IN_BACKENDS.map((name) => ({ value: name, label: name }))
    const names = await asked(multiselect({ ...streams, message: 'Which accounts are there?', options, initialValues: [...BUILT_IN_BACKENDS], required: true }))
    const backends = new Map<string, string | undefined>()
    for (const name of names) {
      const message = `What may ${name} take of it a month, in USD? It is then also meant to be used. \`${UNLIMITED}\`: no limit of its own.`
      const usualAmount = (monthly === usual.monthly ? usual.backends.get(name) : undefined) ?? UNLIMITED
      const validate = (value: string | undefined): string | undefined => (value === UNLIMITED ? undefined : moneyProblem(value))
      const amount = await asked(text({ ...streams, message, placeholder: usualAmount, defaultValue: usualAmount, validate }))
      backends.set(name, amount === UNLIMITED ? undefined : written(amount))
    }
    const timezone = await asked(
      text({
        ...streams,
        message: 'In which time zone do days and months begin?',
        placeholder: usual.timezone,
        defaultValue: usual.timezone,
        validate: zoneProblem,
      }),
    )
    const local = await asked(confirm({ ...streams, message: 'Is there a local model, for what the cloud may not take?', initialValue: true }))
    const usualModel = usual.localModel ?? ''
    const localModel = local ? await asked(text({ ...streams, message: 'What is it called?', placeholder: usualModel, defaultValue: usualModel })) : undefined
    const hardStop = await asked(confirm({ ...streams, message: 'Refuse cloud calls at a limit? Otherwise limits only warn.', initialValue: true }))
    outro('That is all.', streams)
    return { monthly, daily, backends, timezone, localModel, hardStop }
  } catch (error) {
    if (error instanceof Cancelled) return undefined
    throw error
  }
}

function written(usd: string): string {
  return usdText(usdToNano(usd) ?? 0)
}

function moneyProblem(value: string | undefined): string | undefined {
  return !value || usdToNano(value) !== undefined ? undefined : 'An amount in USD, like 20 or 20.00.'
}

function zoneProblem(value: string | undefined): string | undefined {
  if (!value) return undefined
  const parsed = parsePolicy(`timezone: ${JSON.stringify(value)}`, '')
  return parsed.ok ? undefined : `${parsed.issues[0]?.message ?? ''}: ${parsed.issues[0]?.hint ?? ''}`
}

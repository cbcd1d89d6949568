import { z } from 'zod'
import { MAX_NANO, NANO_PER_USD, usdToNano } from '../money.ts'
import { factCatalogue } from '../policy/facts.ts'
import { PROVIDERS } from '../pricing/listed.ts'
import { AMOUNT_FORM } from './amount.ts'

/*
 * The file as it is written; the run-time form is `Policy`.
 * The `error` of each schema is the phrase that follows "expected:" in a message. Nothing is coerced. Bounds on length come before elements.
 * What `describe` and `meta` add is for editors, which read it from the JSON Schema.
 */

export const OPERATORS = [
  'equal',
  'notEqual',
  'in',
  'notIn',
  'contains',
  'doesNotContain',
  'lessThan',
  'lessThanInclusive',
  'greaterThan',
  'greaterThanInclusive',
] as const

const NAME_LENGTH = 100
const BACKEND = { error: 'a name of letters, digits, - and _, at most 100, that begins with a letter' }
const MODEL = { error: 'the name of a model, at most 256 characters; quote one with a colon' }
const AMOUNT = { error: AMOUNT_FORM }
export const SHARE_FORM = 'a number from 0 to 1'
const SHARE = { error: SHARE_FORM }
const DOLLARS = { error: 'a number of US dollars from 0 to 4,500,000, with at most 9 decimals, like 5.00' }
const PRICE = { error: 'a number of US dollars per million tokens, 0 or more, with at most 9 decimals' }
const WINDOW_SHAPE =
  '(day|week|month|quarter|year|month@(0?[1-9]|[12][0-9]|3[01])|week@([Mm][Oo][Nn]|[Tt][Uu][Ee]|[Ww][Ee][Dd]|[Tt][Hh][Uu]|[Ff][Rr][Ii]|[Ss][Aa][Tt]|[Ss][Uu][Nn])( +([01]?[0-9]|2[0-3]):(00|15|30|45))?|[0-9]{1,6}[dhm](@first-use)?)'
const AMOUNT_SHAPE = {
  pattern: `^ *([0-9]+([.][0-9]+)?|[0-9]+([.][0-9]+)?[kM]? +(tokens|requests)) */ *${WINDOW_SHAPE} *$`,
  examples: ['20.00/month', '900k tokens/5h@first-use', '45M tokens/week@Mon 09:00', '1500 requests/day'],
}
/** A fact of every policy, or one of a limit. */
const FACT_SHAPE = { anyOf: [{ enum: [...factCatalogue([]).keys()] }, { pattern: '^[a-zA-Z].*[.](used|spent|left_usd)$' }] }
const MAPPING = (keys: string) => ({ error: `a mapping of ${keys}` })

export const backendKey = z
  .string(BACKEND)
  .max(NAME_LENGTH, BACKEND)
  .regex(/^[a-zA-Z][a-zA-Z0-9_-]*$/, BACKEND)
const taskType = z.string({ error: 'the name of a task type, at most 256 characters' }).min(1).max(256)
const model = z.string(MODEL).min(1, MODEL).max(256, MODEL)
const amount = z.string(AMOUNT).max(NAME_LENGTH, AMOUNT)
/** An amount with its form, for editors: a file's own mistakes are told by `parseAmount`, which knows what was meant. */
const amountOf = (description: string) =>
  amount.meta({ description: `${description} QUANTITY/WINDOW, in US dollars unless it says tokens or requests.`, ...AMOUNT_SHAPE })
const share = z.number(SHARE).min(0, SHARE).max(1, SHARE)
const dollars = z
  .number(DOLLARS)
  .min(0, DOLLARS)
  .max(MAX_NANO / NANO_PER_USD, DOLLARS)
  .refine((usd) => usdToNano(usd) !== undefined, DOLLARS)
const price = z
  .number(PRICE)
  .min(0, PRICE)
  .max(MAX_NANO / NANO_PER_USD, PRICE)
  .refine((usd) => usdToNano(usd) !== undefined, PRICE)

export const budgetsSchema = z
  .strictObject(
    {
      daily_limit_usd: dollars.describe('Of all cloud backends together, per calendar day.'),
      monthly_limit_usd: dollars.describe('Of all cloud backends together, per calendar month.'),
      per_backend: z
        .record(backendKey, amountOf('What this backend may spend.'), MAPPING('backends to amounts, like claude: 20.00/month'))
        .describe('A limit for each backend, by its name; rules read it as claude.month.used.'),
      warning_threshold: share.describe('Warn when this share of a limit is spent. Default 0.8.'),
      hard_stop: z.boolean({ error: 'true or false' }).describe('Refuse cloud calls at a limit. Default true.'),
    },
    MAPPING('budgets, like daily_limit_usd: 5.00'),
  )
  .partial()

const LIMITS = { error: 'a list of at most 20 amounts, like [900k tokens/5h@first-use, 20.00/day]' }
const MODELS = { error: 'a list of 1 to 200 models; the first is the default' }

export const backendSchema = z
  .strictObject(
    {
      provider: z
        .string({ error: 'whose price list applies: anthropic, openai, google, moonshotai or another of the price list' })
        .min(1)
        .max(NAME_LENGTH)
        .meta({ description: 'Whose price list applies.', examples: [...PROVIDERS] }),
      kind: z
        .enum(['cloud', 'local'], { error: '`cloud` or `local`' })
        .describe('Local calls cost nothing, and may go where cloud calls may not. Default cloud.'),
      models: z.array(model, MODELS).min(1, MODELS).max(200, MODELS).describe('What it serves, by the names of the price list. The first is the default.'),
      quota: amountOf('What is already paid for and should be used, in a window with a start. Unless given, the longest limit in one.'),
      paid: amountOf('What the plan costs; weighs the quota in the total.'),
      limits: z.array(amountOf('What this backend may spend.'), LIMITS).max(20, LIMITS).describe('Windows nest: each limit holds.'),
    },
    MAPPING('provider, kind, models, quota, paid and limits'),
  )
  .partial()

const LIMIT_NAME = { error: 'a name of letters, digits, `.`, `-` and `_`, at most 100, that begins with a letter' }

export const limitSchema = z.strictObject(
  {
    name: z
      .string(LIMIT_NAME)
      .max(NAME_LENGTH, LIMIT_NAME)
      .regex(/^[a-zA-Z][a-zA-Z0-9_.-]*$/, LIMIT_NAME)
      .describe('Rules read the limit as NAME.used, NAME.spent and NAME.left_usd.'),
    amount: amountOf('What the calls in scope may spend together.'),
    backend: backendKey.optional().describe('Only calls to this backend.'),
    model: model.optional().describe('Only calls to this model.'),
    task_type: taskType.optional().describe('Only calls with this task type.'),
  },
  MAPPING('name, amount and a scope: backend, model or task_type'),
)

export const priceSchema = z.union(
  [
    z.literal('free'),
    z.strictObject(
      {
        input_mtok: price.describe('US dollars per million tokens of input.'),
        output_mtok: price.describe('US dollars per million tokens of output, reasoning included.'),
        cache_read_mtok: price.optional().describe('Default: the input price.'),
        cache_write_mtok: price.optional().describe('Default: the input price.'),
      },
      MAPPING('input_mtok and output_mtok'),
    ),
  ],
  { error: '`free`, or { input_mtok: 0.57, output_mtok: 2.30 } in US dollars per million tokens' },
)

const SCALAR = { error: 'a text or a number' }
const CONDITIONS = { error: 'a list of 1 to 10 conditions' }
const CONDITION = MAPPING('fact, operator and value, or of one of all, any and not')
const scalar = z.union([z.string(SCALAR).max(256, SCALAR), z.number(SCALAR)], SCALAR)
const VALUE_LIST = { error: 'a list of 1 to 1,000 texts or numbers' }

const leafValue = z.union(
  [
    scalar,
    z.array(scalar, VALUE_LIST).min(1, VALUE_LIST).max(1_000, VALUE_LIST),
    z.strictObject({ fact: z.string({ error: 'the name of a fact' }).meta(FACT_SHAPE) }),
  ],
  {
    error: 'a text, a number, a list of them, or { fact: another fact }',
  },
)

/** json-rules-engine's condition. All keys are optional here; which go together is checked with the facts. */
export interface WireCondition {
  fact?: string | undefined
  operator?: (typeof OPERATORS)[number] | undefined
  value?: z.infer<typeof leafValue> | undefined
  all?: WireCondition[] | undefined
  any?: WireCondition[] | undefined
  not?: WireCondition | undefined
}

const conditionSchema: z.ZodType<WireCondition> = z
  .strictObject(
    {
      fact: z
        .string({ error: 'the name of a fact' })
        .meta(FACT_SHAPE)
        .optional()
        .describe('What is compared. Of every limit there are NAME.used, NAME.spent and NAME.left_usd.'),
      operator: z
        .enum(OPERATORS, { error: `one of ${OPERATORS.join(', ')}` })
        .optional()
        .describe('in and notIn take a list; contains and doesNotContain are for tags.'),
      value: leafValue.optional().describe('A constant of the type of the fact, or another fact. Shares are 0 to 1.'),
      get all() {
        return z.array(conditionSchema, CONDITIONS).min(1, CONDITIONS).max(10, CONDITIONS).optional()
      },
      get any() {
        return z.array(conditionSchema, CONDITIONS).min(1, CONDITIONS).max(10, CONDITIONS).optional()
      },
      get not() {
        return conditionSchema.optional()
      },
    },
    CONDITION,
  )
  .meta({ id: 'condition' })

const MESSAGE = { error: 'a text of at most 500 characters' }
const KIND = { error: 'a kind of notice: lower-case letters, digits and -' }
const SEVERITIES = ['info', 'advice', 'warning', 'alert'] as const

const eventSchema = z.strictObject(
  {
    type: z
      .enum(['forbid', 'avoid', 'prefer', 'notify'], { error: 'one of forbid, avoid, prefer, notify' })
      .describe('forbid takes the candidate out, avoid and prefer move its score, notify tells you.'),
    params: z
      .strictObject(
        {
          message: z.string(MESSAGE).max(500, MESSAGE).describe('Why, in decisions and notices.'),
          by: share.describe('How far `avoid` and `prefer` move the score. Default 0.2.'),
          kind: z
            .string(KIND)
            .max(50, KIND)
            .regex(/^[a-z][a-z0-9-]*$/, KIND)
            .describe('Kind of the notice.'),
          severity: z.enum(SEVERITIES, { error: `one of ${SEVERITIES.join(', ')}` }).describe('Of the notice.'),
        },
        MAPPING('message, by, kind and severity'),
      )
      .partial()
      .optional(),
  },
  MAPPING('type and params'),
)

const RULE_NAME = { error: 'a text of 1 to 100 characters' }

export const ruleSchema = z.strictObject(
  {
    name: z.string(RULE_NAME).min(1, RULE_NAME).max(NAME_LENGTH, RULE_NAME).describe('Decisions explain themselves by it. Each rule has its own.'),
    conditions: conditionSchema,
    event: eventSchema.describe('What happens when the conditions are met.'),
  },
  MAPPING('name, conditions and event'),
)

export type WireRule = z.infer<typeof ruleSchema>

const TOKENS = { error: 'a whole number of tokens, from 1 to 10,000,000' }
const TIMEZONE = { error: 'the name of a time zone, like America/New_York or UTC' }

export const sections = {
  budgets: budgetsSchema.describe('What may be spent at most.'),
  timezone: z.string(TIMEZONE).max(NAME_LENGTH, TIMEZONE).describe('Zone of all calendar windows. Default UTC.'),
  backends: z
    .record(backendKey, backendSchema, MAPPING('backends'))
    .describe('The accounts that serve models: exactly these. Unless given: claude, kimi, gpt, gemini and local.'),
  limits: z
    .array(limitSchema, { error: 'a list of limits' })
    .max(1_000, { error: 'at most 1,000 limits' })
    .describe('Limits of any scope, with names of their own.'),
  floors: z
    .strictObject(
      {
        backend: share.describe('Of each quota. Default 0.5.'),
        total: share.describe('Of all quotas together. Default 0.7.'),
        low_remaining: share.describe('With less than this share of a quota left, load is shifted away gently. Default 0.1.'),
      },
      MAPPING('backend, total and low_remaining'),
    )
    .partial()
    .describe('How much of what is paid for is to be used by the end of its window.'),
  preferences: z
    .record(taskType, z.record(backendKey, share, MAPPING('backends to a number from 0 to 1')), MAPPING('task types, like reasoning: { claude: 1.0 }'))
    .describe('How well each backend suits a task type, 0 to 1. Unless given: 1 for the backend that a request names, 0.5 for others.'),
  prices: z
    .record(model, priceSchema, MAPPING('models to prices'))
    .describe('By model, in place of the price list. A model without a known price gets no calls.'),
  rules: z.array(ruleSchema, { error: 'a list of rules' }).max(1_000, { error: 'at most 1,000 rules' }).describe('Conditions and events of json-rules-engine.'),
  max_output_tokens: z.int(TOKENS).min(1, TOKENS).max(10_000_000, TOKENS).describe('Bound on a call that names none. Default 8192.'),
}

/** The whole file. Every section may be left out. */
export const fileSchema = z.strictObject(sections, MAPPING('sections, like budgets: and rules:')).partial()

/** JSON Schema of the policy file, for editors: completion, and marks under what is wrong in form. */
export function budgetsJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(fileSchema, { io: 'input' }), title: 'Manciple policy' }
}

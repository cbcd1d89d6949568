import { formatIssues, type Issue } from '@manciple/core'
import { isMap, isScalar, LineCounter, parseDocument, type Document } from 'yaml'
import { z } from 'zod'
import { BridgeError } from './errors.ts'

/** Where the password of the bridge's account is. Never the password itself. */
export type PasswordPlace = { readonly env: string } | { readonly file: string }

/** How a ledger and a game are brought together. */
export interface BridgeSettings {
  /** The game's webclient websocket: `ws://127.0.0.1:4002/`, or `wss://…` where it is on another machine. */
  readonly url: string
  readonly account: string
  readonly password: PasswordPlace
  /** Folder of the ledger. */
  readonly ledger: string
  /** Figures as of the ledger's last record, for a router that runs on a clock of its own. */
  readonly latest: boolean
}

/** The settings as a file or a command line gives them. */
export interface BridgeSettingsInput {
  readonly url?: string | undefined
  readonly account?: string | undefined
  readonly password_env?: string | undefined
  readonly password_file?: string | undefined
  readonly ledger?: string | undefined
  readonly latest?: boolean | undefined
  readonly allow_plaintext?: boolean | undefined
}

const text = z.string().min(1).max(1_000)

const schema = z
  .strictObject({
    url: text.refine(isWebsocketUrl, 'expected a websocket URL without a password in it, as ws://127.0.0.1:4002/').default('ws://127.0.0.1:4002/'),
    account: text.default('manciple'),
    password_env: text.regex(/^[A-Za-z_]\w*$/, 'expected the name of an environment variable').optional(),
    password_file: text.optional(),
    ledger: text.default('data/ledger'),
    latest: z.boolean().default(false),
    allow_plaintext: z.boolean().default(false),
  })
  .superRefine((input, context) => {
    if (input.password_env !== undefined && input.password_file !== undefined) {
      context.addIssue({ code: 'custom', path: ['password_file'], message: 'expected one of password_env and password_file, found both' })
    }
    if (isWebsocketUrl(input.url) && !input.allow_plaintext && isExposed(input.url)) {
      context.addIssue({
        code: 'custom',
        path: ['url'],
        message: 'ws:// to another machine shows the password to the network: use wss://, or say allow_plaintext: true where the network is private',
      })
    }
  })

/** Unless given: `MANCIPLE_EVENNIA_PASSWORD`. */
const PASSWORD_ENV = 'MANCIPLE_EVENNIA_PASSWORD'

/** The largest file, in characters. */
const MAX_LENGTH = 16_384

/**
 * @param input as a command line gives it
 * @throws BridgeError `BRIDGE_CONFIG_INVALID`, with every mistake.
 */
export function bridgeSettings(input: BridgeSettingsInput): BridgeSettings {
  const parsed = schema.safeParse(input)
  if (parsed.success) return settingsOf(parsed.data)
  throw new BridgeError('BRIDGE_CONFIG_INVALID', parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n'))
}

/**
 * Reads the text of a file such as `configs/evennia.yaml`.
 * @param file its name, for messages
 * @param over settings that stand instead of the file's
 * @throws BridgeError `BRIDGE_CONFIG_INVALID`, with line and column of every mistake.
 */
export function parseBridgeSettings(source: string, file: string, over: BridgeSettingsInput = {}): BridgeSettings {
  if (source.length > MAX_LENGTH) throw new BridgeError('BRIDGE_CONFIG_INVALID', `${file}: expected at most ${MAX_LENGTH} characters, found ${source.length}`)
  const lines = new LineCounter()
  const document = parseDocument(source, { lineCounter: lines, version: '1.2', schema: 'core', merge: false, uniqueKeys: true })
  const wrong = [...document.errors, ...document.warnings].map((error): Issue => {
    const { line, col } = lines.linePos(error.pos[0])
    return {
      line,
      column: col,
      path: '',
      message: 'This is not plain YAML',
      found: error.message.split('\n', 1)[0] ?? '',
      expected: '`key: value`, one a line',
    }
  })
  if (wrong.length === 0 && document.contents !== null && !isMap(document.contents)) {
    wrong.push({ line: 1, column: 1, path: '', message: 'The file is not a mapping', found: 'something else', expected: '`key: value`, one a line' })
  }
  if (wrong.length > 0) throw invalid(wrong, file, source)
  const parsed = schema.safeParse(merged((document.toJS({ maxAliasCount: 0 }) ?? {}) as object, over))
  if (parsed.success) return settingsOf(parsed.data)
  const issues = parsed.error.issues.flatMap((issue) => issuesAt(issue, document, lines))
  throw invalid(issues, file, source)
}

function invalid(issues: readonly Issue[], file: string, text: string): BridgeError {
  return new BridgeError('BRIDGE_CONFIG_INVALID', formatIssues(issues, { file, text }))
}

function issuesAt(issue: z.core.$ZodIssue, document: Document, lines: LineCounter): readonly Issue[] {
  const keys = issue.code === 'unrecognized_keys' ? issue.keys : [issue.path.map(String).join('.')]
  return keys.map((key) => {
    const pair = isMap(document.contents) ? document.contents.items.find((one) => isScalar(one.key) && one.key.value === key) : undefined
    const start = isScalar(pair?.key) ? pair.key.range?.[0] : undefined
    const { line, col } = start === undefined ? { line: 1, col: 1 } : lines.linePos(start)
    const unknown = issue.code === 'unrecognized_keys'
    return {
      line,
      column: col,
      path: key,
      message: unknown ? `\`${key}\` is not a setting of the bridge` : `\`${key}\` cannot be used`,
      found: unknown || pair === undefined ? key : String(pair).slice(0, 120),
      expected: unknown ? Object.keys(schema.shape).join(', ') : issue.message.replace(/^expected /, ''),
    }
  })
}

function settingsOf({ url, account, password_env, password_file, ledger, latest }: z.output<typeof schema>): BridgeSettings {
  const password: PasswordPlace = password_file === undefined ? { env: password_env ?? PASSWORD_ENV } : { file: password_file }
  return { url, account, password, ledger, latest }
}

/** A place for the password that is given beside the file stands instead of either of its two. */
function merged(file: object, over: BridgeSettingsInput): object {
  const instead = Object.entries(over).filter(([, value]) => value !== undefined)
  const placed = instead.some(([key]) => key.startsWith('password_'))
  const kept = Object.entries(file).filter(([key]) => !placed || !key.startsWith('password_'))
  return Object.fromEntries([...kept, ...instead])
}

function isWebsocketUrl(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, username, password, hash } = new URL(url)
  return (protocol === 'ws:' || protocol === 'wss:') && username === '' && password === '' && hash === ''
}

function isExposed(url: string): boolean {
  const { protocol, hostname } = new URL(url)
  return protocol === 'ws:' && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
}

import { PluginError } from './contract.ts'
import type { FormatName, WireFormat } from './wire/format.ts'

/** Where a backend of the policy is on the network, and what it takes. */
export interface FetchBackend {
  /** Base URL as a client takes it, `https://api.openai.com/v1`: requests under it are this backend's. */
  readonly url: string
  /**
   * Formats in which it takes calls that were meant for another backend: the policy may reroute those to it. None unless given;
   * the backend `local` takes `openai-chat`, `openai-responses` and `anthropic`, as Ollama does from 0.14 on.
   */
  readonly accepts?: readonly FormatName[]
  /** Sent with rerouted calls, as a bearer. The key of the backend that they were meant for is never passed on. */
  readonly apiKey?: string
  /** The most that its models write; a longer wish is cut. Tokens. */
  readonly maxOutputTokens?: number
  /** `false`: its models cannot call tools, so no call that brings some is rerouted to it. */
  readonly tools?: boolean
  /** Which of the provider's own windows is the backend's quota: its readings go to `manciple.observe`. `7d` unless given. */
  readonly quotaWindow?: '5h' | '7d'
}

/** A backend by its name in the policy. */
export interface NamedBackend extends FetchBackend {
  readonly name: string
}

/** The names that the policy file gives a meaning to, where their providers are. */
const KNOWN: Readonly<Record<string, FetchBackend>> = {
  claude: { url: 'https://api.anthropic.com' },
  gpt: { url: 'https://api.openai.com/v1' },
  gemini: { url: 'https://generativelanguage.googleapis.com' },
  kimi: { url: 'https://api.moonshot.ai/v1' },
  local: { url: 'http://localhost:11434/v1', accepts: ['openai-chat', 'openai-responses', 'anthropic'] },
}

export class FetchBackends {
  readonly #all: readonly NamedBackend[]
  readonly #given: ReadonlySet<string>

  /** @throws PluginError `PLUGIN_CONFIG_INVALID` for a URL that is none. */
  constructor(given: Readonly<Record<string, FetchBackend>>) {
    this.#given = new Set(Object.keys(given))
    this.#all = Object.entries({ ...KNOWN, ...given }).map(([name, backend]) => ({ ...KNOWN[name], ...backend, name, url: baseOf(name, backend.url) }))
  }

  get names(): readonly string[] {
    return this.#all.map(({ name }) => name)
  }

  named(name: string): NamedBackend | undefined {
    return this.#all.find((backend) => backend.name === name)
  }

  /** The backend under whose base URL a request goes; the closest where one is under another. */
  originOf({ origin, pathname }: URL): NamedBackend | undefined {
    const target = `${origin}${pathname}`
    const under = this.#all.filter(({ url }) => target.startsWith(`${url}/`))
    return under.sort((a, b) => b.url.length - a.url.length)[0]
  }

  /** Names of those to which a call of this format may be rerouted. Only what was given: the policy need not have what is merely known, and may always choose a local one. */
  takers(format: WireFormat, tools: boolean): readonly string[] {
    return this.#all.filter((backend) => this.#given.has(backend.name) && misfitOf(backend, format, tools) === undefined).map(({ name }) => name)
  }
}

/** Why a call cannot be rerouted to a backend; undefined where it can. */
export function misfitOf({ name, accepts = [], tools: hasTools = true }: NamedBackend, format: WireFormat, tools: boolean): string | undefined {
  if (!accepts.includes(format.name)) return `${name} does not take the format ${format.name}; if it can, say so in \`backends.${name}.accepts\``
  return tools && !hasTools ? `${name} has no tools, and the call brings some` : undefined
}

function baseOf(name: string, url: string): string {
  if (!URL.canParse(url)) throw new PluginError('PLUGIN_CONFIG_INVALID', `backends.${name}.url: expected a URL; found ${JSON.stringify(url).slice(0, 80)}.`)
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname.replace(/\/+$/, '')}`
}

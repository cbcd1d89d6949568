import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { setStage } from '../../demo/src/stage.ts'
import type { Stage, StageOptions } from '../../demo/src/stage.ts'

/** Two cloud backends and a local one, with room for everything that a test does. */
export const ROOMY = `timezone: UTC
budgets: { daily_limit_usd: 100.00 }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  gpt: { models: [gpt-5] }
  local: { kind: local, models: ["llama3.1:8b"] }
`

export interface TestStage extends Stage {
  readonly folder: string
  readonly ledger: string
}

const BUILT = fileURLToPath(new URL('../../packages/router-plugin/dist/llm-gateway.js', import.meta.url))

export function freshFolder(): string {
  return mkdtempSync(join(tmpdir(), 'manciple-e2e-'))
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}

/** The unmodified gateway with the built plugin, in a new folder. */
export async function stageFor(policy: string, options: Partial<Omit<StageOptions, 'policy'>> = {}): Promise<TestStage> {
  if (!existsSync(BUILT)) throw new Error('The gateway loads the built plugin: run `tsc -b` first.')
  const folder = options.folder ?? freshFolder()
  const policyFile = join(folder, 'budgets.yaml')
  writeFileSync(policyFile, policy)
  const ledger = options.ledger ?? join(folder, 'ledger')
  try {
    const stage = await setStage({ latencyMs: 2, ...options, folder, policy: policyFile, ledger })
    return { ...stage, folder, ledger }
  } catch (error) {
    removeFolder(folder)
    throw error
  }
}

export interface Ask {
  readonly model?: string
  readonly stream?: boolean
  readonly headers?: Readonly<Record<string, string>>
  readonly usage?: object
  readonly maxTokens?: number
  readonly content?: unknown
  readonly signal?: AbortSignal
}

/** A chat completion, as any OpenAI client sends it. */
export function ask(stage: Stage, { model = 'claude', stream = false, headers = {}, usage, maxTokens = 500, content, signal }: Ask = {}): Promise<Response> {
  const wanted = { prompt_tokens: 100, completion_tokens: 20, ...usage }
  return fetch(`${stage.gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-manciple-input-tokens': String(wanted.prompt_tokens), ...headers },
    body: JSON.stringify({ model, stream, max_tokens: maxTokens, messages: [{ role: 'user', content: content ?? JSON.stringify(wanted) }] }),
    ...(signal === undefined ? {} : { signal }),
  })
}

/** A line of the journal, as any reader of JSON sees it. */
export type Line = Readonly<Record<string, unknown>>

export function journal(ledger: string): readonly Line[] {
  if (!existsSync(ledger)) return []
  const files = readdirSync(ledger)
    .filter((name) => name.startsWith('journal-'))
    .sort()
  const text = files.map((name) => readFileSync(join(ledger, name), 'utf8')).join('')
  // A line without its newline is not written yet.
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

export function ofType(lines: readonly Line[], type: string): readonly Line[] {
  return lines.filter((line) => line['type'] === type)
}

/** Holds that were made and neither settled nor released. */
export function openHolds(lines: readonly Line[]): readonly unknown[] {
  const ended = new Set(lines.filter(({ type }) => type === 'settle' || type === 'release').map(({ id }) => id))
  return ofType(lines, 'reserve')
    .map(({ id }) => id)
    .filter((id) => !ended.has(id))
}

/** Waits until the journal satisfies `found`, for entries are synced behind the response. */
export async function until(ledger: string, found: (lines: readonly Line[]) => boolean, limitMs = 8000): Promise<readonly Line[]> {
  const deadline = Date.now() + limitMs
  for (;;) {
    const lines = journal(ledger)
    if (found(lines)) return lines
    if (Date.now() > deadline) throw new Error(`not in the journal within ${limitMs} ms; it holds\n${lines.map((line) => JSON.stringify(line)).join('\n')}`)
    await sleep(20)
  }
}

/** The entry of one task, when it is there. */
export async function entryOf(ledger: string, taskId: string): Promise<Line> {
  const lines = await until(ledger, (all) => ofType(all, 'settle').some((line) => line['task_id'] === taskId))
  const entries = ofType(lines, 'settle').filter((line) => line['task_id'] === taskId)
  const [entry] = entries
  if (entry === undefined || entries.length !== 1) throw new Error(`${entries.length} entries for ${taskId}`)
  return entry
}

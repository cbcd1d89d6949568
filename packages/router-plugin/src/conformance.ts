import type { LedgerEntry } from '@manciple/core'
import { deepEqual, fail, ok, rejects } from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { booksOf } from './conformance-books.ts'
import type { Books, Ended } from './conformance-books.ts'
import { startFakeProvider } from './conformance-provider.ts'
import type { FakeProvider, Served } from './conformance-provider.ts'
import { SITUATIONS } from './conformance-situations.ts'
import type { Situation } from './conformance-situations.ts'

export { booksOf } from './conformance-books.ts'
export type { Books, Ended } from './conformance-books.ts'
export { startFakeProvider } from './conformance-provider.ts'
export type { FakeProvider, Served, Step } from './conformance-provider.ts'
export { SITUATIONS } from './conformance-situations.ts'
export type { Situation } from './conformance-situations.ts'
export type { FakeFormat, FakeUsage } from './conformance-wire.ts'

/** The backends of the suite's policy. `claude` and `gpt` are cloud, `local` is local. */
export type SuiteBackend = 'claude' | 'gpt' | 'local'

/** What a host is opened with. */
export interface HostSetting {
  /** The policy, as YAML text. */
  readonly policy: string
  /** Folder for the ledger. The suite reads the books there, so the host must open its Manciple on it. */
  readonly ledger: string
  /** Origins of the fake providers, without a path: `http://127.0.0.1:…`. They speak chat completions, responses, messages and `generateContent`, by the path. */
  readonly providers: Readonly<Record<SuiteBackend, string>>
  /** After this long without the end of a call, the host settles it. Real ms. */
  readonly callTimeoutMs: number
}

/** One call, as the host's own client would make it. */
export interface HostCall {
  readonly taskId: string
  /** To be told to Manciple. The suite's policy has limits by task type. */
  readonly taskType: string
  /** Asked for first. */
  readonly backend: SuiteBackend
  readonly model: string
  readonly prompt: string
  readonly stream: boolean
  readonly maxOutputTokens: number
  /** How often the client tries again by itself after an error. */
  readonly retries: number
  /** After an error of `backend`, ask for a call of another cloud backend. */
  readonly failover: boolean
  /** The client's own time-out per attempt, ms. Undefined: its default. */
  readonly timeoutMs: number | undefined
  /** The client goes away. */
  readonly signal: AbortSignal
  /** To be called, in a stream, when a part of the answer's text has come. */
  readonly onText: () => void
}

export interface OpenHost {
  /** Makes the call and reads the answer to its end. @returns its text. @throws what the client throws. */
  call(call: HostCall): Promise<string>
  close(): Promise<void>
}

/** What an author of a host writes so that the suite can run it. */
export interface HostUnderTest {
  readonly name: string
  open(setting: HostSetting): Promise<OpenHost>
  /** Cases that the host cannot pass, by name, each with the reason. They are left out. */
  readonly cannot?: Readonly<Record<string, string>>
}

/** For any runner: `for (const { name, run } of suite.cases) test(name, run)`. Cases run one after the other. */
export interface ConformanceCase {
  readonly name: string
  /** @throws AssertionError that says what the books have and what the provider served. */
  run(): Promise<void>
}

/** What one situation came to: a cell of the billing matrix. */
export interface Billed {
  readonly situation: string
  readonly stream: boolean
  /** One for each attempt that was let go, in order. */
  readonly ended: readonly Ended[]
  /** What the client saw. `hung`: neither an answer nor an error, long after the books were closed. */
  readonly client: 'answered' | 'failed' | 'hung'
}

export interface ConformanceSuite {
  readonly cases: readonly ConformanceCase[]
  /** Filled as the cases run. */
  readonly billed: readonly Billed[]
  /** Closes the host and its providers. */
  close(): Promise<void>
}

/** The policy under which the suite runs: room for all that it does, but for the task types `exhausted` and `nowhere`. */
export const SUITE_POLICY = `timezone: UTC
budgets: { daily_limit_usd: 100.00 }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  gpt: { models: [gpt-4.1] }
  local: { kind: local, models: ["llama3.1:8b"] }
limits:
  - { name: exhausted, amount: 0.000001/day, task_type: exhausted }
  - { name: nowhere, amount: 0.000001/day, task_type: nowhere }
rules:
  - name: nowhere is not local either
    conditions: { all: [{ fact: task_type, operator: equal, value: nowhere }, { fact: backend, operator: equal, value: local }] }
    event: { type: forbid }
`

const MODEL = 'claude-sonnet-4-20250514'
const MAX_OUTPUT = 300
/** Above the time-outs of the clients in SITUATIONS, with room for a busy machine. */
const CALL_TIMEOUT_MS = 800
const SETTLE_LIMIT_MS = 16_000
/** A client that has heard nothing for this long is taken away. */
const CLIENT_LIMIT_MS = 4500

interface Stage {
  readonly host: OpenHost
  readonly providers: Readonly<Record<SuiteBackend, FakeProvider>>
  readonly ledger: string
  close(): Promise<void>
}

/**
 * What every host must do, whatever it is: the contract, and each row of the billing matrix, plain and streamed, against providers on this machine
 * that speak the real wire formats and count what they served. The books are read from the ledger on disk, so the host may live in another process.
 *
 * @example
 * const suite = conformanceSuite(myHost)
 * for (const { name, run } of suite.cases) test(name, run)
 * after(() => suite.close())
 */
export function conformanceSuite(host: HostUnderTest): ConformanceSuite {
  let opened: Promise<Stage> | undefined
  const stage = (): Promise<Stage> => (opened ??= openStage(host))
  const billed: Billed[] = []
  const all = [...contractCases(stage), ...SITUATIONS.flatMap((situation) => [false, true].map((stream) => situationCase(stage, situation, stream, billed)))]
  const unknown = Object.keys(host.cannot ?? {}).filter((name) => all.every((one) => one.name !== name))
  if (unknown.length > 0) throw new Error(`${host.name}.cannot names no case: ${unknown.join('; ')}`)
  return {
    cases: all.filter(({ name }) => host.cannot?.[name] === undefined),
    billed,
    async close() {
      await (await opened)?.close()
    },
  }
}

async function openStage(host: HostUnderTest): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'manciple-conformance-'))
  const [claude, gpt, local] = await Promise.all([startFakeProvider(), startFakeProvider(), startFakeProvider()])
  const providers = { claude, gpt, local }
  const ledger = join(folder, 'ledger')
  const open = await host.open({
    policy: SUITE_POLICY,
    ledger,
    providers: { claude: claude.url, gpt: gpt.url, local: local.url },
    callTimeoutMs: CALL_TIMEOUT_MS,
  })
  return {
    host: open,
    providers,
    ledger,
    async close() {
      await open.close()
      await Promise.all([claude.close(), gpt.close(), local.close()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function contractCases(stage: () => Promise<Stage>): readonly ConformanceCase[] {
  const modes = [false, true]
  return [
    ...modes.map((stream) => ({
      name: caseName('the bound that the hold pays for reaches the provider', stream),
      run: async () => {
        const { served } = await play(await stage(), { stream })
        const body = JSON.stringify(served.claude[0]?.body ?? {})
        ok(new RegExp(`"max\\w*tokens":${MAX_OUTPUT}\\b`, 'i').test(body), `expected an output bound of ${MAX_OUTPUT}; the provider was sent ${body}`)
      },
    })),
    ...modes.map((stream) => ({
      name: caseName('an exhausted budget sends the call to the local backend, where it costs nothing', stream),
      run: async () => {
        const { served, books } = await play(await stage(), { stream, taskType: 'exhausted' })
        deepEqual([served.claude.length, served.gpt.length], [0, 0], 'no cloud provider may see the call')
        deepEqual(
          books.ended.map(({ entry }) => [entry?.backend, entry?.cost_usd, entry?.usage_source]),
          [['local', 0, 'reported']],
        )
      },
    })),
    ...modes.map((stream) => ({
      name: caseName('a call that nobody may take is an error, reaches no provider and costs nothing', stream),
      run: async () => {
        const running = await stage()
        const before = booksOf(running.ledger).mark
        const seen = Object.values(running.providers).map(({ served }) => served.length)
        await rejects(running.host.call(callOf({ stream, taskType: 'nowhere' })))
        deepEqual(
          Object.values(running.providers).map(({ served }) => served.length),
          seen,
          'no provider may see the call',
        )
        const books = booksOf(running.ledger, before)
        deepEqual([books.open, books.ended.length], [0, 0], 'a refused call holds and costs nothing')
      },
    })),
    {
      name: 'a refusal is final: a client that would try again does not',
      run: async () => {
        const { host, ledger } = await stage()
        const before = booksOf(ledger).mark
        await rejects(host.call(callOf({ taskType: 'nowhere', retries: 2 })))
        deepEqual(booksOf(ledger, before).refusals, 1)
      },
    },
    {
      name: 'calls at the same time are each billed once',
      run: async () => {
        const { books, served } = await play(await stage(), { stream: true, times: 8 })
        deepEqual(
          books.ended.map(({ entry }) => entry?.usage_source).sort(),
          Array.from({ length: 8 }, () => 'reported'),
        )
        checkBooks(books, served)
      },
    },
  ]
}

function situationCase(stage: () => Promise<Stage>, situation: Situation, stream: boolean, billed: Billed[]): ConformanceCase {
  return {
    name: caseName(situation.name, stream),
    run: async () => {
      const { books, served, error, hung } = await play(await stage(), { stream, situation })
      if (situation.succeeds === true && error !== undefined) throw error
      checkBooks(books, served)
      const client = hung ? 'hung' : error === undefined ? 'answered' : 'failed'
      billed.push({ situation: situation.name, stream, ended: books.ended, client })
    },
  }
}

function caseName(what: string, stream: boolean): string {
  return `${what} (${stream ? 'stream' : 'plain'})`
}

interface Play {
  readonly stream: boolean
  readonly taskType?: string
  readonly situation?: Situation
  readonly times?: number
}

interface Played {
  readonly books: Books
  readonly served: Readonly<Record<SuiteBackend, readonly Served[]>>
  readonly error: unknown
  readonly hung: boolean
}

/** Makes the call, waits until every hold has ended, and lays the books beside what the providers served. */
async function play({ host, providers, ledger }: Stage, { stream, taskType = 'work', situation, times = 1 }: Play): Promise<Played> {
  const { mark } = booksOf(ledger)
  const seen = new Map(Object.values(providers).map((provider) => [provider, provider.served.length]))
  const client = new AbortController()
  const text = Promise.withResolvers<void>()
  providers.claude.script(...(situation?.steps ?? []))
  const calls = Array.from({ length: times }, () =>
    host.call(callOf({ stream, taskType, signal: client.signal, onText: text.resolve, ...termsOf(situation) })).then(
      () => undefined,
      (error: unknown) => error ?? new Error('the call failed without a reason'),
    ),
  )
  if (situation?.aborts !== undefined) {
    await providers.claude.stuck()
    if (situation.aborts === 'stuck after text' && stream) await text.promise
    client.abort()
  }
  if (situation?.expires === true) {
    await settled(ledger, mark)
    client.abort()
  }
  let hung = false
  const timer = setTimeout(() => {
    hung = true
    client.abort()
  }, CLIENT_LIMIT_MS)
  const errors = await Promise.all(calls)
  clearTimeout(timer)
  const books = await settled(ledger, mark)
  const since = (provider: FakeProvider): readonly Served[] => provider.served.slice(seen.get(provider))
  return {
    books,
    served: { claude: since(providers.claude), gpt: since(providers.gpt), local: since(providers.local) },
    error: errors.find((error) => error !== undefined),
    hung,
  }
}

function termsOf(situation: Situation | undefined): Partial<HostCall> {
  return { retries: situation?.retries ?? 0, failover: situation?.failover ?? false, timeoutMs: situation?.timeoutMs }
}

let tasks = 0

function callOf(given: Partial<HostCall>): HostCall {
  tasks += 1
  return {
    taskId: `task-${tasks}`,
    taskType: 'work',
    backend: 'claude',
    model: MODEL,
    prompt: 'What does a manciple buy?',
    stream: false,
    maxOutputTokens: MAX_OUTPUT,
    retries: 0,
    failover: false,
    timeoutMs: undefined,
    signal: new AbortController().signal,
    onText: () => {},
    ...given,
  }
}

/** Waits until no hold made since the mark is open: entries are synced behind the answer. */
async function settled(ledger: string, mark: number): Promise<Books> {
  const deadline = performance.now() + SETTLE_LIMIT_MS
  for (;;) {
    const books = booksOf(ledger, mark)
    if (books.open === 0 && books.ended.length > 0) return books
    if (performance.now() > deadline) fail(`${books.open} holds are still open after ${SETTLE_LIMIT_MS} ms, and ${books.ended.length} have ended`)
    await sleep(10)
  }
}

/**
 * The law of the matrix: each attempt ends once; what was served is never billed below what was served, and exactly where the provider reported it;
 * what was not served is not billed; nothing but a reported usage is above the hold.
 */
function checkBooks({ ended, holds, twice }: Books, served: Played['served']): void {
  deepEqual(twice, [], 'no hold may end twice')
  const attempts = Object.values(served).flat().length
  ok(holds.length >= attempts, `${attempts} attempts reached a provider under ${holds.length} holds`)
  for (const backend of ['claude', 'gpt', 'local'] as const) {
    const entries = ended.flatMap(({ entry }) => (entry?.backend === backend ? [entry] : []))
    const worked = served[backend].filter(({ inputTokens }) => inputTokens > 0)
    const told = `${backend} served ${JSON.stringify(worked.map(({ inputTokens, outputTokens }) => [inputTokens, outputTokens]))}; the books have ${JSON.stringify(entries.map(({ prompt_tokens, completion_tokens, usage_source }) => [prompt_tokens, completion_tokens, usage_source]))}`
    ok(entries.length >= worked.length, `work was done and not billed: ${told}`)
    const [inBooks, inTruth] = [totals(entries), totalsOf(worked)]
    ok(inBooks.input >= inTruth.input && inBooks.output >= inTruth.output, `billed below what was served: ${told}`)
    if (worked.every(({ reported }) => reported) && entries.every((entry) => entry.usage_source === 'reported')) deepEqual(inBooks, inTruth, told)
  }
  for (const { entry, hold } of ended) {
    if (entry === undefined || entry.usage_source === 'reported') continue
    ok(
      entry.prompt_tokens <= hold.inputTokens && entry.completion_tokens <= hold.maxOutputTokens,
      `billed above its hold without a report: ${JSON.stringify(entry)}`,
    )
  }
}

function totals(entries: readonly LedgerEntry[]): { input: number; output: number } {
  return {
    input: entries.reduce((sum, entry) => sum + entry.prompt_tokens, 0),
    output: entries.reduce((sum, entry) => sum + entry.completion_tokens, 0),
  }
}

function totalsOf(worked: readonly Served[]): { input: number; output: number } {
  return {
    input: worked.reduce((sum, one) => sum + one.inputTokens, 0),
    output: worked.reduce((sum, one) => sum + one.outputTokens, 0),
  }
}

/**
 * A router that does as it is told, one JSON object a line on its standard input, and answers each with one on its standard output. Notices come in between.
 *
 *     node --conditions=manciple-source test/faults/router.ts <ledger folder> <policy>
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { systemClock, type Clock } from '../../packages/core/src/clock.ts'
import { loadPolicyText } from '../../packages/core/src/config/watch.ts'
import { EmbeddedManciple } from '../../packages/core/src/embedded-manciple.ts'
import { MancipleError } from '../../packages/core/src/errors.ts'
import { openJsonLedger } from '../../packages/core/src/ledger/json-ledger.ts'
import { openManciple, type Manciple } from '../../packages/core/src/manciple.ts'
import { preparePolicy } from '../../packages/core/src/policy/prepare.ts'

export type Command =
  /** With a size of segments, the shell is put together by hand: `openManciple` has none to choose. */
  | { readonly do: 'open'; readonly segmentBytes?: number }
  | { readonly do: 'call' }
  /** Calls without end, eight at a time, until the next command. */
  | { readonly do: 'load' }
  | { readonly do: 'rest' }
  /** Takes all the file descriptors that the system gives, or gives them back. */
  | { readonly do: 'starve' | 'feed' }
  /** Becomes a user without any rights, or root again. */
  | { readonly do: 'demote' | 'promote' }
  | { readonly do: 'close' }

/** What it answers: what was asked for, or the code of the error. */
export type Answer =
  | {
      readonly ok: true
      readonly backend?: string | undefined
      readonly settled?: number
      /** Why the call could not be settled. */ readonly unsettled?: string | undefined
    }
  | { readonly ok: false; readonly code: string; readonly message: string }

export interface ToldNotice {
  readonly notice: string
  readonly text: string
}

const NOBODY = 65_534
const CALLERS = 8

const [folder = '', text = ''] = process.argv.slice(2)
const taken: number[] = []
let manciple: Manciple | undefined
/** Aborted when the calls shall end. */
let loading = new AbortController()
let load: Promise<unknown> | undefined
/** Looks at its ledger ten times a second instead of twice a minute. */
const clock: Clock = { ...systemClock(), every: (periodMs, task) => systemClock().every(periodMs / 300, task) }
/** Calls that were settled on disk, local ones aside. */
let settled = 0

function say(line: Answer | ToldNotice): void {
  writeSync(1, `${JSON.stringify(line)}\n`)
}

async function open(segmentBytes: number | undefined): Promise<Manciple> {
  const onError = (): void => undefined
  if (segmentBytes === undefined) return openManciple({ config: { text }, ledger: folder, clock, onError })
  const prepared = await preparePolicy(loadPolicyText(text, 'policy').policy)
  const embedded = new EmbeddedManciple({ ledger: await openJsonLedger({ folder, segmentBytes }), prepared, clock, onError })
  await embedded.start()
  return embedded
}

async function call(): Promise<Answer> {
  if (manciple === undefined) throw new Error('it is not open')
  const dispatch = await manciple.decide({ backend: 'claude', taskType: 'chat', inputTokens: 1000, maxOutputTokens: 500 })
  const { backend } = dispatch.decision
  const unsettled = await dispatch.settle({ inputTokens: 1000, outputTokens: 200 }).then(
    () => undefined,
    (error: unknown) => String(error),
  )
  if (backend !== 'local' && unsettled === undefined) settled++
  return { ok: true, backend, settled, unsettled }
}

async function callUntil(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await call()
}

function starve(): void {
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'))
  } catch {
    // None are left: that is what was asked for.
  }
}

async function obey(command: Command): Promise<Answer> {
  loading.abort()
  await load
  switch (command.do) {
    case 'open':
      manciple = await open(command.segmentBytes)
      manciple.on('notice', ({ kind, text }) => say({ notice: kind, text }))
      return { ok: true }
    case 'call':
      return call()
    case 'load':
      loading = new AbortController()
      load = Promise.all(Array.from({ length: CALLERS }, () => callUntil(loading.signal)))
      return { ok: true }
    case 'rest':
      return { ok: true, settled }
    case 'starve':
      starve()
      return { ok: true }
    case 'feed':
      for (const fd of taken.splice(0)) closeSync(fd)
      return { ok: true }
    case 'demote':
      process.seteuid?.(NOBODY)
      return { ok: true }
    case 'promote':
      process.seteuid?.(0)
      return { ok: true }
    case 'close':
      await manciple?.close()
      return { ok: true }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  await obey(JSON.parse(line) as Command).then(say, (error: unknown) =>
    say({ ok: false, code: error instanceof MancipleError ? error.code : 'UNEXPECTED', message: String(error) }),
  )
}

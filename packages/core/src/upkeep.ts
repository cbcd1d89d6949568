import { resolve } from 'node:path'
import { parsePolicy } from './config/parse.ts'
import { loadPolicyText } from './config/watch.ts'
import { MancipleError } from './errors.ts'
import { openJsonLedger } from './ledger/json-ledger.ts'
import type { Ledger } from './ledger/ledger.ts'
import { readLedger } from './ledger/reader.ts'
import type { LedgerEntry, Observation } from './ledger/record.ts'
import { assertFolder, verify, type OnProgress, type Verification } from './ledger/verify.ts'
import type { NanoUsd } from './money.ts'
import type { Backend, Policy } from './policy/policy.ts'
import { observationOf, type QuotaReading } from './reading.ts'

/**
 * Reads every line of a ledger and compares all that it says more than once, to the nano. Works beside a running router; never writes.
 * @throws MancipleError `LEDGER_MISSING`.
 */
export function verifyLedger(folder: string, { onProgress = () => {} }: { readonly onProgress?: OnProgress } = {}): Promise<Verification> {
  const readPolicy = (text: string, version: string) => {
    const parsed = parsePolicy(text, version)
    return parsed.ok ? { version, text, timezone: parsed.policy.timezone, limits: parsed.policy.limits } : undefined
  }
  return verify(folder, readPolicy, onProgress)
}

export interface WriteOptions {
  /** Time of the change, ms since the epoch: the system's clock unless given. Ledger time never goes back, whatever it says. */
  readonly nowMs?: number
}

export interface SpendAdjustment {
  readonly backend: string
  readonly model?: string
  readonly taskId?: string
  readonly taskType?: string
  /** When what it corrects was spent; now unless given. */
  readonly spentAt?: Date
  /** Each is what the books lack, or, negative, what they have too much. Whole; 0 unless given. */
  readonly costNano?: NanoUsd
  readonly promptTokens?: number
  readonly completionTokens?: number
  readonly requests?: number
  readonly reason: string
}

/**
 * Corrects the spend of a ledger that no router writes, by the policy that was last in force.
 * @throws MancipleError `LEDGER_MISSING`, `LEDGER_LOCKED`, `LEDGER_DAMAGED`, `BACKEND_UNKNOWN`, `ADJUST_INVALID`.
 */
export async function adjustSpend(folder: string, adjustment: SpendAdjustment, options: WriteOptions = {}): Promise<LedgerEntry> {
  return withLedger(folder, options, async (opened) => {
    const { ledger, policy, nowMs } = opened
    await putInForce(opened)
    const {
      backend,
      model = '',
      taskId = null,
      taskType = null,
      spentAt,
      costNano = 0,
      promptTokens = 0,
      completionTokens = 0,
      requests = 0,
      reason,
    } = adjustment
    const { kind } = backendOf(policy, backend)
    const spentMs = spentAt?.getTime() ?? nowMs
    const order = { atMs: nowMs, spentMs, backend, kind, model, taskId, taskType, costNano, promptTokens, completionTokens, requests, reason }
    const { entry, durable } = ledger.adjust(order)
    await durable
    return entry
  })
}

/**
 * Ends a presumed hold whose call was never billed: it no longer counts as used.
 * @throws MancipleError as {@link adjustSpend}, and `HOLD_ENDED`.
 */
export async function dropPresumed(folder: string, id: string, reason: string, options: WriteOptions = {}): Promise<void> {
  await withLedger(folder, options, async (opened) => {
    await putInForce(opened)
    await opened.ledger.dropPresumed(id, reason, opened.nowMs)
  })
}

/**
 * Notes a provider's own reading of a quota, taken by hand, in a ledger that no router writes. Beside a running router only the router can: see `Manciple.observe`.
 * @throws MancipleError as {@link adjustSpend}, and `REQUEST_INVALID`.
 */
export async function recordReading(folder: string, backend: string, reading: QuotaReading, options: WriteOptions = {}): Promise<Observation> {
  return withLedger(folder, options, async (opened) => {
    const { ledger, policy, nowMs } = opened
    await putInForce(opened)
    const observation = observationOf(backend, reading, policy, ledger, nowMs)
    await ledger.observe(observation)
    return observation
  })
}

export interface OpenedLedger {
  readonly ledger: Ledger
  /** The one that was last in force. */
  readonly policy: Policy
  readonly folder: string
  /** Ledger time. */
  readonly nowMs: number
}

/** Opens a ledger for its one writer, without its limits, and closes it again whatever comes of `work`. */
export async function withLedger<T>(folder: string, options: WriteOptions, work: (opened: OpenedLedger) => Promise<T>): Promise<T> {
  const path = resolve(folder)
  await assertFolder(path)
  const { nowMs = Date.now() } = options
  const ledger = await openJsonLedger({ folder: path, nowMs })
  try {
    if (ledger.fault !== undefined) throw new MancipleError(ledger.fault.code, ledger.fault.reason, { folder: path })
    const { policyText } = await readLedger(path)
    if (policyText === undefined) throw new MancipleError('LEDGER_MISSING', `${path} holds no ledger with a policy in force`)
    const { policy } = loadPolicyText(policyText, `the policy kept in ${path}`)
    return await work({ ledger, policy, folder: path, nowMs: Math.max(nowMs, ledger.lastMs) })
  } finally {
    await ledger.close()
  }
}

async function putInForce({ ledger, policy, nowMs }: OpenedLedger): Promise<void> {
  const { version, text, timezone, limits } = policy
  await ledger.usePolicy({ version, text, timezone, limits }, nowMs)
}

/** @throws MancipleError `BACKEND_UNKNOWN`. */
export function backendOf({ backends }: Policy, name: string): Backend {
  const found = backends.find((backend) => backend.name === name)
  if (found !== undefined) return found
  throw new MancipleError('BACKEND_UNKNOWN', `backend ${JSON.stringify(name)}: the policy has ${backends.map((backend) => backend.name).join(', ')}`)
}

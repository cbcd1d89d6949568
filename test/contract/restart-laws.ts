import { expect, it } from 'vitest'
import type { Ledger } from '../../packages/core/src/ledger/ledger.ts'
import { freeOf } from '../../packages/core/src/limit.ts'
import type { OpenedLedger } from './ledger-contract.ts'
import { adjustment, DAY_MS, held, HOUR_MS, importOrder, MINUTE_MS, notice, order, policy, settlement, START_MS } from './ledger-samples.ts'
import { everyWindow, numbersOf, standingOf, windowCases } from './ledger-standing.ts'

/** What a ledger remembers when it is opened again. */
export function restartLaws(open: () => Promise<OpenedLedger>): void {
  async function restarted(prepare: (ledger: Ledger) => Promise<void> | void): Promise<Ledger> {
    const { ledger, reopen } = await open()
    if (reopen === undefined) throw new Error('this ledger cannot be opened again')
    await ledger.usePolicy(policy(everyWindow()), START_MS)
    await prepare(ledger)
    await ledger.flush()
    return reopen()
  }

  it('keeps totals, notices, episodes, its id and its time', async () => {
    let before: unknown
    const look = (ledger: Ledger): unknown => ({ id: ledger.id, lastMs: ledger.lastMs, notices: ledger.notices, ...standingOf(ledger) })
    const ledger = await restarted(async (first) => {
      first.settle(held(first.reserve(order())).id, settlement())
      first.settle(held(first.reserve(order({ backend: 'kimi', model: 'k2', atMs: START_MS + 20 * MINUTE_MS }))).id, settlement())
      await first.notice(notice(), START_MS + 21 * MINUTE_MS)
      before = look(first)
    })
    await ledger.usePolicy(policy(everyWindow()), START_MS + 21 * MINUTE_MS)
    expect(look(ledger)).toEqual(before)
    expect(await ledger.notice(notice(), START_MS + HOUR_MS)).toBeUndefined()
    expect((await ledger.notice(notice({ episode: 'next' }), START_MS + HOUR_MS))?.number).toBe(2)
  })

  it('presumes open holds spent: used, never spent', async () => {
    let id = ''
    const ledger = await restarted((first) => {
      id = held(first.reserve(order())).id
    })
    expect(ledger.opened.presumed.map((hold) => hold.id)).toEqual([id])
    await ledger.usePolicy(policy(), START_MS)
    expect(numbersOf(ledger)).toEqual([{ settled: 0, held: 0, presumed: 50_000_000 }])
    expect(ledger.meters.map(freeOf)).toEqual([4_950_000_000])
    expect(ledger.spend(START_MS - DAY_MS, START_MS + DAY_MS)).toEqual([])
    expect(ledger.openHolds.size).toBe(0)
    expect(held(ledger.reserve(order())).id).not.toBe(id)
  })

  it('takes the late settlement of a presumed hold, once', async () => {
    let id = ''
    const ledger = await restarted((first) => {
      id = held(first.reserve(order())).id
    })
    await ledger.usePolicy(policy(), START_MS)
    await ledger.settle(id, settlement()).durable
    expect(numbersOf(ledger)).toEqual([{ settled: 16_500_000, held: 0, presumed: 0 }])
    expect(() => ledger.settle(id, settlement())).toThrow(expect.objectContaining({ code: 'HOLD_ENDED' }))
  })

  it('ends a presumed hold that was never billed, once and with a reason', async () => {
    let id = ''
    const ledger = await restarted((first) => {
      id = held(first.reserve(order())).id
    })
    await ledger.usePolicy(policy(everyWindow()), START_MS)
    expect([...ledger.presumedHolds.keys()]).toEqual([id])
    await expect(ledger.dropPresumed(id, '', START_MS)).rejects.toMatchObject({ code: 'ADJUST_INVALID' })
    await ledger.dropPresumed(id, 'it never went out', START_MS)
    expect(ledger.meters.map(freeOf)).toEqual(windowCases.map(() => 5_000_000_000))
    expect(ledger.presumedHolds.size).toBe(0)
    await expect(ledger.dropPresumed(id, 'again', START_MS)).rejects.toMatchObject({ code: 'HOLD_ENDED' })
  })

  it('keeps corrections and imports, and knows what was imported', async () => {
    let before: unknown
    const ledger = await restarted((first) => {
      first.import(importOrder())
      first.adjust(adjustment({ costNano: -1, spentMs: START_MS - HOUR_MS }))
      before = standingOf(first)
    })
    await ledger.usePolicy(policy(everyWindow()), START_MS)
    expect(standingOf(ledger)).toEqual(before)
    expect(ledger.import(importOrder())).toBeUndefined()
    expect(ledger.audit()).toEqual([])
  })

  it('forgets a presumed hold when its last window has ended', async () => {
    let id = ''
    const ledger = await restarted((first) => {
      id = held(first.reserve(order())).id
    })
    await ledger.usePolicy(policy(), START_MS)
    ledger.advance(START_MS + DAY_MS)
    expect(numbersOf(ledger)).toEqual([{ settled: 0, held: 0, presumed: 0 }])
    expect(() => ledger.settle(id, settlement())).toThrow(expect.objectContaining({ code: 'HOLD_ENDED' }))
  })
}

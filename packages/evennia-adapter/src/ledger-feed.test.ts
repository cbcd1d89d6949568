import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { openJsonLedger } from '../../core/src/ledger/json-ledger.ts'
import { LedgerFeed } from './ledger-feed.ts'

const START = Date.UTC(2026, 10, 20, 15)

test('notices wait in the journal while there is no room for them: what is in memory is bounded', async () => {
  const base = mkdtempSync(join(tmpdir(), 'feed-'))
  onTestFinished(() => rmSync(base, { recursive: true, force: true }))
  const folder = join(base, 'ledger')
  const ledger = await openJsonLedger({ folder, nowMs: START, fsync: 'never' })
  onTestFinished(() => ledger.close())
  for (let number = 1; number <= 300; number++) {
    await ledger.notice({ severity: 'info', kind: 'rule', scope: 's', episode: String(number), text: 't', data: {} }, START)
  }
  const heard: number[] = []
  let more: (() => void) | undefined
  const ending = new AbortController()
  const feed = new LedgerFeed(
    {
      ledger: folder,
      latest: true,
      hear: (input) => void (input.type === 'notice' && heard.push(input.item.seq)),
      room: () => (heard.length % 10 < 9 ? Promise.resolve() : new Promise((resolve) => (more = resolve))),
      say: () => undefined,
    },
    ending.signal,
  )
  feed.follow(100)
  await sleep(300)
  expect(heard).toEqual([101, 102, 103, 104, 105, 106, 107, 108, 109])
  more?.()
  await sleep(100)
  expect(heard).toHaveLength(19)
  heard.length = 0
  feed.follow(200)
  await sleep(300)
  expect(heard).toEqual([201, 202, 203, 204, 205, 206, 207, 208, 209])
  ending.abort()
})

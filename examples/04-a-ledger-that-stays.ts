// The JSON ledger: what is spent stays spent over a restart. Run with `node examples/04-a-ledger-that-stays.ts`.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openManciple } from '@manciple/core'

const folder = await mkdtemp(join(tmpdir(), 'manciple-'))
const options = { config: { text: 'budgets: { monthly_limit_usd: 50.00 }' }, ledger: join(folder, 'ledger') }

const first = await openManciple(options)
{
  // Left without a word, a dispatch bills its hold: an exception after the answer must not make the call free.
  await using dispatch = await first.decide({ backend: 'gpt', taskType: 'chat', inputTokens: 1200, maxOutputTokens: 400 })
  await dispatch.settle({ inputTokens: 1200, outputTokens: 300, cacheReadTokens: 1000 })
}
await first.close()

const second = await openManciple(options)
console.log(`after a restart: $${second.costs().month.costNano / 1e9} this month`)
await second.close()

const journal = await readFile(join(options.ledger, 'journal-000001.jsonl'), 'utf8')
console.log(journal.split('\n').find((line) => line.includes('"type":"settle"')))
await rm(folder, { recursive: true })

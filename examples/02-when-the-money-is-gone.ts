// A limit is reached: calls go to the local model, and everyone is told. Run with `node examples/02-when-the-money-is-gone.ts`.
import { openManciple } from '@manciple/core'

const manciple = await openManciple({ config: { text: 'budgets: { daily_limit_usd: 0.05 }' }, ledger: 'memory' })
manciple.on('notice', (notice) => console.log(`[${notice.severity}] ${notice.text}`))

for (let call = 1; call <= 5; call++) {
  const dispatch = await manciple.decide({ backend: 'claude', inputTokens: 2000, maxOutputTokens: 1000 })
  const { backend, model, reasons } = dispatch.decision
  console.log(`call ${call}: ${backend}/${model}: ${reasons[0]}`)
  await dispatch.settle({ inputTokens: 2000, outputTokens: 900 })
}

const [limit] = manciple.budget().limits
console.log(`${limit?.limit}: ${limit?.standing}, ${(limit?.free ?? 0) / 1e9} USD left`)
await manciple.close()

// The first five minutes: one decision, one bill. Run with `node examples/01-decide-and-settle.ts`.
import { openManciple } from '@manciple/core'

const policy = `
budgets:
  daily_limit_usd: 5.00
  monthly_limit_usd: 50.00
  per_backend:
    claude: 20.00/month
    kimi: 15.00/month
    gpt: 10.00/month
    gemini: 5.00/month
  warning_threshold: 0.8   # warn at 80% spend
  hard_stop: true          # refuse cloud calls at limit
`

const manciple = await openManciple({ config: { text: policy }, ledger: 'memory' })

// Ask before the dispatch …
const dispatch = await manciple.decide({ backend: 'claude', taskId: 'issue-94', taskType: 'reasoning', inputTokens: 1500, maxOutputTokens: 1000 })
console.log(dispatch.decision.verdict, dispatch.decision.backend, dispatch.decision.model, dispatch.decision.reasons)

// … call the model with at most `maxOutputTokens`, then report what was used.
const entry = await dispatch.settle({ inputTokens: 1500, outputTokens: 800 })
console.log(entry)

const { today } = manciple.costs()
console.log(`spent today: $${today.costNano / 1e9} in ${today.requests} call`)
await manciple.close()

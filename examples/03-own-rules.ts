// Rules of one's own, and a decision that explains itself. Run with `node examples/03-own-rules.ts`.
import { openManciple } from '@manciple/core'

const policy = `
timezone: Europe/Berlin
budgets: { monthly_limit_usd: 50.00 }
rules:
  - name: opus is for reasoning
    conditions:
      all:
        - { fact: model, operator: equal, value: claude-opus-4-8 }
        - { fact: task_type, operator: notEqual, value: reasoning }
    event: { type: forbid, params: { message: "opus is kept for reasoning" } }
`

const manciple = await openManciple({ config: { text: policy }, ledger: 'memory' })

for (const taskType of ['reasoning', 'chat']) {
  const dispatch = await manciple.decide({ backend: 'claude', model: 'claude-opus-4-8', taskType, inputTokens: 800, maxOutputTokens: 500 })
  console.log(`${taskType}: ${dispatch.decision.verdict} → ${dispatch.decision.model}: ${dispatch.decision.reasons[0]}`)
  await dispatch.release('only an example')
}

// The same question without reserving anything, answered by json-rules-engine itself.
const explanation = await manciple.explain({ backend: 'claude', model: 'claude-opus-4-8', taskType: 'chat', inputTokens: 800, maxOutputTokens: 500 })
for (const { candidate, headroom } of explanation.candidates) {
  console.log(
    `${candidate.backend}/${candidate.model}: ${candidate.out ?? 'taken'}; room: ${headroom.map(({ limit, free }) => `${limit} ${free / 1e9} USD`).join(', ') || 'no limit'}`,
  )
}
await manciple.close()

import { openMemoryLedger } from '../../packages/core/src/ledger/memory-ledger.ts'
import { ledgerContract } from './ledger-contract.ts'
import { RecordedLedger } from './recorded-ledger.ts'

ledgerContract('memory', async () => ({ ledger: openMemoryLedger() }), { restarts: false, runs: 300 })

ledgerContract(
  'memory, replayed from its records',
  async () => {
    const recorded = new RecordedLedger()
    return { ledger: recorded.ledger, reopen: async () => recorded.replay() }
  },
  { restarts: true, runs: 300 },
)

ledgerContract(
  'memory, restored from a checkpoint',
  async () => {
    const recorded = new RecordedLedger()
    return { ledger: recorded.ledger, reopen: async () => recorded.restore() }
  },
  { restarts: true, runs: 300 },
)

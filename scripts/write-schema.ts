// Writes configs/budgets.schema.json from the policy's zod schemas. A test fails while it is stale.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { budgetsJsonSchema } from '../packages/core/src/config/schema.ts'

writeFileSync(join(import.meta.dirname, '..', 'configs', 'budgets.schema.json'), `${JSON.stringify(budgetsJsonSchema(), null, 2)}\n`)

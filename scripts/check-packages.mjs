// Holds what each package would publish against what its package.json promises.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

const packages = join(import.meta.dirname, '..', 'packages')
for (const name of readdirSync(packages)) {
  const { messages, pkg } = await publint({ pkgDir: join(packages, name), strict: true, pack: false })
  for (const message of messages) console.error(`${pkg.name}: ${formatMessage(message, pkg)}`)
  if (messages.length > 0) process.exitCode = 1
}

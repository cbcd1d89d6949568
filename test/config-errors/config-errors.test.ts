import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { formatIssues } from '../../packages/core/src/config/issues.ts'
import { parsePolicy } from '../../packages/core/src/config/parse.ts'

const folder = import.meta.dirname
const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'))

/** One wrong policy file each, beside the exact message that it must give; those that are called `advice-…` are taken, with advice. */
describe('A wrong policy file is refused, and says where, what was found, what was expected and what to do', () => {
  it('is tried in at least sixty ways', () => {
    expect(files.length).toBeGreaterThanOrEqual(60)
  })

  it.each(files)('%s', (file) => {
    const text = readFileSync(join(folder, file), 'utf8')
    const expected = readFileSync(join(folder, file.replace(/\.yaml$/, '.txt')), 'utf8')
    const parsed = parsePolicy(text, 'test')
    expect(parsed.ok).toBe(file.startsWith('advice-'))
    expect(`${formatIssues(parsed.ok ? parsed.advice : parsed.issues, { file, text })}\n`).toBe(expected)
  })
})

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ERRORS } from '@manciple/core'
import { BRIDGE_ERRORS } from '@manciple/evennia-adapter'
import { PLUGIN_ERRORS } from '@manciple/router-plugin'
import { expect, test } from 'vitest'

test('docs/errors.md documents every error code with its remedy, and no other', () => {
  const text = readFileSync(join(import.meta.dirname, '..', 'docs', 'errors.md'), 'utf8')
  const documented = [...text.matchAll(/^### `([A-Z_]+)`\n\n(.+)$/gm)].map(([, code, remedy]) => [code, remedy])
  const plugin = Object.entries(PLUGIN_ERRORS).map(([code, { remedy }]) => [code, remedy])
  expect(documented).toEqual([...Object.entries(ERRORS), ...plugin, ...Object.entries(BRIDGE_ERRORS)])
})

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const packages = join(import.meta.dirname, '..', 'packages')

/** What each entry point gives to its users at run time. A name that comes or goes is a change of the public surface. */
const SURFACE: Readonly<Record<string, readonly string[]>> = {
  '@manciple/cli': ['run'],
  '@manciple/core': [
    'ERRORS',
    'HISTORY_FIELDS',
    'HISTORY_FIGURES',
    'HISTORY_KEYS',
    'MancipleError',
    'NANO_PER_USD',
    'PERIODS',
    'acceleratedClock',
    'adjustSpend',
    'boundInputTokens',
    'compileShorthand',
    'dropPresumed',
    'exportLedger',
    'followNotices',
    'formatInstant',
    'formatIssues',
    'formatUsd',
    'importSpend',
    'ledgerStats',
    'manualClock',
    'nanoToUsd',
    'openManciple',
    'openOutsideView',
    'parsePolicy',
    'parseTime',
    'periodOf',
    'policyVersion',
    'readPolicyFile',
    'rebuildLedger',
    'repairLedger',
    'systemClock',
    'usdToNano',
    'verifyLedger',
  ],
  '@manciple/evennia-adapter': ['PROTOCOL_VERSION'],
  '@manciple/router-plugin': ['AUTO_MODEL', 'MancipleGatewayPlugin', 'PLUGIN_CONTRACT', 'PLUGIN_ERRORS', 'PluginError'],
  '@manciple/router-plugin/llm-gateway': ['MancipleGatewayPlugin'],
}

function entryPoints(): string[] {
  return readdirSync(packages).flatMap((folder) => {
    const { name, exports } = JSON.parse(readFileSync(join(packages, folder, 'package.json'), 'utf8')) as { name: string; exports: Record<string, unknown> }
    return Object.keys(exports).map((path) => join(name, path))
  })
}

test('every entry point is listed', () => {
  expect(entryPoints().toSorted()).toEqual(Object.keys(SURFACE))
})

test.each(Object.entries(SURFACE))('%s exports what it promises', async (name, surface) => {
  expect(Object.keys((await import(name)) as object).toSorted()).toEqual(surface)
})

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
    'adviseOnSpent',
    'boundInputTokens',
    'budgetsJsonSchema',
    'comparePolicies',
    'compileShorthand',
    'dropPresumed',
    'explainEntry',
    'explainOutside',
    'exportLedger',
    'followNotices',
    'formatInstant',
    'formatIssues',
    'formatUsd',
    'importSpend',
    'journalEnd',
    'ledgerStats',
    'makeFolders',
    'manualClock',
    'nanoToUsd',
    'openManciple',
    'openOutsideView',
    'pacingPlanOf',
    'parsePolicy',
    'parsePolicyCases',
    'parseTime',
    'periodOf',
    'policyVersion',
    'readPolicyFile',
    'rebuildLedger',
    'recordReading',
    'repairLedger',
    'replayTrace',
    'runPolicyCase',
    'systemClock',
    'usdToNano',
    'verifyLedger',
  ],
  '@manciple/evennia-adapter': ['BRIDGE_ERRORS', 'BridgeError', 'PROTOCOL_VERSION', 'bridgeSettings', 'openBridge', 'readBridgeSettings', 'runBridge'],
  '@manciple/router-plugin': ['AUTO_MODEL', 'Call', 'MancipleGatewayPlugin', 'PLUGIN_CONTRACT', 'PLUGIN_ERRORS', 'PluginError'],
  '@manciple/router-plugin/ai-sdk': ['BudgetRefusedError', 'budgetMiddleware', 'budgeted', 'mancipleRouter'],
  '@manciple/router-plugin/conformance': ['SITUATIONS', 'SUITE_POLICY', 'booksOf', 'conformanceSuite', 'startFakeProvider'],
  '@manciple/router-plugin/fetch': ['budgetedFetch'],
  '@manciple/router-plugin/llm-gateway': ['MancipleGatewayPlugin'],
  '@manciple/router-plugin/metrics': ['withMetrics'],
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

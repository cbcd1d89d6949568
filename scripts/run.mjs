#!/usr/bin/env node
// `npm start`, `npm test` and the like on a bare machine: installs with pnpm, builds, and hands over to the workspace's own Node.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Not in package.json's `packageManager`: pnpm 12 would then ask for itself in the lock file. */
const PNPM = 'pnpm@12.21.0'
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = join(root, 'node_modules', '.bin')
const VITEST = ['--no-warnings', 'node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=json', '--outputFile.json=test-results/vitest.json']

const TASKS = {
  start: (args) => run('node', ['demo/dist/main.js', ...args]),
  manciple: (args) => run('node', ['packages/cli/dist/main.js', ...args]),
  test(args) {
    mkdirSync(join(root, 'test-results'), { recursive: true })
    if (args.length > 0) return run('node', [...VITEST, ...args])
    TASKS.check()
    // First the game's environment, which the tests with a real server use as well. Where it cannot be made, it says so.
    attempt('node', ['scripts/evennia.mjs'])
    const failed = [VITEST, ['scripts/evennia.mjs', 'test']].map((task) => attempt('node', task)).some((status) => status !== 0)
    if (failed) process.exit(1)
  },
  check() {
    run('oxfmt', ['--check', '.'])
    run('oxlint', [])
    run('tsc', ['-p', 'test'])
    run('knip', [])
    run('node', ['scripts/check-packages.mjs'])
  },
}

const [task = 'start', ...args] = process.argv.slice(2)
install()
run('tsc', ['-b'])
TASKS[task](args)

/** Installs when there is nothing yet, or when the lock file has changed since. */
function install() {
  const stamp = join(root, 'node_modules', '.manciple-lock')
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'pnpm-lock.yaml')))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  console.error('Installing dependencies …')
  const status = spawn('npx', ['-y', PNPM, 'install', '--frozen-lockfile'])
  if (status !== 0) process.exit(status)
  writeFileSync(stamp, lock)
}

/** Ends everything where it fails. */
function run(command, args) {
  const status = attempt(command, args)
  if (status !== 0) process.exit(status)
}

/** @returns the exit code of a command of the workspace's own. */
function attempt(command, args) {
  return spawn(join(bin, command), args)
}

function spawn(command, args) {
  const { status, signal, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  })
  if (error) console.error(`${command}: ${error.message}`)
  return status ?? (signal ? 1 : 127)
}

#!/usr/bin/env node
// `npm start` and `npm test` on a bare machine: installs with pnpm, builds, and hands over to the workspace's own Node.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Not in package.json's `packageManager`: pnpm 12 would then ask for itself in the lock file. */
const PNPM = 'pnpm@12.21.0'
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = join(root, 'node_modules', '.bin')
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const [task = 'start', ...rest] = process.argv.slice(2)
install()
if (task === 'start') {
  run('tsc', ['-b'])
  run('node', [join(root, 'demo', 'dist', 'main.js'), ...rest])
} else if (task === 'test') {
  run('tsc', ['-b'])
  if (rest.length === 0) for (const check of Object.keys(scripts).filter((name) => name.startsWith('check:'))) run('node', [join(root, 'scripts', 'run.mjs'), check])
  mkdirSync(join(root, 'test-results'), { recursive: true })
  run('node', ['--no-warnings', join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--reporter=default', '--reporter=json', '--outputFile.json=test-results/vitest.json', ...rest])
} else {
  const [command, ...args] = scripts[task].split(' ')
  run(command, args)
}

/** Installs when there is nothing yet, or when the lock file has changed since. */
function install() {
  const stamp = join(root, 'node_modules', '.manciple-lock')
  const lock = createHash('sha256').update(readFileSync(join(root, 'pnpm-lock.yaml'))).digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  console.error('Installing dependencies …')
  spawn('npx', ['-y', PNPM, 'install', '--frozen-lockfile', '--config.engine-strict=false'])
  writeFileSync(stamp, lock)
}

function run(command, args) {
  spawn(join(bin, command), args)
}

function spawn(command, args) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32', env: { ...process.env, PATH: `${bin}:${process.env.PATH}` } })
  if (error) console.error(`${command}: ${error.message}`)
  if (status !== 0) process.exit(status ?? (signal ? 1 : 127))
}

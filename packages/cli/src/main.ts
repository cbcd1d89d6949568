#!/usr/bin/env node
import { run } from './index.ts'

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())
// Whoever reads has gone, as with `manciple notices | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 2))

const { stdin, stdout, stderr, env } = process
process.exitCode = await run(process.argv.slice(2), {
  stdout,
  stderr,
  env,
  isTTY: stdout.isTTY === true,
  columns: stdout.columns,
  signal: interrupted.signal,
  ...(stdin.isTTY && stdout.isTTY ? { dialogue: { input: stdin, output: stdout } } : {}),
})

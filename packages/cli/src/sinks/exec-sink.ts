import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { NoticeSink } from './notice-sink.ts'

/** How long a command may take; then it is ended, and has failed. */
const PATIENCE_MS = 60_000
const SHOWN = 500

/** Runs a command of the shell for each notice, with the notice as JSON on its standard input. Exit code 0: taken. */
export function execSink(command: string): NoticeSink {
  return {
    name: 'the command',
    target: createHash('sha256').update(command).digest('hex'),
    async deliver({ id, notice }, signal) {
      const child = spawn(command, { shell: true, stdio: ['pipe', 'ignore', 'pipe'], signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]) })
      let said = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-SHOWN)))
      // A command that does not read is none the worse for it.
      child.stdin.on('error', () => undefined)
      child.stdin.end(`${JSON.stringify({ id, ...notice })}\n`)
      const [code, ended] = await once(child, 'close')
      if (code !== 0) throw new Error(`ended with ${code ?? ended}${said === '' ? '' : `: ${said.trim()}`}`)
    },
  }
}

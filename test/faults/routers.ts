import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { Answer, Command, ToldNotice } from './router.ts'

const ROUTER = fileURLToPath(new URL('router.ts', import.meta.url))

export const ROUTER_POLICY = `timezone: UTC
budgets: { daily_limit_usd: 10000.00 }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  local: { kind: local, models: ["llama3.1:8b"] }
`

/** A router in a process of its own. */
export interface Router {
  readonly child: ChildProcess
  readonly notices: readonly ToldNotice[]
  tell(command: Command): Promise<Answer>
  /** Calls until one of them goes local or cannot be settled, at most so many times. @returns what that one was answered. */
  callUntilClosed(most: number): Promise<Answer>
  /** Sends a signal and waits for the end. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

/** @param before words that the command line begins with: a shell that sets limits, `strace`. */
export function startRouter(folder: string, before: readonly string[] = []): Router {
  const [command = '', ...args] = [...before, process.execPath, '--conditions=manciple-source', '--no-warnings', ROUTER, folder, ROUTER_POLICY]
  // One thread, or strace would count calls for each.
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, UV_THREADPOOL_SIZE: '1' } })
  const exit = once(child, 'close')
  const notices: ToldNotice[] = []
  const waiting: ((answer: Answer) => void)[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    const said = JSON.parse(line) as Answer | ToldNotice
    if ('notice' in said) notices.push(said)
    else waiting.shift()?.(said)
  })
  const tell = (order: Command): Promise<Answer> => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    waiting.push(resolve)
    void exit.then(() => reject(new Error(`the router ended before it answered ${JSON.stringify(order)}`)))
    child.stdin.write(`${JSON.stringify(order)}\n`)
    return promise
  }
  const router: Router = {
    child,
    notices,
    tell,
    async callUntilClosed(most) {
      for (let call = 0; call < most; call++) {
        const answer = await tell({ do: 'call' })
        if (!answer.ok || answer.backend === 'local' || answer.unsettled !== undefined) return answer
      }
      throw new Error(`cloud calls went on ${most} times`)
    },
    async end(signal) {
      child.kill(signal)
      await exit
    },
  }
  onTestFinished(() => router.end('SIGKILL'))
  return router
}

/** Whether this process may mount file systems. */
export const MAY_MOUNT = ((): boolean => {
  if (process.platform !== 'linux') return false
  const at = mkdtempSync(join(tmpdir(), 'mount-'))
  const mounted = mount(at, ['-t', 'tmpfs', '-o', 'size=64k', 'none']) && unmount(at)
  rmSync(at, { recursive: true, force: true })
  return mounted
})()

/** A file system of its own in memory, gone when the test ends. @returns its root, and how to change its options. */
export function tmpfs(size: string): { readonly root: string; remount(options: string): void } {
  const root = mkdtempSync(join(tmpdir(), 'tmpfs-'))
  if (!mount(root, ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'none'])) throw new Error(`${root} cannot be mounted`)
  onTestFinished(() => {
    unmount(root)
    rmSync(root, { recursive: true, force: true })
  })
  return {
    root,
    remount(options) {
      if (!mount(root, ['-o', `remount,${options}`])) throw new Error(`${root} cannot be mounted again with ${options}`)
    },
  }
}

function mount(at: string, options: readonly string[]): boolean {
  return spawnSync('mount', [...options, at]).status === 0
}

function unmount(at: string): boolean {
  return spawnSync('umount', ['-l', at]).status === 0
}

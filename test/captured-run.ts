import { run, type Io } from '@manciple/cli'

/** What a command came to, and all that it wrote. */
export interface Captured {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a `manciple` command as a script would, without a terminal and with an empty environment, but for what `over` says. */
export async function runCaptured(argv: readonly string[], over: Partial<Io> = {}): Promise<Captured> {
  let out = ''
  let err = ''
  const code = await run(argv, {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    env: {},
    isTTY: false,
    columns: undefined,
    ...over,
  })
  return { code, out, err }
}

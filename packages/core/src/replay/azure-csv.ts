import type { TraceCall } from './trace-call.ts'

/** Columns of Azure's public traces of language-model calls (Splitwise, ISCA 2024): `2023-11-16 18:15:46.6805900`, in UTC. */
const HEAD = 'TIMESTAMP,ContextTokens,GeneratedTokens'
const ROW = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?),(\d{1,9}),(\d{1,9})$/

export function isAzureHead(line: string): boolean {
  return line.replace(/^\uFEFF/, '').trim() === HEAD
}

/** A row of Azure's traces, which tell neither how long a call took nor how long its answer might have been. @returns the call, or what is wrong. */
export function azureCallOf(text: string, line: number): TraceCall | string {
  const [, day, time, input, output] = ROW.exec(text.trim()) ?? []
  const atMs = Math.floor(Date.parse(`${day}T${time}Z`))
  if (day === undefined || !Number.isFinite(atMs)) return `expected ${HEAD} as 2023-11-16 18:15:46.6805900,374,44`
  return {
    id: `line-${line}`,
    atMs,
    durationMs: 0,
    backend: undefined,
    model: undefined,
    taskId: undefined,
    taskType: undefined,
    inputTokens: Number(input),
    outputTokens: Number(output),
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
    maxOutputTokens: undefined,
  }
}

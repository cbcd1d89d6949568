import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { manualClock } from '../clock.ts'
import { openManciple } from '../manciple.ts'
import { readTrace } from './read-trace.ts'
import type { TraceCall } from './trace-call.ts'

let root = ''
let files = 0

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'manciple-trace-'))
})
afterAll(() => rmSync(root, { recursive: true }))

function file(text: string, name = `trace-${(files += 1)}.jsonl`): string {
  const path = join(root, name)
  writeFileSync(path, text)
  return path
}

async function read(path: string): Promise<{ calls: TraceCall[]; leftOut: Record<string, number> }> {
  const reading = await readTrace(path, 'UTC', () => {})
  const calls: TraceCall[] = []
  for await (const some of reading.calls) calls.push(...some)
  return { calls, leftOut: Object.fromEntries(reading.leftOut) }
}

function line(second: number, more: object = {}): string {
  return JSON.stringify({ t: new Date(Date.UTC(2026, 3, 1) + second * 1000).toISOString(), prompt_tokens: 10, completion_tokens: 5, ...more })
}

describe('JSON lines', () => {
  test('are read in order, with or without a newline at the end, with CRLF, a mark and empty lines', async () => {
    const { calls } = await read(file(`\uFEFF${line(1)}\r\n\r\n${line(2)}\n\n${line(2)}`))
    expect(calls.map(({ id, atMs }) => [id, atMs / 1000 - Date.UTC(2026, 3, 1) / 1000])).toEqual([
      ['line-1', 1],
      ['line-3', 2],
      ['line-5', 2],
    ])
  })

  test('longer than a chunk come out whole, also where a sign of several bytes is cut', async () => {
    const text = Array.from({ length: 9_000 }, (_, second) => line(second, { task_type: 'übersetzen…' })).join('\n')
    const { calls } = await read(file(text))
    expect(calls).toHaveLength(9_000)
    expect(new Set(calls.map(({ taskType }) => taskType))).toEqual(new Set(['übersetzen…']))
  })

  test('every mistake is told with its file and line, and no call is handed out after the first', async () => {
    const path = file([line(1), line(2, { prompt_tokens: -1 }), line(3), line(4, { t: 'x' })].join('\n'))
    await expect(read(path)).rejects.toMatchObject({
      code: 'TRACE_INVALID',
      message: expect.stringContaining(
        `${path}:2: prompt_tokens: expected a whole number from 0 to 1000000000, found -1\n${path}:4: t: expected a time as 2026-04-01T14:30:00Z, found "x"\n`,
      ),
    })
  })

  test('of many mistakes the first twenty are listed', async () => {
    await expect(read(file([line(1), ...Array.from({ length: 30 }, () => '{')].join('\n')))).rejects.toThrow(/:21: .*\nand 10 more\n/)
  })

  test('out of order are told, with what to do', async () => {
    const path = file(`${line(5)}\n${line(4)}\n`)
    await expect(read(path)).rejects.toThrow(
      `${path}:2: t: expected lines in order of time, found 2026-04-01T00:00:04.000Z after 2026-04-01T00:00:05.000Z; sort the file by \`t\``,
    )
  })
})

test('a file that is not there, and one without a call, are told', async () => {
  await expect(readTrace(join(root, 'none.jsonl'), 'UTC', () => {})).rejects.toThrow('none.jsonl cannot be read: ENOENT')
  await expect(read(file(''))).rejects.toMatchObject({ code: 'TRACE_INVALID' })
})

describe("Azure's traces", () => {
  const HEAD = 'TIMESTAMP,ContextTokens,GeneratedTokens'

  test('are read as they are', async () => {
    const { calls } = await read(file(`${HEAD}\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109`, 'azure.csv'))
    expect(calls).toMatchObject([
      { atMs: Date.parse('2023-11-16T18:15:46.680Z'), inputTokens: 374, outputTokens: 44, maxOutputTokens: undefined },
      { atMs: Date.parse('2023-11-16T18:15:50.995Z'), inputTokens: 396, outputTokens: 109 },
    ])
  })

  test('a row that is not of theirs is told', async () => {
    const path = file(`${HEAD}\n2023-11-16 18:15:46,many,44\n`, 'azure-bad.csv')
    await expect(read(path)).rejects.toThrow(`${path}:2: expected ${HEAD} as 2023-11-16 18:15:46.6805900,374,44`)
  })
})

describe("Claude Code's logs", () => {
  const message = (id: string, at: string, output: number): string =>
    JSON.stringify({
      sessionId: 's',
      timestamp: at,
      requestId: 'req',
      message: { id, model: 'claude-sonnet-4-20250514', usage: { input_tokens: 10, output_tokens: output, cache_read_input_tokens: 90 } },
    })

  test('count each message once however many files it stands in, in order of time', async () => {
    const folder = join(root, 'projects')
    mkdirSync(join(folder, 'one'), { recursive: true })
    mkdirSync(join(folder, 'two'))
    writeFileSync(join(folder, 'one', 'b.jsonl'), `${message('m2', '2026-04-02T00:00:00Z', 7)}\n${message('m2', '2026-04-02T00:00:01Z', 70)}\n`)
    writeFileSync(join(folder, 'two', 'a.jsonl'), `${message('m1', '2026-04-01T00:00:00Z', 5)}\n${message('m2', '2026-04-02T00:00:01Z', 70)}\n`)
    const { calls } = await read(folder)
    expect(calls).toMatchObject([
      { id: 'm1:req', inputTokens: 100, cacheReadTokens: 90, outputTokens: 5 },
      { id: 'm2:req', atMs: Date.parse('2026-04-02T00:00:00Z'), outputTokens: 70, model: 'claude-sonnet-4-20250514', taskId: 's' },
    ])
  })
})

test('rows with costs and no tokens cannot be replayed', async () => {
  const path = file('timestamp,backend,model,cost_usd\n2026-04-01T00:00Z,claude,m,0.5\n', 'costs.csv')
  await expect(readTrace(path, 'UTC', () => {})).rejects.toThrow(`${path}:2: expected prompt_tokens and completion_tokens: a cost alone cannot be replayed`)
})

test('a ledger gives its calls in the order in which they were asked for, and says what it leaves out', async () => {
  const clock = manualClock(Date.parse('2026-04-01T00:00:00Z'))
  const ledger = join(root, 'ledger')
  const manciple = await openManciple({
    config: { text: 'backends: { claude: { provider: anthropic, models: [m], limits: [1.00/day] } }\nprices: { m: { input_mtok: 3, output_mtok: 15 } }' },
    ledger,
    clock,
  })
  const ask = { backend: 'claude', model: 'm', inputTokens: 1000, maxOutputTokens: 500 }
  const slow = await manciple.decide({ ...ask, taskType: 'code', taskId: 'a' })
  clock.advance(1000)
  const quick = await manciple.decide(ask)
  clock.advance(500)
  await quick.settle({ inputTokens: 900, outputTokens: 40 })
  const failed = await manciple.decide(ask)
  await failed.release('503')
  await manciple.decide({ backend: 'claude', model: 'm', inputTokens: 900_000, maxOutputTokens: 500, pinned: true })
  clock.advance(500)
  await slow.settle({ inputTokens: 1000, outputTokens: 50, cacheReadTokens: 200 })
  await manciple.close()
  const { calls, leftOut } = await read(ledger)
  expect(calls).toMatchObject([
    {
      backend: 'claude',
      model: 'm',
      taskType: 'code',
      taskId: 'a',
      inputTokens: 1000,
      outputTokens: 50,
      cacheReadTokens: 200,
      maxOutputTokens: 500,
      durationMs: 2000,
    },
    { atMs: Date.parse('2026-04-01T00:00:01Z'), inputTokens: 900, outputTokens: 40, durationMs: 500, taskType: undefined },
  ])
  expect(leftOut).toEqual({ 'calls that were refused': 1 })
})

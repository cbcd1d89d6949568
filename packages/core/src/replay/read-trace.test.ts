import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { manualClock } from '../clock.ts'
import { openManciple } from '../manciple.ts'
import { readTrace } from './read-trace.ts'
import { isCall, type TraceCall, type TraceEvent } from './trace-call.ts'

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

interface Read {
  readonly events: readonly TraceEvent[]
  readonly calls: readonly TraceCall[]
  readonly leftOut: Record<string, number>
  readonly notes: readonly string[]
}

async function read(path: string): Promise<Read> {
  const reading = await readTrace(path, 'UTC', () => {})
  const events: TraceEvent[] = []
  for await (const some of reading.events) events.push(...some)
  return { events, calls: events.filter(isCall), leftOut: Object.fromEntries(reading.leftOut), notes: reading.notes }
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

  // Neither says a session, and the first not even a time.
  const SNAPSHOT = '{"type":"file-history-snapshot","messageId":"m","snapshot":{"messageId":"m","trackedFileBackups":{}},"isSnapshotUpdate":false}'
  const UNUSED = '{"type":"assistant","timestamp":"2026-04-01T00:00:00Z","message":{"id":"m","model":"claude-sonnet-4-20250514","usage":null}}'
  const LOG = [SNAPSHOT, message('m1', '2026-04-01T00:00:00Z', 5), UNUSED, UNUSED.replace(',"usage":null', ''), '{"type":"user","mess']

  test('have lines of many kinds: those without usage, and the half-written last one, are left out', async () => {
    const { calls, leftOut } = await read(file(LOG.join('\n'), 'log.jsonl'))
    expect(calls.map(({ id }) => id)).toEqual(['m1:req'])
    expect(leftOut).toEqual({ 'lines that tell of no call': 3, 'lines that are not whole': 1 })
    // A session that died in the middle of a line and went on.
    expect((await read(file([...LOG, SNAPSHOT, ''].join('\n'), 'log.jsonl'))).leftOut).toEqual({
      'lines that tell of no call': 4,
      'lines that are not whole': 1,
    })
  })

  test('of a folder may hold nothing that shows what they are', async () => {
    const folder = join(root, 'quiet')
    mkdirSync(folder)
    writeFileSync(join(folder, 'a.jsonl'), `${SNAPSHOT}\n`)
    writeFileSync(join(folder, 'b.jsonl'), LOG.join('\n'))
    expect((await read(folder)).leftOut).toEqual({ 'lines that tell of no call': 4, 'lines that are not whole': 1 })
    // Beside them, a mistake in rows of another kind is one still.
    const row = '{"timestamp":"2026-04-01T00:00:00Z","model":"m","prompt_tokens":1,"completion_tokens":1}'
    writeFileSync(join(folder, 'c.jsonl'), `${row}\n${row.replace('1}', '-1}')}\n`)
    await expect(readTrace(folder, 'UTC', () => {})).rejects.toThrow(/^\S+c\.jsonl:2: completion_tokens: expected a whole number from 0, found "-1"\n/)
  })

  test('are not whatever names a session: rows that count tokens are rows', async () => {
    const row = '{"timestamp":"2026-04-01T00:00:00Z","sessionId":"s","model":"m","prompt_tokens":3,"completion_tokens":1}'
    expect(await read(file(`${row}\n`))).toMatchObject({ calls: [{ inputTokens: 3 }], leftOut: {} })
  })

  test('a usage that is wrong is a mistake', async () => {
    const wrong = message('m1', 'yesterday', 5)
    await expect(readTrace(file(`${wrong}\n`), 'UTC', () => {})).rejects.toThrow('timestamp: expected a time')
  })

  test('of caches kept for an hour it is said that they are priced as for five minutes', async () => {
    const hour = (id: string): string =>
      message(id, '2026-04-01T00:00:00Z', 5).replace(
        '"input_tokens":10,',
        '"input_tokens":10,"cache_creation_input_tokens":70,"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":50},',
      )
    const { calls, notes } = await read(file([hour('m1'), hour('m1'), hour('m2'), message('m3', '2026-04-01T00:00:00Z', 5)].join('\n')))
    expect(calls.map(({ cacheWriteTokens }) => cacheWriteTokens)).toEqual([70, 70, 0])
    expect(notes).toEqual(['2 calls wrote 100 tokens to caches for an hour; they are priced as for five minutes, which is less.'])
  })
})

test('rows with costs and no tokens cannot be replayed', async () => {
  const path = file('timestamp,backend,model,cost_usd\n2026-04-01T00:00Z,claude,m,0.5\n', 'costs.csv')
  await expect(readTrace(path, 'UTC', () => {})).rejects.toThrow(`${path}:2: expected prompt_tokens and completion_tokens: a cost alone cannot be replayed`)
})

test('a ledger gives its calls in the order in which they were asked for, and says what it leaves out', async () => {
  const START_MS = Date.parse('2026-04-01T00:00:00Z')
  const clock = manualClock(START_MS)
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
  await manciple.observe('claude', { used: 0.25, source: 'late', at: new Date('2026-03-31T23:00:00Z') })
  clock.advance(500)
  await manciple.observe('claude', { used: 0.5, source: 'now' })
  await slow.settle({ inputTokens: 1000, outputTokens: 50, cacheReadTokens: 200 })
  await manciple.close()
  const { events, calls, leftOut } = await read(ledger)
  // Readings have their place among the calls: when they were noted, as far as other lines show.
  expect(events.map((event) => (isCall(event) ? 'call' : event))).toEqual([
    'call',
    'call',
    { notedMs: START_MS + 1500, readMs: START_MS - 3_600_000, backend: 'claude', quota: 'claude.day', used: 0.25, source: 'late' },
    { notedMs: START_MS + 2000, readMs: START_MS + 2000, backend: 'claude', quota: 'claude.day', used: 0.5, source: 'now' },
  ])
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

describe('a trace that gzip has packed', () => {
  test.each([
    ['JSON lines', `${line(1)}\n${line(2)}\n`],
    ['CSV', 'timestamp,model,prompt_tokens,completion_tokens\n2026-04-01T00:00Z,m,1,2\n2026-04-01T00:01Z,m,1,2\n'],
    ['rows', '{"timestamp":"2026-04-01T00:00Z","model":"m","prompt_tokens":1,"completion_tokens":2}\n'.repeat(2)],
  ])('is read as what is in it: %s', async (_, text) => {
    const path = join(root, 'packed.jsonl')
    writeFileSync(path, gzipSync(text))
    expect((await read(path)).calls).toHaveLength(2)
  })

  // What does not compress, and more than is read at once: its end is missed when rows have been read.
  const row = (index: number): string =>
    `{"timestamp":"2026-04-01T00:00Z","model":"m","prompt_tokens":1,"completion_tokens":2,"id":"${createHash('sha512').update(String(index)).digest('base64')}"}\n`

  test.each([
    ['JSON lines', line(1)],
    ['rows', Array.from({ length: 8_000 }, (_, index) => row(index)).join('')],
  ])('and cut is told, with its name: %s', async (_, text) => {
    const path = join(root, 'cut.jsonl.gz')
    const packed = gzipSync(text)
    writeFileSync(path, packed.subarray(0, packed.length - 20))
    await expect(read(path)).rejects.toMatchObject({
      code: 'TRACE_INVALID',
      message: expect.stringContaining(`${path} cannot be read: unexpected end of file`),
    })
  })
})

test('of a file that is no text at all, nothing is shown that could steer a terminal', async () => {
  const path = join(root, 'picture.png')
  writeFileSync(path, `\u007f\u009b31m\u202e${'\u0007'.repeat(4000)}`)
  const error: unknown = await read(path).catch((reason: unknown) => reason)
  expect(String(error)).toContain('expected a head with timestamp')
  expect(String(error)).not.toMatch(/[^\P{C}\n]/u)
  expect(String(error).length).toBeLessThan(400)
})

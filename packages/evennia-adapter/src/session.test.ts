import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { GameModel } from '../../../test/e2e/game-model.ts'
import { Simulation, SNAPSHOT, type Frame } from '../../../test/e2e/session-simulation.ts'
import { MAX_ITEMS, type NoticeItem } from './messages.ts'

function connected(): Simulation {
  const simulation = new Simulation()
  simulation.look()
  simulation.run(1_000)
  expect(simulation.session.phase.at).toBe('ready')
  return simulation
}

const shown = ({ game }: Simulation): readonly string[] => game.kept.shown.map(({ nid }) => nid)
const all = ({ ledger }: Simulation): readonly string[] => ledger.map(({ nid }) => nid)
const at = ({ session }: Simulation): string => session.phase.at
const named = ({ sent }: Simulation, name: string): readonly Frame[] => sent.filter((frame) => frame.name === name)

describe('a session with a game', () => {
  type Action = (simulation: Simulation) => void
  const copies = new WeakMap<Simulation, GameModel['kept']>()
  const action: fc.Arbitrary<Action> = fc.oneof(
    fc.nat(9_000).map(
      (ms): Action =>
        (one) =>
          one.run(ms),
    ),
    fc.integer({ min: 1, max: 130 }).map(
      (count): Action =>
        (one) =>
          one.notices(count),
    ),
    fc.boolean().map(
      (on): Action =>
        (one) =>
          void (one.loses = on),
    ),
    fc.boolean().map(
      (on): Action =>
        (one) =>
          void (one.doubles = on),
    ),
    fc.integer({ min: 1, max: 100 }).map(
      (ticks): Action =>
        (one) =>
          void (one.delay = ticks),
    ),
    fc
      .constantFrom<readonly Action[]>(
        [(one) => one.look()],
        [(one) => one.close()],
        [(one) => one.say(one.game.resync())],
        [(one) => void (one.server = 'down'), (one) => one.run(7_000), (one) => void (one.server = 'up')],
        [(one) => void (one.portal = 'down'), (one) => one.close(), (one) => one.run(3_000), (one) => void (one.portal = 'up')],
        [(one) => void copies.set(one, one.game.kept)],
        [(one) => void (one.game.kept = copies.get(one) ?? one.game.kept)],
        [(one) => void (one.stream = `${one.stream}.1`), (one) => one.look()],
      )
      .map(
        (steps): Action =>
          (one) =>
            steps.forEach((step) => step(one)),
      ),
  )

  it('gets every notice across exactly once and in order, whatever is lost, repeated, late, restarted, repaired or restored on the way', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const simulation = new Simulation()
        simulation.look()
        for (const act of actions) act(simulation)
        Object.assign(simulation, { loses: false, doubles: false, delay: 1, server: 'up', portal: 'up' })
        for (let look = 0; look < 5; look++) {
          simulation.look()
          simulation.run(25_000)
        }
        expect(shown(simulation)).toEqual(all(simulation))
        expect(simulation.game.figures).toEqual(SNAPSHOT)
        for (const { body } of named(simulation, 'costs_notices')) expect((body['items'] as unknown[]).length).toBeLessThanOrEqual(MAX_ITEMS)
      }),
      { numRuns: 300 },
    )
  })

  it('has one request in flight: the next goes out when the last is answered, or with a new hello after 8 s', () => {
    const simulation = connected()
    simulation.delay = 20
    simulation.notices(500)
    simulation.run(30_000)
    expect(shown(simulation)).toEqual(all(simulation))
    const before = simulation.sent.length
    simulation.loses = true
    simulation.notices(3)
    simulation.run(7_500)
    expect(simulation.sent.slice(before).map(({ name }) => name)).toEqual(['costs_notices'])
    simulation.run(1_000)
    expect(simulation.sent.slice(before).map(({ name }) => name)).toEqual(['costs_notices', 'costs_hello'])
  })

  it('takes no answer for one to another request', () => {
    const simulation = connected()
    simulation.loses = true
    simulation.notices(3)
    simulation.run(500)
    const { flight } = simulation.session
    simulation.say({ name: 'costs_ack', body: { id: (flight?.id ?? 0) - 1, cursor: 3, rev: 1 } })
    simulation.run(500)
    expect(simulation.session.flight).toEqual(flight)
    expect(simulation.session.cursor).toBe(0)
  })

  it('sends snapshots at most once a second, and only the latest', () => {
    const simulation = connected()
    const before = named(simulation, 'costs_snapshot').length
    for (let look = 0; look < 30; look++) {
      simulation.look()
      simulation.run(100)
    }
    expect(named(simulation, 'costs_snapshot').length - before).toBeLessThanOrEqual(3)
  })

  it('counts revisions on from what the game says', () => {
    const simulation = new Simulation()
    simulation.look()
    simulation.game.kept = { ...simulation.game.kept, rev: 41 }
    simulation.run(1_000)
    expect(named(simulation, 'costs_snapshot')[0]?.body['rev']).toBe(42)
  })

  it('says hello again when the game says that it has started', () => {
    const simulation = connected()
    simulation.say(simulation.game.resync())
    simulation.run(300)
    expect(named(simulation, 'costs_hello')).toHaveLength(2)
  })
})

describe('notices that cannot be had', () => {
  it('open another stream, whose first notice says so, and which a bridge that is started again comes back to', () => {
    const simulation = connected()
    simulation.notices(10)
    simulation.run(2_000)
    simulation.close()
    simulation.notices(50)
    simulation.first = 31
    simulation.run(5_000)
    const [tenth, missing, after] = simulation.game.kept.shown.slice(9)
    expect([tenth?.nid, missing?.kind, after?.nid]).toEqual(['n10', 'notices-lost', 'n31'])
    expect(missing?.text).toMatch(/^Notices before number 31 cannot be had any more/)
    expect(simulation.game.kept.shown).toHaveLength(41)
    expect(simulation.game.kept.stream).toBe('L~1')
  })

  it('and so does a ledger that was put back from an older copy: what comes then is not taken for known', () => {
    const simulation = connected()
    simulation.notices(20)
    simulation.run(2_000)
    simulation.close()
    simulation.ledger = simulation.ledger.slice(0, 5).concat(simulation.ledger.slice(5, 8).map((item) => ({ ...item, nid: `${item.nid} again` })))
    simulation.look()
    simulation.run(5_000)
    expect(shown(simulation).slice(20)).toEqual(['n6 again', 'n7 again', 'n8 again'])
    expect(simulation.game.kept.stream).toBe('L~1')
  })
})

it('a ledger that has gone on since it was last looked at is not taken for one that was put back', () => {
  const simulation = connected()
  simulation.notices(50)
  simulation.run(2_000)
  simulation.say(simulation.game.resync())
  simulation.run(2_000)
  const elsewhere = connected()
  elsewhere.notices(5)
  elsewhere.run(1_000)
  elsewhere.notices(300)
  // As another bridge would have told it.
  elsewhere.game.kept = { ...elsewhere.game.kept, cursors: { L: 300 } }
  elsewhere.say(elsewhere.game.resync())
  elsewhere.run(3_000)
  for (const { game } of [simulation, elsewhere]) expect(Object.keys(game.kept.cursors)).toEqual(['L'])
})

describe('refusals', () => {
  it('a wrong password twice is waited out for five minutes, and said once', () => {
    const simulation = new Simulation()
    simulation.password = 'wrong'
    simulation.look()
    simulation.run(60_000)
    expect(simulation.said.filter((text) => /refused the login of bridge twice.*5 minutes/.test(text))).toHaveLength(1)
    simulation.password = 'right'
    simulation.run(200_000)
    expect(simulation.session.phase.at).toBe('away')
    simulation.run(60_000)
    expect(simulation.session.phase.at).toBe('ready')
  })

  it('a server that is down behind its portal is no wrong password', () => {
    const simulation = new Simulation()
    simulation.server = 'down'
    simulation.look()
    simulation.run(600_000)
    expect(simulation.session.refused).toBe(0)
    simulation.server = 'up'
    simulation.run(45_000)
    expect(simulation.session.phase.at).toBe('ready')
  })

  it.each([
    ['denied', /run `evennia costs_setup`/],
    ['version', /another version of the protocol/],
  ])('%s is waited out for five minutes, and said', (code, text) => {
    const simulation = connected()
    simulation.say({ name: 'costs_nak', body: { id: null, code, detail: 'x' } })
    simulation.run(200)
    expect(simulation.session.phase).toMatchObject({ at: 'away', untilMs: expect.closeTo(simulation.nowMs + 300_000, -3) })
    expect(simulation.said.at(-1)).toMatch(text)
  })

  it('a notice that the game refuses goes again alone, and then without its data, so that it holds up no other', () => {
    const simulation = connected()
    simulation.notices(4)
    simulation.notices(1, 'poison')
    simulation.notices(4)
    const take = simulation.game.answer.bind(simulation.game)
    let refusals = 0
    simulation.ledger[4] = { ...simulation.ledger[4]!, data: { poison: true } }
    simulation.game.answer = (name, body) => {
      const items = (body['items'] ?? []) as readonly NoticeItem[]
      if (!items.some(({ data }) => data['poison'] === true)) return take(name, body)
      refusals += 1
      return { name: 'costs_nak', body: { id: body['id'], code: 'schema', cursor: simulation.game.cursor, detail: 'no' } }
    }
    simulation.run(60_000)
    expect(shown(simulation)).toEqual(all(simulation))
    expect(refusals).toBeGreaterThan(1)
    expect(simulation.game.kept.shown[4]).toMatchObject({ text: 'poison', data: {} })
  })

  it.each(['busy', 'schema', 'too_big', 'gap', 'unheard-of'])('%s for everything is tried again ever more slowly, never in a loop', (code) => {
    const simulation = connected()
    const take = simulation.game.answer.bind(simulation.game)
    simulation.game.answer = (name, body) =>
      name === 'costs_hello' ? take(name, body) : { name: 'costs_nak', body: { id: body['id'], code, cursor: simulation.game.cursor, detail: 'no' } }
    simulation.notices(200)
    const before = simulation.sent.length
    for (let minute = 0; minute < 10; minute++) {
      simulation.look()
      simulation.run(60_000)
    }
    expect(simulation.sent.length - before).toBeLessThan(60)
    simulation.game.answer = take
    simulation.run(120_000)
    expect(shown(simulation)).toEqual(all(simulation))
  })
})

describe('coming back', () => {
  it('waits 1 to 30 s, longer each time, with jitter, and soon again after a steady connection', () => {
    const delays = (random: number): readonly number[] => {
      const simulation = new Simulation()
      simulation.random = random
      simulation.portal = 'down'
      const waits: number[] = []
      for (let attempt = 0; attempt < 8; attempt++) {
        while (at(simulation) === 'away') simulation.run(100)
        while (at(simulation) !== 'away') simulation.run(100)
        const { phase } = simulation.session
        waits.push(phase.at === 'away' ? Math.round((phase.untilMs - simulation.nowMs) / 100) / 10 : Number.NaN)
      }
      return waits
    }
    expect(delays(0)).toEqual([1, 2, 4, 8, 15, 15, 15, 15])
    expect(delays(1)).toEqual([2, 4, 8, 16, 30, 30, 30, 30])
    const simulation = connected()
    simulation.run(70_000)
    simulation.close()
    expect(simulation.session.failures).toBe(1)
  })

  it('is not reset by a connection that does not last: two bridges with one account do not throw each other out in a loop', () => {
    const simulation = connected()
    for (let round = 0; round < 10; round++) {
      simulation.close()
      while (at(simulation) !== 'ready') simulation.run(100)
    }
    expect(simulation.session.failures).toBe(10)
    expect(simulation.nowMs).toBeGreaterThan(1_000_000 + 150_000)
  })
})

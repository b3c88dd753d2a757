/**
 * Each fault by itself, at the moment where it hurts. The verdict is the simulation's own: every
 * checker at every step, then peace, then everything delivered and everybody at rest.
 */
import { equal, ok } from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { decodePacket } from '../../daemon/protocol/codec/packet.ts'
import type { InTransit, WirePart } from '../../sdk/testing/wire-parts.ts'
import type { Faults } from './faults.ts'
import { cleanLink, noFaults, planOf, type Plan } from './plan.ts'
import { Seeds } from './seed-runner.ts'
import type { RunResult } from './simulation.ts'
import type { SimMachine } from './sim-machine.ts'
import type { SimWorld } from './sim-world.ts'
import { refusedToken } from './tokens.ts'
import type { Workload } from './workload.ts'

const second = 1_000_000
const dayMs = 24 * 3_600_000

const calm: Plan = {
  ...planOf(1),
  machines: 3,
  durationUs: 10 * second,
  link: cleanLink,
  faults: noFaults,
  commitUs: 3_000,
  clientSync: 'normal',
  checkpointPages: 100,
  deathPerOutput: 0,
  deathPerCommit: 0,
}

type Stage = {
  readonly world: SimWorld
  readonly faults: Faults
  readonly work: Workload
  readonly a: SimMachine
  readonly b: SimMachine
  run: (us: number) => void
}

function play(
  t: TestContext,
  script: (stage: Stage) => void,
  chosen: Partial<Plan> = {},
): RunResult {
  const seeds = new Seeds()
  t.after(() => seeds[Symbol.dispose]())
  const result = seeds.runPlan(
    { ...calm, ...chosen },
    {
      script: (world, faults, work) => {
        const [a, b] = [world.machine('a'), world.machine('b')]
        const run = (us: number): void => world.time.runUntil(world.time.nowUs + us)
        script({ world, faults, work, a, b, run })
      },
    },
  )
  const { failure, lastLines } = result
  equal(failure, undefined, `${failure?.checker}: ${failure?.message}\n${lastLines.join('\n')}`)
  return result
}

/** Traffic in both directions, with `fault` in the middle of it, again and again. */
function amid(
  t: TestContext,
  fault: (stage: Stage) => void,
  chosen: Partial<Plan> = {},
): RunResult {
  return play(
    t,
    (stage) => {
      for (let round = 0; round < 6; round++) {
        stage.work.send('a', 'b', 20, { bytes: round * 700 })
        stage.work.send('b', 'a', 5)
        stage.run(3_000 + 7_000 * round)
        fault(stage)
        stage.run(second)
      }
    },
    chosen,
  )
}

test('the sender is killed', (t) => void amid(t, ({ a }) => a.die('kill')))
test('the receiver is killed', (t) => void amid(t, ({ b }) => b.die('kill')))
test('the power of the sender fails', (t) => void amid(t, ({ a }) => a.die('power')))
test('the power of the receiver fails', (t) => void amid(t, ({ b }) => b.die('power')))

test('the power of the whole house fails', (t) => {
  amid(t, ({ world }) => {
    for (const machine of world.machines) machine.die('power')
  })
})

test('what an application had not synced is lost with the power, and never left', (t) => {
  const { counts } = amid(t, ({ work, a }) => {
    const rows = work.send('a', 'b', 3)
    a.die('power')
    for (const { seenAt } of rows) equal(seenAt.size, 0)
  })
  ok([...counts.keys()].some((kind) => kind.startsWith('power-cut, unsynced part')))
})

test('machines die before any output and inside any commit', (t) => {
  const deaths = { deathPerOutput: 0.005, deathPerCommit: 0.05, powerCutPart: 0.5 }
  const { counts } = amid(t, () => {}, deaths)
  ok([...counts.keys()].some((kind) => kind.endsWith('inside a commit')))
})

test('a process is stopped in good order', (t) => void amid(t, ({ b }) => b.stop()))

test('the receiver gets an old backup back, and says what it has lost', (t) => {
  play(t, ({ work, faults, b, run }) => {
    work.send('a', 'b', 10)
    run(2 * second)
    faults.inject('backup', b)
    work.send('a', 'b', 10)
    run(2 * second)
    equal(b.inbox.numbers.size, 20)
    faults.inject('restore', b)
    equal(b.inbox.numbers.size, 10)
    run(5 * second)
  })
})

test('the sender gets an old backup back, with rows that are long delivered', (t) => {
  play(t, ({ work, faults, a, b, run }) => {
    b.die('kill', false)
    work.send('a', 'b', 10)
    faults.inject('backup', a)
    b.start()
    run(5 * second)
    equal(b.inbox.numbers.size, 10)
    faults.inject('restore', a)
    work.send('a', 'b', 10)
    run(5 * second)
  })
})

test('a copy of the sender goes on next to it', (t) => {
  play(t, ({ world, work, faults, a, b, run }) => {
    b.die('kill', false)
    work.send('a', 'b', 10)
    faults.inject('clone', a)
    b.start()
    for (let round = 0; round < 4; round++) {
      work.send('a', 'b', 5)
      work.send('copy-of-a', 'b', 5)
      run(2 * second)
    }
    equal(world.machines.length, 4)
  })
})

test('the database of the receiver is removed', (t) => {
  play(t, ({ work, faults, b, run }) => {
    work.send('a', 'b', 10)
    run(2 * second)
    faults.inject('remove', b)
    work.send('a', 'b', 10)
    run(5 * second)
  })
})

test('the disk of the receiver is full for a while', (t) => {
  play(t, ({ work, b, run }) => {
    work.send('a', 'b', 5)
    run(second)
    b.disk.setFull(true)
    work.send('a', 'b', 40, { bytes: 20_000 })
    run(30 * second)
    ok(b.inbox.numbers.size < 45, 'Not all of them fit.')
    b.disk.setFull(false)
  })
})

test('the disk of the sender is full while it has rows', (t) => {
  play(t, ({ work, a, run }) => {
    work.send('a', 'b', 40, { bytes: 20_000 })
    a.disk.setFull(true)
    run(30 * second)
    a.disk.setFull(false)
  })
})

test('statements of both stores fail in the middle of their turns', (t) => {
  const { counts } = amid(t, ({ faults, a, b }) => {
    for (const machine of [a, b]) faults.failStatements(machine, 0.5)
  })
  for (const code of ['SQLITE_FULL', 'SQLITE_NOMEM']) {
    ok((counts.get(`statement fails with ${code}`) ?? 0) > 0, code)
  }
})

test('a disk takes seconds for a sync', (t) => {
  amid(t, ({ b }) => {
    b.isDiskSlow = true
  })
})

test('another program holds the lock for seconds', (t) => {
  amid(t, ({ faults, a, b }) => {
    faults.inject('lockHeld', a)
    faults.inject('lockHeld', b)
  })
})

test('another program reads for long, and the log grows', (t) => {
  amid(t, ({ faults, a, b }) => {
    faults.inject('longRead', a)
    faults.inject('longRead', b)
  })
})

for (const days of [30, -30]) {
  test(`the wall clock is set by ${days} days`, (t) => {
    amid(t, ({ a, b }) => {
      a.clock.setWallOffset(days * dayMs)
      b.clock.setWallOffset(-days * dayMs)
    })
  })
}

test('a rejected row does not wait a month because the wall clock was a month ahead', (t) => {
  play(t, ({ work, faults, a, b, run }) => {
    faults.inject('refusal', b)
    a.clock.setWallOffset(30 * dayMs)
    work.send('a', 'b', 1, { token: refusedToken })
    run(5 * second)
    equal(a.disk.read('SELECT 1 FROM mqparked').length, 1)
    a.clock.setWallOffset(0)
  })
})

test('clocks run at different rates', (t) => {
  amid(t, ({ faults, a, b }) => {
    faults.inject('drift', a)
    faults.inject('drift', b)
  })
})

test('a process does not move for seconds', (t) => {
  amid(t, ({ faults, b }) => faults.inject('freeze', b))
})

test('a machine sleeps', (t) => void amid(t, ({ faults, a }) => faults.inject('sleep', a)))

test('only one direction works', (t) => {
  amid(t, ({ faults, a, b }) => {
    faults.inject('oneWay', a)
    faults.inject('oneWay', b)
  })
})

test('the network falls apart', (t) =>
  void amid(t, ({ faults, b }) => faults.inject('partition', b)))

test('long datagrams begin to vanish', (t) => {
  amid(t, ({ faults, work, a }) => {
    work.send('a', 'b', 1, { bytes: 200_000 })
    faults.inject('narrow', a)
  })
})

test('the address changes', (t) => {
  amid(t, ({ faults, a, b }) => {
    faults.inject('move', a)
    faults.inject('move', b)
  })
})

test('no name server answers', (t) => {
  amid(t, ({ faults, b }) => {
    faults.inject('nameServer')
    faults.inject('move', b)
  })
})

test('unauthenticated peers repeat, cut and bend what they hear', (t) => {
  const faults = { ...noFaults, unauthenticated: 1 }
  const { counts } = amid(
    t,
    (stage) => {
      stage.faults.inject('unauthenticated', stage.a)
      stage.faults.inject('unauthenticated', stage.b)
    },
    { faults },
  )
  equal(counts.get('unauthenticated'), 12)
})

test('rows are rejected for a while', (t) => {
  amid(t, ({ faults, work, b }) => {
    faults.inject('refusal', b)
    work.send('a', 'b', 2, { token: refusedToken })
  })
})

test('a rejected row that is inserted again while it is parked is tried when it is freed', (t) => {
  play(t, ({ work, a, b, run }) => {
    b.disk.user.exec(
      "CREATE TRIGGER picky BEFORE INSERT ON mqin BEGIN SELECT RAISE(ABORT, 'not now'); END",
    )
    b.onClientWrote()
    const [row] = work.send('a', 'b', 1, { token: refusedToken })
    ok(row !== undefined)
    // A store that writes all the time looks for more than one that rests.
    const runBusy = (us: number): void => {
      for (let left = us; left > 0; left -= 100_000) {
        work.send('a', 'c', 1)
        run(100_000)
      }
    }
    runBusy(3 * second)
    for (let round = 0; round < 4; round++) {
      equal(a.disk.read('SELECT 1 FROM mqparked').length, 1)
      work.insertAgain(a, row)
      runBusy(second)
      // The session ends, and there is nothing that may be sent.
      b.stop()
      run(second / 10)
      a.disk.user.exec('DELETE FROM mqparked')
      a.onClientWrote()
      runBusy(8 * second)
    }
  })
})

test('a write that no event announces is found by the poll', (t) => {
  play(t, ({ work, a, b, run }) => {
    a.isWatchDeaf = true
    run(10 * second)
    work.send('a', 'b', 1)
    run(3 * second)
    equal(b.inbox.numbers.size, 1)
  })
})

test('messages from nothing to megabytes', (t) => {
  play(t, ({ work, run }) => {
    for (const bytes of [0, 1, 1_161, 1_200, 65_535, 262_144, 1_048_577, 3_000_000]) {
      work.send('a', 'b', 1, { bytes })
      work.send('b', 'a', 1, { bytes, isText: false })
    }
    run(second)
  })
})

test('a bad path in every respect', (t) => {
  const link = {
    delayUs: 40_000,
    jitterUs: 20_000,
    loss: 0.3,
    burst: 0.01,
    burstUs: 300_000,
    duplication: 0.3,
    detour: 0.1,
    detourUs: 500_000,
    held: 0.1,
    heldUsMax: 2 * second,
    corruption: 0.05,
    bytesPerSecond: 100_000,
  }
  amid(t, () => {}, { link })
})

/** A packet with an OPEN is padded to 128 bytes; one with rows, or a size probe, is longer. */
const rowsDatagramBytesMin = 500

/**
 * A path that delays the answers to the first OPEN of `a` until `a` sends rows, in whatever
 * session, and that loses these rows. `b` answers the repeated OPEN, and that answer passes.
 */
class LateAnswer {
  readonly #held: InTransit[] = []
  readonly #world: SimWorld
  readonly #from: string
  #packets = 0
  released = 0

  constructor({ world, a }: Stage) {
    this.#world = world
    this.#from = a.host.address.ip
  }

  readonly part: WirePart = (datagram) => {
    if (decodePacket(datagram.bytes)?.type !== 'data') return [datagram]
    if (datagram.from.ip === this.#from) return this.#fromInitiator(datagram)
    if (this.#packets > 1) return [datagram]
    // The network reuses its bytes.
    this.#held.push({ ...datagram, bytes: Uint8Array.from(datagram.bytes) })
    return []
  }

  #fromInitiator(datagram: InTransit): readonly InTransit[] {
    this.#packets++
    if (datagram.bytes.length < rowsDatagramBytesMin) return [datagram]
    for (const { from, to, bytes } of this.#held.splice(0)) {
      this.released++
      this.#world.network.inject(from, to, bytes)
    }
    return []
  }
}

test('a CONFIRM of the stream before a restore comes late, and frees no row of the next', (t) => {
  play(t, (stage) => {
    const { world, work, faults, a, b, run } = stage
    const { network, networkConditions } = world
    work.send('a', 'b', 1)
    run(2 * second)
    faults.inject('backup', a)
    work.send('a', 'b', 10)
    run(2 * second)
    equal(b.inbox.numbers.size, 11)
    faults.inject('restore', a)
    const late = new LateAnswer(stage)
    network.setUsual([networkConditions.part, late.part])
    // More than the 11 that `b` has of the old stream.
    work.send('a', 'b', 20)
    a.start()
    while (late.released === 0) run(second / 100)
    run(second / 10)
    equal(a.outbox.waiting.size, 20)
    a.die('kill')
    network.setUsual([networkConditions.part])
    run(5 * second)
    equal(b.inbox.numbers.size, 31)
  })
})

test('a start after the last row wakes its peers, and that counts as rest', (t) => {
  const seeds = new Seeds()
  t.after(() => seeds[Symbol.dispose]())
  equal(seeds.run(12_000_248).failure, undefined)
})

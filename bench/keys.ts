/**
 * What keys cost: a drain under a key against one without, and against a build whose packets are
 * not protected at all; the processor's time for a message, a packet and a handshake.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { nodeEnvironment } from '../daemon/node-crypto.ts'
import type { Environment } from '../daemon/protocol/crypto/provider.ts'
import { InitiatorHandshake, respond, type Key } from '../daemon/protocol/crypto/handshake.ts'
import { decodePacket, toConnectionId } from '../daemon/protocol/codec/packet.ts'
import type { SessionKeys } from '../daemon/protocol/crypto/packet-protection.ts'
import { DaemonProcess } from '../test/support/daemon-process.ts'
import { newKey, writeRing } from '../test/support/key-ring.ts'
import type { Room } from './benchmark.ts'
import type { Drainer } from './daemon-pair.ts'
import { drain } from './drain.ts'
import { type Goal, measured, type Measure } from './measure.ts'
import { unprotectedEnvironment } from './unprotected-daemon.ts'

type Kind = 'keys' | 'keyless' | 'unprotected'
type Drain = { readonly rate: number; readonly cpuUs: number }

/** Of Linux, whatever the kernel's own ticks are. */
const ticksPerSecond = 100
const rowsMax = 100_000

export async function measureKeys({
  scratch,
  quick,
  repeats,
  rows: most,
}: Room): Promise<Measure[]> {
  const rows = Math.min(most, rowsMax)
  const runs: Record<Kind, Drain[]> = { keys: [], keyless: [], unprotected: [] }
  const kinds: readonly Kind[] = ['keys', 'keyless', 'unprotected']
  for (let repeat = 0; repeat < repeats; repeat++) {
    // Each kind is first as often as the others, as far as the repeats go.
    for (let turn = 0; turn < kinds.length; turn++) {
      const kind = kinds[(turn + repeat) % kinds.length] ?? 'keys'
      const directory = join(scratch, `keys-${repeat}-${kind}`)
      mkdirSync(directory)
      runs[kind].push(await drainOf(kind, directory, rows))
    }
  }
  const runsOfEach = quick ? 3 : 7
  return [...drainRows(runs, rows), ...packetRows(runsOfEach), handshakeRow(runsOfEach)]
}

async function drainOf(kind: Kind, directory: string, rows: number): Promise<Drain> {
  const ring = writeRing(join(directory, 'ring'), newKey('bench'))
  const pids: number[] = []
  const launch = (port: number, database: string): Drainer => {
    const drainer =
      kind === 'unprotected'
        ? unprotected(port, database)
        : new DaemonProcess({ port, database, args: kind === 'keys' ? ['--keys', ring] : [] })
    pids.push(drainer.pid)
    return drainer
  }
  const cpu = (): number => pids.reduce((sum, pid) => sum + cpuUsOf(pid), 0)
  let [beforeUs, afterUs] = [0, 0]
  const rate = await drain(directory, rows, {
    launch,
    onBegin: () => void (beforeUs = cpu()),
    onEnd: () => void (afterUs = cpu()),
  })
  return { rate, cpuUs: (afterUs - beforeUs) / rows }
}

function unprotected(port: number, database: string): Drainer {
  const program = join(import.meta.dirname, 'unprotected-daemon.ts')
  const child = spawn(process.execPath, [program, String(port), database], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said = once(createInterface(child.stdout), 'line')
  return {
    pid: child.pid ?? 0,
    started: async () => void (await said),
    stop: async () => {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      return ended
    },
  }
}

/** In user and kernel mode so far, all threads. */
function cpuUsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e6
}

function drainRows(runs: Record<Kind, readonly Drain[]>, rows: number): Measure[] {
  const against = (what: string, other: Kind, of: keyof Drain, goal?: Goal): Measure =>
    measured(
      {
        what,
        unit: of === 'rate' ? 'rows/s' : 'µs',
        figures: runs.keys.map((run) => run[of]),
        ...(goal && { goal }),
      },
      {
        what: other === 'keyless' ? 'without a key' : 'unprotected',
        figures: runs[other].map((run) => run[of]),
      },
    )
  const drained = `drain of ${rows.toLocaleString('en-GB')} rows under a key`
  const cpu = 'CPU of both daemons for a message, under a key'
  return [
    against(drained, 'keyless', 'rate', { type: 'at least', of: 'ratio', value: 0.97 }),
    against(drained, 'unprotected', 'rate', { type: 'at least', of: 'ratio', value: 0.75 }),
    against(cpu, 'keyless', 'cpuUs'),
    against(cpu, 'unprotected', 'cpuUs'),
  ]
}

// ---- in this process

const key: Key = { name: 'bench', secret: Uint8Array.from({ length: 32 }, (_, index) => index) }
const packetsPerRun = 20_000
const handshakesPerRun = 500

/** Microseconds of each run; the first, which warms up, does not count. */
function timesUs(runs: number, count: number, work: () => void): number[] {
  return Array.from({ length: runs + 1 }, () => {
    const beganMs = performance.now()
    for (let index = 0; index < count; index++) work()
    return ((performance.now() - beganMs) * 1_000) / count
  }).slice(1)
}

function shakeHands(environment: Environment): readonly [SessionKeys, SessionKeys] {
  const scid = toConnectionId(environment.randomBytes(8))
  const handshake = new InitiatorHandshake(environment, scid, key)
  const hello1 = decodePacket(handshake.hello1())
  if (hello1?.type !== 'hello1') throw new Error('A HELLO1 is one.')
  const answer = respond(environment, hello1, toConnectionId(environment.randomBytes(8)), key)
  const hello2 = answer && decodePacket(answer.hello2)
  const keys = hello2?.type === 'hello2' ? handshake.finish(hello2) : undefined
  if (answer === undefined || keys === undefined) throw new Error('The handshake succeeds.')
  return [keys, answer.keys]
}

function packetUs(environment: Environment, bytes: number, runs: number): number[] {
  const frames = new Uint8Array(bytes)
  const [sender, receiver] = shakeHands(environment)
  return timesUs(runs, packetsPerRun, () => {
    const packet = decodePacket(sender.seal(frames))
    if (packet?.type !== 'data' || receiver.open(packet) === undefined) throw new Error('It opens.')
  })
}

function packetRows(runs: number): Measure[] {
  return [1_200, 16_384].map((bytes) =>
    measured(
      {
        what: `CPU for a packet of ${bytes.toLocaleString('en-GB')} bytes, sealed and opened`,
        unit: 'µs',
        figures: packetUs(nodeEnvironment(), bytes, runs),
      },
      { what: 'unprotected', figures: packetUs(unprotectedEnvironment(), bytes, runs) },
    ),
  )
}

function handshakeRow(runs: number): Measure {
  const environment = nodeEnvironment()
  const both = timesUs(runs, handshakesPerRun, () => void shakeHands(environment))
  const agreement = timesUs(runs, handshakesPerRun, () => {
    const [one, other] = [environment.generateKeyPair(), environment.generateKeyPair()]
    if (one.agree(other.publicKey) === undefined) throw new Error('They agree.')
  })
  const toMs = (times: readonly number[]): number[] => times.map((us) => us / 1_000)
  return measured(
    { what: 'CPU for a handshake, both sides', unit: 'ms', figures: toMs(both) },
    { what: 'two key pairs and one agreement', figures: toMs(agreement) },
  )
}

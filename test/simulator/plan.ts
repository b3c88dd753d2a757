/**
 * What one seed is like ("swarm testing": most kinds of trouble are missing from most seeds, so
 * that the few that are there can go far). Must draw everything before the run begins, so that a
 * plan can be printed with its seed, and written by hand for a named scenario.
 */
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'

export type LinkPlan = {
  readonly delayUs: number
  readonly jitterUs: number
  readonly loss: number
  /** Part of the datagrams that begin a burst of losses, and how long it lasts on average. */
  readonly burst: number
  readonly burstUs: number
  readonly duplication: number
  /** Part of the datagrams that take a way of `detourUs` more. */
  readonly detour: number
  readonly detourUs: number
  /** Part of the datagrams that are held back for up to `heldUsMax`, while others pass. */
  readonly held: number
  readonly heldUsMax: number
  readonly corruption: number
  /** 0: no limit. */
  readonly bytesPerSecond: number
}

/** Expected number of times in one run. */
export type FaultPlan = {
  readonly kill: number
  readonly powerCut: number
  readonly stop: number
  readonly freeze: number
  readonly sleep: number
  readonly backup: number
  readonly restore: number
  readonly clone: number
  readonly remove: number
  readonly diskFull: number
  readonly slowDisk: number
  readonly lockHeld: number
  readonly longRead: number
  readonly clockJump: number
  readonly drift: number
  readonly oneWay: number
  readonly partition: number
  readonly narrow: number
  readonly move: number
  readonly nameServer: number
  readonly refusal: number
  readonly unauthenticated: number
}

/** Of machines whose stores have statements that fail. */
type StatementFaultPlan = {
  /** Expected number of times in one run that they begin to fail, on one machine for a while. */
  readonly windows: number
  /** Part of the transactions that fail meanwhile. */
  readonly part: number
}

type WorkPlan = {
  /** Rows of all applications together, and bytes of them. */
  readonly rows: number
  readonly bytesMax: number
  readonly rowBytesMax: number
  readonly batchMax: number
  /** Parts of all actions. */
  readonly cancel: number
  readonly reroute: number
  readonly idByHand: number
  readonly again: number
  readonly rollback: number
  readonly consume: number
  /** Somebody tries the parked rows again. */
  readonly retry: number
}

export type Plan = {
  readonly seed: number
  readonly machines: number
  /** Of trouble; then there is peace. */
  readonly durationUs: number
  /** In peace, before each way is used once more: idle sessions are closed after a minute. */
  readonly pauseUs: number
  readonly link: LinkPlan
  readonly faults: FaultPlan
  readonly statementFaults: StatementFaultPlan
  /** How often a machine falls back to a state of moments ago, with rows that wait to be sent. */
  readonly relapses: number
  readonly work: WorkPlan
  readonly commitUs: number
  readonly clientSync: 'normal' | 'full'
  readonly checkpointPages: number
  /** Chance to die at each output, and inside each commit. */
  readonly deathPerOutput: number
  readonly deathPerCommit: number
  /** Of deaths, how many are power cuts. */
  readonly powerCutPart: number
  /** Every machine has a key for each token. */
  readonly hasKeys: boolean
}

export const noFaults: FaultPlan = {
  kill: 0,
  powerCut: 0,
  stop: 0,
  freeze: 0,
  sleep: 0,
  backup: 0,
  restore: 0,
  clone: 0,
  remove: 0,
  diskFull: 0,
  slowDisk: 0,
  lockHeld: 0,
  longRead: 0,
  clockJump: 0,
  drift: 0,
  oneWay: 0,
  partition: 0,
  narrow: 0,
  move: 0,
  nameServer: 0,
  refusal: 0,
  unauthenticated: 0,
}

export const cleanLink: LinkPlan = {
  delayUs: 5_000,
  jitterUs: 0,
  loss: 0,
  burst: 0,
  burstUs: 0,
  duplication: 0,
  detour: 0,
  detourUs: 0,
  held: 0,
  heldUsMax: 0,
  corruption: 0,
  bytesPerSecond: 0,
}

const second = 1_000_000

export function planOf(seed: number): Plan {
  const random = new SeededRandom(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995)
  const drawn = {
    seed,
    machines: 2 + random.below(3),
    durationUs: random.one([3, 8, 20, 45]) * second,
    pauseUs: random.one([0, Math.floor((58 + 3 * random.next()) * second), 120 * second]),
    link: drawLink(random),
    faults: drawFaults(random),
    work: drawWork(random),
    commitUs: random.one([200, 1_000, 3_000, 15_000, 60_000]),
    clientSync: random.chance(0.7) ? 'normal' : 'full',
    checkpointPages: random.one([10, 100, 300, 1_000]),
    deathPerOutput: random.chance(0.3) ? 0.0002 : 0,
    deathPerCommit: random.chance(0.3) ? 0.01 : 0,
    powerCutPart: random.chance(0.5) ? 0.7 : 0.2,
    hasKeys: random.chance(0.35),
  } as const
  // By themselves, so that they change no other seed.
  const relapse = drawRelapse(new SeededRandom(Math.imul(seed, 0x85ebca6b) ^ 0x27d4eb2f), drawn)
  const link = { ...drawn.link, held: relapse.held, heldUsMax: relapse.heldUsMax }
  const statementFaults = drawStatementFaults(
    new SeededRandom(Math.imul(seed, 0xc2b2ae35) ^ 0x165667b1),
  )
  return { ...drawn, link, relapses: relapse.relapses, statementFaults }
}

function drawLink(random: SeededRandom): Omit<LinkPlan, 'held' | 'heldUsMax'> {
  const some = (part: number, most: number): number =>
    random.chance(part) ? most * random.next() ** 2 : 0
  return {
    delayUs: random.one([50, 1_000, 10_000, 60_000, 300_000]),
    jitterUs: Math.floor(some(0.5, 30_000)),
    loss: some(0.6, 0.4),
    burst: some(0.3, 0.02),
    burstUs: random.one([5_000, 100_000, 1_000_000]),
    duplication: some(0.4, 0.5),
    detour: some(0.3, 0.2),
    detourUs: random.one([20_000, 200_000, 2_000_000]),
    corruption: some(0.3, 0.1),
    bytesPerSecond: random.chance(0.25) ? random.one([20_000, 100_000, 1_000_000]) : 0,
  }
}

/** Sessions that open again and again, on a path where answers come when nobody expects them. */
function drawRelapse(
  random: SeededRandom,
  { link, commitUs }: { readonly link: Pick<LinkPlan, 'delayUs'>; readonly commitUs: number },
): { readonly held: number; readonly heldUsMax: number; readonly relapses: number } {
  const isRelapsing = random.chance(0.25)
  const isHeld = random.chance(isRelapsing ? 0.7 : 0.1)
  // In round trips to a disk: what comes within one is early, what comes after many means little.
  const heldUsMax = random.one([6, 16]) * (2 * link.delayUs + commitUs)
  return {
    held: isHeld ? 0.1 + 0.3 * random.next() : 0,
    heldUsMax,
    relapses: isRelapsing ? 2 + 10 * random.next() : 0,
  }
}

function drawStatementFaults(random: SeededRandom): StatementFaultPlan {
  const windows = random.chance(0.4) ? 3 + 12 * random.next() : 0
  return { windows, part: random.one([0.1, 0.3, 0.6]) }
}

function drawFaults(random: SeededRandom): FaultPlan {
  const some = (part: number, most: number): number =>
    random.chance(part) ? most * random.next() : 0
  // Half of the seeds keep their files: there the strictest rules hold.
  const files = random.chance(0.4)
  const file = (part: number, most: number): number => (files ? some(part, most) : 0)
  return {
    kill: some(0.4, 5),
    powerCut: some(0.4, 4),
    stop: some(0.2, 3),
    freeze: some(0.25, 3),
    sleep: some(0.15, 2),
    backup: file(0.9, 4),
    restore: file(0.7, 3),
    clone: file(0.25, 1.5),
    remove: file(0.25, 1.5),
    diskFull: some(0.2, 2),
    slowDisk: some(0.2, 2),
    lockHeld: some(0.3, 6),
    longRead: some(0.2, 3),
    clockJump: some(0.2, 3),
    drift: some(0.2, 3),
    oneWay: some(0.25, 3),
    partition: some(0.3, 4),
    narrow: some(0.2, 2),
    move: some(0.25, 3),
    nameServer: some(0.15, 2),
    refusal: some(0.2, 2),
    unauthenticated: some(0.15, 10),
  }
}

function drawWork(random: SeededRandom): WorkPlan {
  const some = (part: number, most: number): number =>
    random.chance(part) ? most * random.next() : 0
  return {
    rows: random.one([10, 30, 80, 250]),
    bytesMax: random.one([20_000, 200_000, 1_500_000]),
    rowBytesMax: random.one([50, 2_000, 40_000, 400_000, 1_400_000]),
    batchMax: random.one([1, 4, 40]),
    cancel: some(0.5, 0.2),
    reroute: some(0.4, 0.2),
    idByHand: some(0.25, 0.1),
    again: some(0.15, 0.05),
    rollback: some(0.3, 0.1),
    consume: some(0.6, 0.3),
    retry: some(0.4, 0.1),
  }
}

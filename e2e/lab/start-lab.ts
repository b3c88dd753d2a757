/**
 * Puts up a lab: a network, and on it machines whose daemons run. All that it makes bears the lab's
 * label, also when it fails half-way, so that nothing can be left behind unseen.
 */

import { randomUUID } from 'node:crypto'
import Dockerode from 'dockerode'
import { TinymqError } from '../../sdk/schema/errors.ts'
import { Lab } from './lab.ts'
import { LabMachine } from './lab-machine.ts'
import { checkName, dockerName, labLabel, machineLabel, partLabel } from './lab-names.ts'
import { createLabNetwork } from './lab-network.ts'
import { removeLab } from './lab-removal.ts'
import { createNode, databasePath, machineUser, startNode } from './node-container.ts'

/** What a machine may differ in. */
export type MachineOptions = {
  /** Of its daemon; the lab's when left out. */
  readonly image?: string
  /** The size of its disk, which is memory then; as large as Docker's own when left out. */
  readonly diskMebibytes?: number
  /** For its daemon: `TINYMQ_MAX_RATE` and the like. */
  readonly environment?: Readonly<Record<string, string>>
}

/** What `startLab` takes; all of it may be left out. */
export type LabOptions = {
  /** Part of the names of all that is made; by chance when left out. */
  readonly name?: string
  /** MachineA, MachineB and MachineC when left out. */
  readonly machines?: readonly string[] | Readonly<Record<string, MachineOptions>>
  /** The image of the daemons: `tinymq:e2e` when left out. */
  readonly image?: string
  /** The image with tc, iptables and sqlite3: `tinymq-tools:e2e` when left out. */
  readonly toolsImage?: string
}

/** The images that `npm run e2e` builds. */
const defaultImages = { image: 'tinymq:e2e', toolsImage: 'tinymq-tools:e2e' }

const defaultMachines = ['MachineA', 'MachineB', 'MachineC']

/**
 * Makes a lab and resolves when every daemon runs. `await using` takes it down at the end.
 * @throws TinymqError TINYMQ_TEST_ENVIRONMENT when Docker, an image or a daemon is not as it must
 * be. What was made until then is removed.
 */
export async function startLab(options: LabOptions = {}): Promise<Lab> {
  const { name = randomUUID().slice(0, 8), machines = defaultMachines } = options
  const { image, toolsImage } = { ...defaultImages, ...options }
  checkName('lab', name)
  const docker = new Dockerode()
  const wanted = Array.isArray(machines)
    ? machines.map((machine: string) => [machine, {}] as const)
    : Object.entries(machines as Readonly<Record<string, MachineOptions>>)
  for (const [machine] of wanted) checkName('machine', machine)
  await databasePath(docker, toolsImage)
  await refuseSecond(docker, name)
  try {
    await createLabNetwork(docker, name)
    const made = wanted.map(async ([machine, its]) =>
      startMachine(docker, { name, machine, image, toolsImage, ...its }),
    )
    const settled = await Promise.allSettled(made)
    const failed = settled.find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
    return new Lab(docker, name, await Promise.all(made))
  } catch (error) {
    await removeLab(name, docker)
    throw error
  }
}

async function refuseSecond(docker: Dockerode, name: string): Promise<void> {
  const filters = { label: [`${labLabel}=${name}`] }
  if ((await docker.listNetworks({ filters })).length === 0) return
  const sentence = `there is a lab ${name} already: npm run lab -- down --name ${name} removes it`
  throw new TinymqError('TINYMQ_TEST_ENVIRONMENT', sentence)
}

type MachineSpec = MachineOptions & {
  readonly name: string
  readonly machine: string
  readonly image: string
  readonly toolsImage: string
}

async function startMachine(docker: Dockerode, options: MachineSpec): Promise<LabMachine> {
  const { name: lab, machine, image, environment = {} } = options
  const volume = dockerName(lab, machine)
  const database = await databasePath(docker, image)
  await createVolume(docker, options, volume)
  const wire = await docker.createContainer(wireOptions(options, volume, database.directory))
  await wire.start()
  const spec = { lab, machine, image, wire: wire.id, volume, database, environment }
  const node = await createNode(docker, spec)
  await startNode(node, machine)
  return new LabMachine(docker, dockerName(lab), spec)
}

async function createVolume(
  docker: Dockerode,
  { name: lab, diskMebibytes }: MachineSpec,
  volume: string,
): Promise<void> {
  const [uid, gid] = machineUser.split(':')
  const size = `size=${diskMebibytes}m,uid=${uid},gid=${gid}`
  const mount = { type: 'tmpfs', device: 'tmpfs', o: size }
  await docker.createVolume({
    Name: volume,
    Labels: { [labLabel]: lab },
    ...(diskMebibytes === undefined ? {} : { DriverOpts: mount }),
  })
}

function wireOptions(
  { name: lab, machine, toolsImage }: MachineSpec,
  volume: string,
  directory: string,
): Dockerode.ContainerCreateOptions {
  const network = dockerName(lab)
  return {
    name: dockerName(lab, machine, 'wire'),
    Image: toolsImage,
    User: '0:0',
    Hostname: machine,
    // A volume that is new belongs to root.
    Entrypoint: ['sh', '-c', `chown ${machineUser} ${directory} && exec sleep infinity`],
    Labels: { [labLabel]: lab, [machineLabel]: machine, [partLabel]: 'wire' },
    NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: [machine] } } },
    HostConfig: {
      NetworkMode: network,
      Init: true,
      CapAdd: ['NET_ADMIN'],
      // While it runs the volume stays mounted, which is all that keeps a disk of memory.
      Binds: [`${volume}:${directory}`],
    },
  }
}

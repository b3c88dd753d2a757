/**
 * A lab: machines with daemons on a network of their own in Docker, and the faults of that network.
 * What it is in stands in Docker and in the kernel alone, so that one program may put it up and
 * another go on with it.
 */

import Dockerode from 'dockerode'
import { TinymqError } from '../../sdk/schema/errors.ts'
import { LabMachine } from './lab-machine.ts'
import { dockerName, fullMachineName, labLabel, machineLabel, partLabel } from './lab-names.ts'
import { freeAddress } from './lab-network.ts'
import { removeLab } from './lab-removal.ts'
import type { LinkConditions } from '../../sdk/testing/link.ts'
import { databasePath, type NodeSpec } from './node-container.ts'
import type { LinkState } from './wire.ts'

/** Machines and the network between them. Made by `startLab` or `attachLab`. */
export class Lab implements AsyncDisposable {
  readonly name: string
  readonly machines: readonly LabMachine[]
  readonly #docker: Dockerode

  /** @internal */
  constructor(docker: Dockerode, name: string, machines: readonly LabMachine[]) {
    this.#docker = docker
    this.name = name
    this.machines = machines
  }

  /**
   * A machine by its name, of which `A` is short for `MachineA`.
   * @throws TinymqError TINYMQ_INVALID_ARGUMENT when there is none.
   */
  machine(name: string): LabMachine {
    const full = fullMachineName(name)
    const found = this.machines.find((machine) => machine.name === full)
    if (found !== undefined) return found
    const names = this.machines.map((machine) => machine.name).join(', ')
    throw new TinymqError(
      'TINYMQ_INVALID_ARGUMENT',
      `there is no ${full} in the lab ${this.name}: there are ${names}`,
    )
  }

  /**
   * Makes what a machine sends suffer this, instead of what it suffered before; `{}` ends it.
   * @throws TinymqError TINYMQ_TEST_ENVIRONMENT when the kernel does not do it.
   */
  async link(machine: string, conditions: LinkConditions): Promise<LinkState> {
    return this.machine(machine).wire.setLink(conditions)
  }

  /** The same for every machine. */
  async linkAll(conditions: LinkConditions): Promise<LinkState[]> {
    return Promise.all(this.machines.map(async ({ wire }) => wire.setLink(conditions)))
  }

  /** Nothing gets from either of the two to the other, silently, until `heal`. */
  async partition(one: string, other: string): Promise<void> {
    const [a, b] = [this.machine(one), this.machine(other)]
    const [addressA, addressB] = await Promise.all([a.address(), b.address()])
    await Promise.all([a.wire.refuse(addressB), b.wire.refuse(addressA)])
  }

  /** Ends all partitions, takes up all links and makes them clean. */
  async heal(): Promise<void> {
    await Promise.all(this.machines.map(async ({ wire }) => wire.heal()))
  }

  /** Takes a machine's interface down: its daemon sees its sends fail. */
  async linkDown(machine: string): Promise<LinkState> {
    return this.machine(machine).wire.down()
  }

  /** Takes it up again. */
  async linkUp(machine: string): Promise<LinkState> {
    return this.machine(machine).wire.up()
  }

  /**
   * Gives a machine another address, whether its daemon runs or not; its name, its link's
   * conditions and its partitions stay. Returns the address.
   * @param address in the lab's subnet; one that is free when left out.
   */
  async move(name: string, address?: string): Promise<string> {
    const machine = this.machine(name)
    const before = await machine.address()
    const after = address ?? (await freeAddress(this.#docker, this.name))
    await machine.move(after)
    const others = this.machines.filter((other) => other !== machine)
    await Promise.all(others.map(async ({ wire }) => wire.refuseInstead(before, after)))
    return after
  }

  /** Removes all of it. */
  async remove(): Promise<void> {
    await removeLab(this.name, this.#docker)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove()
  }
}

/**
 * A lab that another program has put up.
 * @throws TinymqError TINYMQ_TEST_ENVIRONMENT when there is none of this name.
 */
export async function attachLab(name: string): Promise<Lab> {
  const docker = new Dockerode()
  const filters = { label: [`${labLabel}=${name}`, `${partLabel}=wire`] }
  const wires = await docker.listContainers({ all: true, filters })
  if (wires.length === 0) {
    throw new TinymqError(
      'TINYMQ_TEST_ENVIRONMENT',
      `there is no lab ${name}: npm run lab -- up makes it`,
    )
  }
  const names = wires.map(({ Labels: labels }) => labels[machineLabel] ?? '').toSorted()
  const specs = await Promise.all(names.map(async (machine) => specOf(docker, name, machine)))
  const machines = specs.map((spec) => new LabMachine(docker, dockerName(name), spec))
  return new Lab(docker, name, machines)
}

/** What the machine's daemon was made of, as Docker shows it. */
async function specOf(docker: Dockerode, lab: string, machine: string): Promise<NodeSpec> {
  const node = await docker.getContainer(dockerName(lab, machine)).inspect()
  const wire = await docker.getContainer(dockerName(lab, machine, 'wire')).inspect()
  const { Image: image, Env: variables } = node.Config
  const environment = Object.fromEntries(
    variables
      .filter((entry) => entry.startsWith('TINYMQ_'))
      .map((entry): [string, string] => {
        const at = entry.indexOf('=')
        return [entry.slice(0, at), entry.slice(at + 1)]
      }),
  )
  const database = await databasePath(docker, image)
  return {
    lab,
    machine,
    image,
    wire: wire.Id,
    volume: dockerName(lab, machine),
    database,
    environment,
  }
}

/**
 * The network of a lab: a bridge with a subnet that Docker has found free, and that is ours, so
 * that a machine can be given a certain address. Must never guess a subnet.
 */

import type Dockerode from 'dockerode'
import { TinymqError } from '../../sdk/schema/errors.ts'
import { dockerName, labLabel } from './lab-names.ts'

/** Makes the network. Docker lets addresses be chosen only in a subnet that was asked for. */
export async function createLabNetwork(docker: Dockerode, lab: string): Promise<void> {
  const options = {
    Name: dockerName(lab),
    Driver: 'bridge',
    CheckDuplicate: true,
    Labels: { [labLabel]: lab },
  }
  const probe = await docker.createNetwork(options)
  const subnet = await subnetOf(probe)
  await probe.remove()
  await docker.createNetwork({
    ...options,
    IPAM: { Driver: 'default', Config: [{ Subnet: subnet }] },
  })
}

async function subnetOf(network: Dockerode.Network): Promise<string> {
  const { IPAM: ipam } = await network.inspect()
  const subnet = ipam?.Config?.find(({ Subnet: found }) => found?.includes('.') === true)?.Subnet
  if (subnet !== undefined) return subnet
  throw new TinymqError('TINYMQ_TEST_ENVIRONMENT', 'Docker made a network without an IPv4 subnet')
}

// Docker hands addresses out from the beginning.
const chosenFirst = 100
const chosenLast = 250

/** An address that no machine of the lab has, and that none has had as it started. */
export async function freeAddress(docker: Dockerode, lab: string): Promise<string> {
  const network = docker.getNetwork(dockerName(lab))
  const { Containers: containers } = await network.inspect()
  const taken = Object.values(containers ?? {}).map(({ IPv4Address: at }) => at.split('/')[0])
  const prefix = (await subnetOf(network)).split('.').slice(0, 3).join('.')
  for (let last = chosenFirst; last <= chosenLast; last++) {
    const address = `${prefix}.${last}`
    if (!taken.includes(address)) return address
  }
  throw new TinymqError('TINYMQ_TEST_ENVIRONMENT', `no address is free in ${prefix}.0`)
}

/**
 * Takes labs down, by their label: also those whose program has died. Must never remove what does
 * not bear it.
 */

import Dockerode from 'dockerode'
import { labLabel } from './lab-names.ts'

/** The names of the labs that there are, or of which something is left. */
export async function listLabs(docker: Dockerode = new Dockerode()): Promise<string[]> {
  const filters = { label: [labLabel] }
  const [containers, networks] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listNetworks({ filters }),
  ])
  const { Volumes: volumes } = await docker.listVolumes({ filters })
  const names = [...containers, ...networks, ...volumes].map((it) => it.Labels?.[labLabel] ?? '')
  return [...new Set(names)].toSorted()
}

/** Removes all that there is of this lab. */
export async function removeLab(name: string, docker: Dockerode = new Dockerode()): Promise<void> {
  const filters = { label: [`${labLabel}=${name}`] }
  const containers = await docker.listContainers({ all: true, filters })
  await Promise.all(
    containers.map(async ({ Id: id }) =>
      unlessGone(docker.getContainer(id).remove({ force: true }), [404, 409]),
    ),
  )
  const networks = await docker.listNetworks({ filters })
  await Promise.all(networks.map(async ({ Id: id }) => unlessGone(docker.getNetwork(id).remove())))
  const { Volumes: volumes } = await docker.listVolumes({ filters })
  await Promise.all(
    volumes.map(async ({ Name: volume }) => unlessGone(docker.getVolume(volume).remove())),
  )
}

/** Somebody else may have removed the same, or be at it: a container says 409 then. */
async function unlessGone(removal: Promise<unknown>, codes = [404]): Promise<void> {
  try {
    await removal
  } catch (error) {
    const { statusCode } = error as { statusCode?: number }
    if (statusCode === undefined || !codes.includes(statusCode)) throw error
  }
}

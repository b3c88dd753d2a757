/**
 * The hardened container in which a machine's daemon runs: read-only, without a capability, as a
 * user who is nobody, in the network namespace of the machine's wire. Must never be given more than
 * an operator would give it.
 */

import { createInterface } from 'node:readline'
import type Dockerode from 'dockerode'
import { TinymqError } from '../../sdk/schema/errors.ts'
import { demultiplexed } from './docker-command.ts'
import { dockerName, labLabel, machineLabel, partLabel } from './lab-names.ts'

/** Whom the programs of a machine run as: uid and gid. */
export const machineUser = '1000:1000'

/** Where the file of the database is, as the image has it. */
type DatabasePath = { readonly directory: string; readonly path: string }

const defaultPath = '/data/tinymqdb'

/** Where a daemon in this image keeps its database: its TINYMQ_DATABASE. */
export async function databasePath(docker: Dockerode, image: string): Promise<DatabasePath> {
  const { Config: config } = await inspectImage(docker, image)
  const variable = 'TINYMQ_DATABASE='
  const set = config.Env?.find((entry) => entry.startsWith(variable))
  const path = set?.slice(variable.length) ?? defaultPath
  return { path, directory: path.slice(0, path.lastIndexOf('/')) }
}

/** @throws TinymqError TINYMQ_TEST_ENVIRONMENT when there is no such image. */
async function inspectImage(docker: Dockerode, image: string): Promise<Dockerode.ImageInspectInfo> {
  try {
    return await docker.getImage(image).inspect()
  } catch (cause) {
    throw new TinymqError(
      'TINYMQ_TEST_ENVIRONMENT',
      `there is no image ${image} here, or no Docker engine answers: e2e/images builds ` +
        'what is missing, or name others in TINYMQ_E2E_IMAGE and TINYMQ_E2E_TOOLS',
      { cause },
    )
  }
}

/** What a container of a machine is made of. */
export type NodeSpec = {
  readonly lab: string
  readonly machine: string
  readonly image: string
  /** The container whose network namespace it joins; none for a program that needs no network. */
  readonly wire: string | undefined
  readonly volume: string
  readonly database: DatabasePath
  readonly environment: Readonly<Record<string, string>>
}

const temporaryMebibytes = 64

function hardened(spec: NodeSpec): Dockerode.HostConfig {
  return {
    NetworkMode: spec.wire === undefined ? 'none' : `container:${spec.wire}`,
    Binds: [`${spec.volume}:${spec.database.directory}`],
    ReadonlyRootfs: true,
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges'],
    Init: true,
    Tmpfs: { '/tmp': `size=${temporaryMebibytes}m,mode=1777` },
  }
}

/** The log says that a daemon runs, and a program every ten seconds slows a lab down. */
const noHealthCheck = { Test: ['NONE'] }

/** Makes the container of the daemon and does not start it. */
export async function createNode(docker: Dockerode, spec: NodeSpec): Promise<Dockerode.Container> {
  const variables = {
    ...spec.environment,
    TINYMQ_DATABASE: spec.database.path,
    TINYMQ_LOG_FORMAT: 'json',
  }
  return docker.createContainer({
    name: dockerName(spec.lab, spec.machine),
    Image: spec.image,
    User: machineUser,
    Env: Object.entries(variables).map(([name, value]) => `${name}=${value}`),
    Labels: labels(spec, 'node'),
    Healthcheck: noHealthCheck,
    HostConfig: hardened(spec),
  })
}

/** Makes a container for one program next to the daemon, on the same volume. */
export async function createApp(
  docker: Dockerode,
  spec: NodeSpec,
  command: readonly string[],
): Promise<Dockerode.Container> {
  const [program = '', ...words] = command
  return docker.createContainer({
    Image: spec.image,
    User: machineUser,
    Entrypoint: [program],
    Cmd: words,
    Env: Object.entries(spec.environment).map(([name, value]) => `${name}=${value}`),
    Labels: labels(spec, 'app'),
    Healthcheck: noHealthCheck,
    HostConfig: hardened(spec),
  })
}

const labels = ({ lab, machine }: NodeSpec, part: string): Record<string, string> => ({
  [labLabel]: lab,
  [machineLabel]: machine,
  [partLabel]: part,
})

const linesShown = 20

/**
 * Starts the container and resolves when the log of its daemon says that it runs.
 * @throws TinymqError TINYMQ_TEST_ENVIRONMENT with the end of its log when it ends before that.
 */
export async function startNode(container: Dockerode.Container, machine: string): Promise<void> {
  const stream = await container.attach({ stream: true, stdout: true, stderr: true })
  const [stdout, stderr] = demultiplexed(container, stream)
  stdout.resume()
  const lines: string[] = []
  await container.start()
  try {
    for await (const line of createInterface(stderr)) {
      if (eventOf(line) === 'started') return
      lines.push(line)
    }
  } finally {
    hangUp(stream)
  }
  const end = lines.slice(-linesShown).join('\n')
  throw new TinymqError(
    'TINYMQ_TEST_ENVIRONMENT',
    `the daemon of ${machine} ended as it started:\n${end}`,
  )
}

/** The connection over which Docker sends the output stays open as long as the container runs. */
function hangUp(stream: NodeJS.ReadWriteStream & { destroy?: () => void }): void {
  stream.on('error', () => {})
  stream.destroy?.()
}

function eventOf(line: string): unknown {
  try {
    return (JSON.parse(line) as { event?: unknown }).event
  } catch {
    return undefined
  }
}

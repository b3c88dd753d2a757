/**
 * Runs a command inside a running container and gives back what it printed. Must never decide what
 * a failure means: whoever asked knows.
 */

import { PassThrough, type Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type Dockerode from 'dockerode'

/** How a command in a container ended. */
export type CommandResult = {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** @param user uid and gid, `root` when left out. */
export async function runInContainer(
  container: Dockerode.Container,
  command: readonly string[],
  user = '0:0',
): Promise<CommandResult> {
  const exec = await container.exec({
    Cmd: [...command],
    User: user,
    AttachStdout: true,
    AttachStderr: true,
  })
  const stream = await exec.start({ hijack: true, stdin: false })
  const [stdout, stderr] = await texts(container, stream)
  const { ExitCode: exitCode } = await exec.inspect()
  return { exitCode: exitCode ?? -1, stdout, stderr }
}

/** Both texts of a multiplexed stream, once it has ended. */
async function texts(
  container: Dockerode.Container,
  stream: NodeJS.ReadableStream,
): Promise<[string, string]> {
  const [stdout, stderr] = demultiplexed(container, stream)
  return Promise.all([text(stdout), text(stderr)])
}

/** The two streams that Docker sends as one; both end with it. */
export function demultiplexed(
  container: Dockerode.Container,
  stream: NodeJS.ReadableStream,
): [Readable, Readable] {
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const modem = container.modem as {
    demuxStream(from: unknown, stdout: unknown, stderr: unknown): void
  }
  modem.demuxStream(stream, stdout, stderr)
  const end = (): void => {
    stdout.end()
    stderr.end()
  }
  stream.on('end', end)
  stream.on('close', end)
  stream.on('error', (error: Error) => {
    stdout.destroy(error)
    stderr.destroy(error)
  })
  return [stdout, stderr]
}

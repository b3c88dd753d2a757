/**
 * Where stories run: on this machine's kernel, or in guests whose kernel has netem. Must never take
 * a kernel's word for it: netem is set on a device and read back.
 */

import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask, run } from './command.ts'

/** Where netem is, and in how many guests if not here. */
export type StoryKernel =
  | { readonly type: 'native' }
  | { readonly type: 'guests'; readonly count: number }

/** The images that e2e/images builds, by the variables that name other tags. */
const images = {
  TINYMQ_E2E_IMAGE: 'tinymq:e2e',
  TINYMQ_E2E_NEXT: 'tinymq:e2e-next',
  TINYMQ_E2E_TOOLS: 'tinymq-tools:e2e',
}

type ImageVariable = keyof typeof images

const imageOf = (variable: ImageVariable): string => process.env[variable] ?? images[variable]

const imageVariables = Object.keys(images) as readonly ImageVariable[]

/** What stories are given, those in a guest too, which does not inherit the environment. */
const environment = (): Record<string, string> => ({
  NODE: process.execPath,
  ...Object.fromEntries(imageVariables.map((variable) => [variable, imageOf(variable)])),
})

const folder = import.meta.dirname
const guestMemory = '4G'

const probe = 'tc qdisc add dev lo root netem loss 1% delay 1ms && tc qdisc show dev lo'

/** Whether a container on this machine's kernel can have netem. */
export async function hasNetem(): Promise<boolean> {
  const rights = ['--network', 'none', '--user', '0:0', '--cap-add', 'NET_ADMIN']
  const shell = ['--entrypoint', 'sh', imageOf('TINYMQ_E2E_TOOLS'), '-c', probe]
  const { status, output } = await ask('docker', 'run', '--rm', ...rights, ...shell)
  return status === 0 && output.includes('netem') && output.includes('loss 1%')
}

/** Runs the stories, all within `seconds`, and shows whether all went well. */
export async function runStories(
  place: StoryKernel,
  stories: readonly string[],
  results: string,
  seconds: number,
): Promise<boolean> {
  if (stories.length === 0) return true
  return place.type === 'native'
    ? runHere(stories, results, seconds)
    : runInGuests(Math.min(place.count, stories.length), stories, results, seconds)
}

async function runHere(
  stories: readonly string[],
  results: string,
  seconds: number,
): Promise<boolean> {
  const command = [join(folder, 'scenarios'), results, 'here', ...stories]
  const status = await run('timeout', ['--kill-after=10', String(seconds), ...command], {
    environment: environment(),
  })
  if (status === 124) console.error(`e2e: the stories were stopped after ${seconds} s`)
  return status === 0
}

async function runInGuests(
  count: number,
  stories: readonly string[],
  results: string,
  seconds: number,
): Promise<boolean> {
  const started = performance.now()
  const disk = join(results, 'docker.ext4')
  if ((await run(join(folder, 'engine'), ['disk', disk, ...imageVariables.map(imageOf)])) !== 0)
    return false
  const left = Math.ceil(seconds - (performance.now() - started) / 1_000)
  const guests = Array.from({ length: count }, async (_, index) =>
    runInGuest(index + 1, stories, { results, disk, seconds: left }),
  )
  const statuses = await Promise.all(guests)
  return statuses.every((status) => status === 0)
}

type GuestOptions = { readonly results: string; readonly disk: string; readonly seconds: number }

/** The first guest speaks to the terminal, the others in turn when they are through. */
async function runInGuest(
  number: number,
  stories: readonly string[],
  { results, disk, seconds }: GuestOptions,
): Promise<number> {
  const inside = '"$0/engine" start && exec "$0/scenarios" "$@"'
  const variables = Object.entries(environment()).map(([name, value]) => `${name}=${value}`)
  const command = ['env', ...variables, 'bash', '-c', inside, folder]
  const limits = ['-m', guestMemory, '-t', String(seconds), '-d', results, '-i', disk]
  const words = [...limits, '--', ...command, results, `guest-${number}`, ...stories]
  const guest = join(folder, 'vm')
  if (number === 1) return run(guest, words)
  const transcript = join(results, `guest-${number}.log`)
  const file = openSync(transcript, 'w')
  const status = await run(guest, words, { stdio: ['ignore', file, file] })
  closeSync(file)
  console.log(readFileSync(transcript, 'utf8'))
  return status
}

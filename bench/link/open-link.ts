/**
 * Which kind of link a benchmark gets: the kernel's netem where there is one, else our emulator.
 */
import type { Room } from '../benchmark.ts'
import { EmulatedLink, whyNoEmulator } from './emulator.ts'
import type { Link, LinkConditions } from './link.ts'
import { NetemLink, whyNoNetem } from './netem.ts'

/** @throws when this machine can have neither, or not the one that was asked for. */
export async function openLink(
  { scratch, over }: Pick<Room, 'scratch' | 'over'>,
  conditions: LinkConditions,
): Promise<Link> {
  const noNetem = over === 'emulator' ? 'it was not asked for' : whyNoNetem()
  if (noNetem === undefined) return NetemLink.open(conditions)
  if (over === 'netem') throw new Error(`There is no netem link here: ${noNetem}.`)
  const noEmulator = whyNoEmulator()
  if (noEmulator === undefined) return EmulatedLink.open(scratch, conditions)
  const whys = `netem: ${noNetem}; emulator: ${noEmulator}`
  throw new Error(`A narrow link cannot be had here (${whys}). Leave out link, or mend that.`)
}

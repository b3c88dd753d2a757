/**
 * Which kind of link a benchmark gets: the kernel's netem where there is one, else our emulator.
 */
import type { Room } from '../benchmark.ts'
import { EmulatedLink, whyNoEmulator } from './emulator.ts'
import type { Link, LinkConditions } from './link.ts'
import { NetemLink, whyNoNetem } from './netem.ts'

type Choice = { readonly kind: Link['kind'] } | { readonly whyNot: string }

function choose(over: Room['over']): Choice {
  const noNetem = over === 'emulator' ? 'it was not asked for' : whyNoNetem()
  if (noNetem === undefined) return { kind: 'netem' }
  if (over === 'netem') return { whyNot: `there is no netem: ${noNetem}` }
  const noEmulator = whyNoEmulator()
  if (noEmulator === undefined) return { kind: 'emulator' }
  return { whyNot: `there is no narrow link: netem: ${noNetem}; emulator: ${noEmulator}` }
}

/** Why there can be no link as it was asked for; undefined: there can be one. */
export function whyNoLink({ over }: Pick<Room, 'over'>): string | undefined {
  const choice = choose(over)
  return 'whyNot' in choice ? choice.whyNot : undefined
}

/** @throws when `whyNoLink` says so. */
export async function openLink(
  { scratch, over }: Pick<Room, 'scratch' | 'over'>,
  conditions: LinkConditions,
): Promise<Link> {
  const choice = choose(over)
  if ('whyNot' in choice) throw new Error(choice.whyNot)
  return choice.kind === 'netem'
    ? NetemLink.open(conditions)
    : EmulatedLink.open(scratch, conditions)
}

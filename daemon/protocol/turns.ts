/**
 * Whose turn it is to send: everyone who is due has some datagrams, and whoever has more to send
 * has another turn when all have had one. Must never let one bulk lane stand before the others
 * (P6), nor one tick last long.
 */
import type { InboundSession } from './inbound-session.ts'
import { Lane } from './lane.ts'
import { datagramsPerTick, datagramsPerTurn } from './limits.ts'
import type { Output } from './node-io.ts'

export type Sending = Lane | InboundSession

/** `settle` is told who has had its last turn. */
export function takeTurns<Owner>(
  due: readonly Owner[],
  sending: (owner: Owner) => Sending | undefined,
  nowUs: number,
  out: Output[],
  settle: (owner: Owner) => void,
): void {
  let round = due
  let budget = datagramsPerTick
  while (round.length > 0) {
    const again: Owner[] = []
    for (const owner of round) {
      const sent = send(sending(owner), Math.min(budget, datagramsPerTurn), nowUs, out)
      budget -= sent
      if (sent === datagramsPerTurn) again.push(owner)
      else settle(owner)
    }
    round = again
  }
}

/** How many datagrams have left. */
function send(
  owner: Sending | undefined,
  datagramsMax: number,
  nowUs: number,
  out: Output[],
): number {
  if (owner === undefined) return 0
  for (let sent = 0; sent < datagramsMax; sent++) {
    if (owner instanceof Lane) {
      const datagram = owner.nextDatagram(nowUs)
      if (datagram === undefined) return sent
      out.push({ type: 'send', ...datagram })
    } else {
      const bytes = owner.nextDatagram(nowUs)
      if (bytes === undefined) return sent
      out.push({ type: 'send', to: owner.peer, bytes })
    }
  }
  return datagramsMax
}

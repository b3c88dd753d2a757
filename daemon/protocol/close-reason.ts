/** What the sentences of PROTOCOL §9 say to people who read why a lane waits. */
import { closeCode } from './frame.ts'

/** Code and sentence for a lane that waits because its peer closed with this code. */
export function closeReason(
  code: number,
  reason: string,
): { readonly code: string; readonly reason: string } {
  switch (code) {
    case closeCode.superseded:
      return said(
        'TINYMQ_SUPERSEDED',
        'another copy of this database sends to the same peer',
        reason,
      )
    case closeCode.stopping:
      return said('TINYMQ_PEER_STOPPING', 'the peer is shutting down', reason)
    case closeCode.protocol:
      return said('TINYMQ_PROTOCOL', 'the peer says that a rule of the protocol was broken', reason)
    case closeCode.closed:
      return said('TINYMQ_INBOX_CLOSED', 'the peer takes nothing from this node', reason)
    case closeCode.busy:
      return said('TINYMQ_PEER_BUSY', 'the peer has too many sessions', reason)
    case closeCode.store:
      return said('TINYMQ_PEER_STORE', "the peer's database cannot take rows", reason)
    case closeCode.damaged:
      return said('TINYMQ_DAMAGED', 'a message did not arrive whole and is sent again', reason)
    default:
      return said('TINYMQ_PEER_CLOSED', `the peer closed the session (${code})`, reason)
  }
}

function said(code: string, sentence: string, reason: string): { code: string; reason: string } {
  return { code, reason: reason === '' ? sentence : `${sentence}: ${reason}` }
}

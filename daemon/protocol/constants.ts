/**
 * The fixed bounds and paces of a node, each with its reason. What an operator may choose is an
 * option, not a limit; the constants of recovery are in `recovery/constants.ts`.
 */

/** Protocol versions that are spoken, best first. */
export const protocolVersions: readonly number[] = [1]

/** DATA overhead: type, connection id, packet number, tag. */
export const dataOverheadBytes = 31

/**
 * PROTOCOL §5.8: a packet that asks for an ack is at least this long, so that its answer is not
 * longer.
 */
export const elicitingDatagramBytesMin = 128

/** What an Ethernet path carries under IPv6 with some room for tunnels: always worth a probe. */
export const datagramBytesEthernet = 1452
/**
 * Larger ones are tried where this many a second would still leave. Fewer, and a path of 20 Mbit/s
 * would carry its window in a dozen datagrams and lose 30 % of its goodput to 30 % loss; more, and
 * loopback stays at a third of its speed.
 */
export const largeDatagramsPerSecondMin = 2000
/**
 * The same within one host or building, where loss is a full buffer and not the path's. Fewer, and
 * four datagrams overflow a socket's buffer; more, and a slow store keeps them small, which makes
 * it slower: the work for a row in the network's thread doubles.
 */
export const largeDatagramsPerSecondMinNear = 100

/** P11: bytes that an address gets at most for each that came from it. */
export const answersPerByteMax = 3
/** More than this is not saved up. */
export const allowanceBytesMax = 65_536
/** The longest OPENED, CREDIT and CONFIRM in one packet. */
export const answerBytesMax = 144

// ---- handshake

/** More would let a flood hold memory; fewer would turn away a burst of honest peers. */
export const halfOpenMax = 64
/** Long enough for three round trips on a satellite link. */
export const halfOpenTimeoutUs = 5_000_000
/**
 * Above this many HELLO1 a second a cookie is asked for: a handshake costs half a millisecond of
 * one core.
 */
export const hellosPerSecondFree = 50
/**
 * HELLO1s with a valid cookie that one address gets answers to: a node with that many keys contacts
 * with all of them in one second, and costs 3 % of one core.
 */
export const hellosPerSecondProved = 50
/** Addresses for which these are counted, and what else is counted for each address. */
export const sourcesCountedMax = 256
/** A cookie secret lives this long, and as long again as the previous one. */
export const cookieSecretUs = 120_000_000
/** A line in the log for one of those who were left unanswered, so often at most. */
export const unauthenticatedLogPauseUs = 60_000_000
/** Addresses of peers that are known from before: so many are contacted at start. */
export const acquaintedMax = 256
/** UNKNOWN answers and WAKE hints that are looked at, for the whole node. */
export const hintsPerSecondMax = 100

/**
 * First pause between HELLO1 repeats, and how it grows. At 30 % loss and 100 ms the first row of a
 * fresh peer needs two HELLO1s on average, and each pause is added to it: with 0.5 s and 1.5 one in
 * ten rows took 4.1 s, and 1.9 s with these. Shorter: more of them to hosts that are dead.
 */
export const handshakeBackoffFirstUs = 250_000
export const handshakeBackoffGrowth = 1.25
/**
 * The pause grows to this while the outage is young: a peer that returns is found within two
 * seconds.
 */
export const handshakeBackoffYoungUs = 1_500_000
/**
 * Then to one fiftieth of the outage: nobody waits more than 2 % longer than the outage lasted …
 */
export const handshakeBackoffOutageShare = 50
/** … and never more than this (P12). */
export const handshakeBackoffMaxUs = 30_000_000
/**
 * Once in ten minutes nobody is contacted for so long: a firewall or NAT forgets a flow after 30 s
 * without a packet, and one that began before the peer was there may lead nowhere until then. Only
 * in outages of which this is no more than the share above.
 */
export const helloQuietUs = 31_000_000
export const helloQuietEveryUs = 600_000_000
export const helloQuietAfterUs = 1_650_000_000
/** Pauses are shortened by up to a fifth, so that many peers do not return in step. */
export const handshakeBackoffJitter = 0.2
/**
 * HELLO1s leave on such a grid: those to a thousand dead peers share fifty wake-ups a second, and
 * cost a third of what they did one by one. Larger: bursts. Smaller: a wake-up for each.
 */
export const helloGridUs = 20_000
/** A HELLO1 goes to at most this many addresses of a name at once, then to the next ones. */
export const addressesPerNameMax = 4
/** What a name server can make a lane remember. */
export const addressesKnownMax = 64
/** Handshakes of one lane that an answer may belong to: those of two rounds. */
export const pendingHellosMax = 2 * addressesPerNameMax
/** Where a session got no OPENED is contacted last: the other addresses answer within this time. */
export const unopenedUs = 10_000_000
/**
 * So long must no other address of a name have answered, before another database than the lane's
 * peer is taken for its successor (PROTOCOL §7.3). Shorter, and the rows of a machine that restarts
 * go to its neighbour; longer, and a replaced database waits behind an address that is dead.
 */
export const peerAbsentUs = 60_000_000
/** An ephemeral key is used for repeats this long. */
export const ephemeralUs = 60_000_000
/** Names are resolved again while unreachable, at most this often; the driver caches for less. */
export const resolveAgainUs = 5_000_000
/**
 * The second time so soon: the first answer may come from the driver's cache, which is two seconds
 * old at most, and the peer may have moved since.
 */
export const resolveSoonUs = 2_100_000
/** So long before a HELLO1 its name is looked up: what a name server takes. */
export const lookUpAheadUs = 200_000
/** A look-up that has not ended by then is asked for again. */
export const resolveTimeoutUs = 15_000_000
/** A lane takes at most one hint (UNKNOWN, WAKE, peer heard) in this time. */
export const hintPauseUs = 1_000_000
/** PROTOCOL §3.6: an UNKNOWN starts a handshake at most this often. */
export const unknownPauseUs = 5_000_000

// ---- sessions

export const inboundSessionsMax = 1024
/** An initiator with nothing to send closes after this; a NAT mapping lives 30 s to 2 min. */
export const idleCloseUs = 60_000_000
/** A responder forgets a session that has not sent OPEN by then, whatever else it sends. */
export const unopenedForgetUs = 10_000_000
/** A responder forgets a session that is silent for this long. */
export const silentForgetUs = 90_000_000
/** Probe timeouts without an answer before a handshake begins next to the session. */
export const silentProbesBeforeHello = 3
/**
 * A session that has been silent for this long is given up; the lane goes on with handshakes alone.
 */
export const silentGiveUpUs = 15_000_000
/** PROTOCOL §4.5. */
export const renewAfterPackets = 2 ** 24
export const renewAfterUs = 3_600_000_000
export const packetsMax = 2 ** 26
/** More than leave between two looks at how worn the keys are. */
export const packetsToEnd = 1024
/** So many times the packets of a renewal that did not come: there is room left up to the end. */
export const wornFactor = 3
export const failedOpensMax = 2 ** 32
/**
 * PROTOCOL §5.5: sessions in a row that end because the rules demand a new stream. One for each
 * rule that can follow another, and one to spare.
 */
export const streamRestartsMax = 6
/** The pause before a lane opens again after a close that names no time. */
export const reopenPauseUs = 200_000
/** After `superseded`: two copies of one database must not take turns quickly. */
export const supersededPauseUs = 5_000_000
/** A copy of our own database answers: the name may be corrected meanwhile. */
export const heldPauseUs = 30_000_000
/** So many sessions in a row without progress are trouble that people should read of. */
export const troubleSessions = 3
/** After a broken rule: one of the two programs is wrong, and haste fixes nothing. */
export const brokenPauseUs = 30_000_000
/** `mqlane` learns at most this often that nothing but the time of the next attempt has changed. */
export const statusPauseUs = 5_000_000
/** … and while rows flow how many packets it took: with a commit that is made anyway. */
export const trafficPauseUs = 1_000_000
/** A node with too many sessions asks the next one to wait. */
export const busyPauseMs = 10_000
/** No peer may ask for a longer pause than this. */
export const retryAfterMaxUs = 3_600_000_000

/**
 * An initiator that waits for a confirm or for credit asks at least this often: a receiver whose
 * disk was full is found.
 */
export const askPauseMaxUs = 4_000_000

// ---- stream

/** A lane reads ahead of its congestion window by this factor … */
export const readAheadWindows = 2
/** … at least this much, so that an idle link starts without waiting for the store … */
export const readAheadBytesMin = 262_144
/** … and at most this much a lane, and all lanes together this. */
export const readAheadBytesMax = 8_388_608
export const readAheadBytesAll = 33_554_432
/** However many lanes there are, each may read a few packets ahead. */
export const readShareBytesMin = 16_384
/** One answer of the store: big enough to amortise a commit, small enough to share the store. */
export const readBytesMax = 262_144
/** Rows that may be numbered and unconfirmed in one lane: they cannot be rerouted. */
export const unconfirmedRowsMax = 65_536
/**
 * Segments out of order in one session. A window of 8 MiB has 1,500 at 30 % loss; each costs a
 * search of some steps, and the move of those behind it.
 */
export const streamSegmentsMax = 2048
/** What a segment costs besides its bytes: it counts against the credit. */
export const streamSegmentBytes = 256
/** Pieces that follow each other are put together up to this size. */
export const streamSegmentBytesMax = 65_536

export const creditWindowMin = 65_536
/** Several round trips of a 20 Mbit/s path of 100 ms: behind a loss a stream is long. */
export const creditWindowFirst = 1_048_576
export const creditWindowMax = 8_388_608
/** What all inbound sessions together may make this node hold. */
export const heldBytesAll = 67_108_864
/** A window of which half was used up faster than this doubles. */
export const creditGrowthUs = 2_000_000
/** A body that is not complete is written down as parts of at most this size. */
export const spillBytesMax = 1_048_576

// ---- acks

/** PROTOCOL §5.1. */
export const ackRangesPerFrame = 64
export const ackDelayMaxUs = 5_000
/**
 * While numbers are missing: every second packet (protocol notes: every eighth costs 30 % at 30 %
 * loss).
 */
export const ackEveryWithGaps = 2
export const ackEvery = 8
/** A window of few large datagrams must not wait 5 ms for the eighth. */
export const ackEveryBytes = 9_600
/** A session is young for this many packets: slow start needs its acks. */
export const ackYoungPackets = 64

// ---- turns

/** Datagrams that one tick may send for all sessions, so that one turn of the loop stays short. */
export const datagramsPerTick = 64
/** And for one session before the next has its turn. */
export const datagramsPerTurn = 8

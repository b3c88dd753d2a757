/**
 * The constants of loss recovery, congestion control, pacing and path probing, each with its reason
 * and with both ways in which it can be wrong. RFC means RFC 9002. Times in microseconds, sizes in
 * bytes of UDP payload.
 */

/**
 * PROTOCOL §3.8. Larger: memory for each session. Smaller: packets that were merely late are
 * dropped as replays.
 */
export const replayWindowPackets = 2048

/**
 * PROTOCOL §10. At 30 % loss 64 ranges span about 300 packets. More: longer acks and a longer
 * search. Fewer: acks that are lost in a row take ranges with them, and what had come is sent
 * again.
 */
export const ackRangesMax = 64

/**
 * RFC kInitialRtt. Longer: a lost first packet is noticed late. Shorter: slow paths are probed for
 * nothing.
 */
export const initialRttUs = 333_000

/**
 * PROTOCOL §5.1: how long a peer may hold an ack back. More is not believed: it would hide a real
 * queue.
 */
export const ackDelayUsMax = 5_000

/**
 * RFC kGranularity: what a timer of Node can distinguish. Longer: late. Shorter: timers that fire
 * before the ack.
 */
export const granularityUs = 1_000

/**
 * RFC kPacketThreshold. Higher: losses are noticed later. Lower: slight reordering counts as loss.
 */
export const packetThresholdMin = 3

/**
 * Where widening ends: what is later than the replay window is dropped anyway, and a path that has
 * once reordered wildly still repairs by time. Lower: it sends too much twice.
 */
export const packetThresholdMax = replayWindowPackets

/** RFC kTimeThreshold less one. Longer: late repair. Shorter: jitter counts as loss. */
export const reorderingWindow = 1 / 8

/**
 * How long a path is remembered to bring packets late, and the most that is waited for them, in
 * probe timeouts. Longer, more: one accident slows repair. Shorter, fewer: packets that are late by
 * chance are sent again, a seventh of all where they are late by up to 40 ms of 50.
 */
export const latenessMemoryUs = 10_000_000
export const latenessPtosMax = 2

/**
 * A lost packet is remembered this long after it was sent, to notice a late ack. Longer: memory.
 * Shorter: thresholds never learn.
 */
export const lostPacketMemoryRtts = 4
export const lostPacketMemoryUs = 50_000

/**
 * Of each silent probe timeout. At 30 % loss and 100 ms, 1.5 with two probes brings 99 of 100 lone
 * messages within 440 ms, 2 with one within 1,140 ms, for a sixth more packets. Faster growth: a
 * lone message waits. Slower: a dead path is hammered.
 */
export const ptoBackoff = 1.5
export const probesPerTimeout = 2

/**
 * Longest wait between probes. Longer: an outage is left late. Shorter: a dead path is hammered
 * until the session ends.
 */
export const ptoUsMax = 4_000_000

/**
 * PROTOCOL §8, RFC kPersistentCongestionThreshold. More: a window for a path that is gone. Fewer:
 * ill luck empties a good one.
 */
export const persistentCongestionPtos = 3

/**
 * Copa's delta: alone, a flow keeps about 1 / delta packets queued. Smaller: it crushes flows that
 * back off, and needs deeper buffers. Larger: jitter starves it (at 0.5 and 10 ms of jitter a third
 * of the rate is left at 30 % loss).
 */
export const copaDelta = 0.25

/**
 * In competitive mode 1 / delta grows by one for each 50 ms, and by at least one in a round trip; a
 * loss halves it. By time and not by round trips alone, because CUBIC grows by time: with one a
 * round trip it takes five sixths of a link of 100 ms. Faster growth, smaller backoff: it crushes
 * loss-based flows. Slower, larger: they crush it.
 */
export const competitiveStepUs = 50_000
export const competitiveBackoff = 2

/**
 * Lowest delta in competitive mode. Lower: it takes a crowded link for itself. Higher: loss-based
 * flows win.
 */
export const copaDeltaMin = 0.002

/**
 * Without a near-empty queue for so long, others fill it. More: given way for too long. Fewer: own
 * bursts look like others.
 */
export const competitiveAfterRtts = 5

/**
 * Ends the doubling of steps. Higher: overflow of the window's arithmetic only. Lower: a rate that
 * rises a thousandfold takes long.
 */
export const velocityMax = 10_000

/**
 * Windows in packets, and the RFC's limit on them where packets are large (RFC §7.2). Larger: a
 * burst into an unknown path. Smaller: slow to begin.
 */
export const windowInitialPackets = 10
export const windowMinPackets = 4
export const windowSmallBytes = 14_720
export const windowSmallPackets = 2

/**
 * Pacing at twice the window's rate leaves the window in charge. More: bursts. Less: the pacer
 * limits a window that wants to grow.
 */
export const windowRttsPaced = 2

/**
 * The rate is at most this many times the measured one, more where loss eats part of it, up to a
 * bound. Higher: runs away when the delay shows nothing. Lower: cannot find out that the path has
 * become faster.
 */
export const rateCapSteady = 1.5
export const rateCapMax = 2.5
export const rateCapSlowStart = 3
export const bandwidthRounds = 10

/**
 * Standing queue: the lowest RTT of half a round trip or of eight samples. Longer: late. Shorter:
 * jitter passes for a queue.
 */
export const standingRttRttsMin = 0.5
export const standingRttRttsMax = 2
export const standingRttSamples = 8

/**
 * Divides rates: below, a queue cannot be distinguished from the clock's grain. Larger: rates are
 * limited. Smaller: leaps.
 */
export const queueDelayUsMin = 10

/**
 * A queue is near empty below a tenth of its recent height and the timers' noise. Higher: never
 * competitive. Lower: always.
 */
export const nearEmptyPart = 0.1
export const nearEmptyUs = 200

/**
 * What is taken off a queue for lateness by chance, in mean differences of successive samples,
 * beyond what timers make anyway, and over how many samples the mean goes. Higher: a queue as long
 * as the chance is left standing, and flows that do so crowd each other. Lower: lateness passes for
 * a queue; at 1 a flow keeps 0.85 of a path whose packets are late by up to 40 ms each way, at 0
 * 0.15.
 */
export const jitterNoise = 1.5
export const jitterSlackUs = 500
export const jitterSamples = 64

/**
 * How far back "the highest queue lately" looks. Longer: an old spike hides queues. Shorter: a
 * steady queue becomes the norm.
 */
export const longPeakWindowUs = 10_000_000

/**
 * Rounds with a mean queue below this count as empty. Higher: own overflow is learnt as the path's
 * loss. Lower: nothing is learnt.
 */
export const queuedRoundUs = 500
export const queuedRoundPart = 0.3
export const queuedRoundNoise = 2

/**
 * Fewest packets by which a round's loss is checked, and how many the reference remembers. More:
 * late. Fewer: chance.
 */
export const lossRoundPackets = 24
export const lossRoundRttsMin = 0.9
export const referencePackets = 600

/**
 * Loss counts as our own above this much more than the reference. Higher: overflow goes on. Lower:
 * cuts by chance.
 */
export const excessMin = 0.02
export const excessSigmas = 3
export const excessCutMin = 0.1
export const excessCutMax = 0.5

/**
 * The path is probed when it has not looked empty for so long, or loses a fifth or more. More
 * often: rate is given away, 2 % at this pace. Rarer: a wrong lowest RTT, or our own overflow taken
 * for the path's loss, lasts.
 */
export const pathProbeEveryUs = 10_000_000
export const pathProbeLossMin = 0.2

/** While what rounds have taught of the path's loss is in doubt. As above. */
export const pathProbeEveryUsDoubtful = 1_000_000

/**
 * Loss of rounds that looked empty is in doubt where it exceeds that of the last probe by so much.
 * More: overflow passes for the path's loss. Less: chance makes probes.
 */
export const ambientUnprovedMax = 0.1
export const misledProbes = 2

/**
 * No path loses so much more than it did in its best round of the last seconds. More: two flows
 * that overflow a queue together take that for the path. Less: a path that gets worse at once is
 * given up until the best round is forgotten.
 */
export const ambientAboveBestMax = 0.3
export const bestRoundWindowUs = 10_000_000

/** A round trip shorter than ever by so much shows that a queue has passed for an empty path. */
export const emptierPathUs = 1_000

/**
 * A measure takes so long. Longer: rate is given away. Shorter: too few packets, or no lull in what
 * others send.
 */
export const pathProbeHoldUs = 100_000
export const pathProbeRtts = 1

/**
 * Part of the path's own content that a probe keeps in flight. More: our queue stays. Less: rate is
 * given away.
 */
export const pathProbeWindowPart = 0.5

/**
 * Fewest packets that show a loss, and how many a probe counts for in the reference. Fewer: chance
 * rules. More: it is never sure.
 */
export const pathProbePackets = 16
export const referenceProbePackets = 60

/**
 * Noise on an empty path. More: a queue passes for none. Less: jitter makes the path look full, and
 * it is probed for nothing.
 */
export const emptyPathSlack = 0.03
export const emptyPathSlackUs = 1_000

/**
 * After so long without anything in flight the path is measured again. Longer: bursts by stale
 * knowledge. Shorter: needless slow starts.
 */
export const idleResetUs = 1_000_000

/** Larger bursts overflow small buffers; smaller ones need finer timers than there are. */
export const pacerBurstPackets = 10
export const pacerBurstUs = 2_000

/**
 * Due within a timer's grain is due now. Longer: bursts. Shorter: a timer for each packet, which
 * fires late.
 */
export const pacerAheadUs = 1_000

/** What a path carries unless it is a tunnel in a tunnel: 1,280 less the headers. PROTOCOL §8. */
export const datagramBytesMin = 1_200

/**
 * Where that vanishes, while handshakes pass. Every host takes this over IPv4 (576 less the
 * longest headers). Larger: tunnels that carry nothing. Smaller: more packets for each byte.
 */
export const datagramBytesNarrow = 508

/**
 * Two steps for narrow paths, Ethernet with IPv6, two common steps of jumbo frames, and three for
 * loopback, which carries 65,507. More steps: longer until the size is found. Fewer: room is left
 * unused, for a size that fails ends the search.
 */
export const datagramSizes: readonly number[] = [
  1_024, 1_200, 1_452, 4_096, 8_952, 16_384, 32_768, 61_440,
]

/**
 * At 30 % loss three tries find 97 of 100 sizes that pass. More: large packets wasted. Fewer: ill
 * luck ends the search.
 */
export const mtuProbeTries = 3

/**
 * A path may have become wider. More often: wasted packets. Less often: narrow for longer than
 * needed.
 */
export const mtuReprobeUs = 600_000_000

/**
 * Large packets lost in a row, with a small one acked among them, make a black hole. At 30 % loss
 * chance does it once in 170,000 packets. More: data does not move for longer. Fewer: loss shrinks
 * packets for nothing.
 */
export const blackHoleLosses = 10
export const blackHoleSilentPtos = 2

/**
 * After a black hole. Longer: small packets on a fixed path. Shorter: into the same hole again and
 * again.
 */
export const blackHoleCooldownUs = 60_000_000

/**
 * Slow start doubles a window only if so much of it is used. More: slow. Less: a window without
 * meaning.
 */
export const slowStartUse = 0.3

/**
 * A path with a shorter RTT lies in one host or one building. There a turn of an event loop takes
 * longer than the way: up to this much delay is no queue, loss is a full socket buffer, and the
 * window never falls below what keeps the path busy in spite of acks that wait. Larger: LAN queues
 * go unseen. Smaller: noise starves loopback.
 */
export const shortPathUs = 1_000
export const shortPathNoiseUs = 1_000
export const shortPathWindowBytes = 32_768
export const shortPathWindowPackets = 8

/**
 * Copa's packet where packets are larger. Larger: four of them overflow a socket buffer of 200 KB.
 * Smaller: slow on fast links.
 */
export const copaStepBytesMax = 4_096

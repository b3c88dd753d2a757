/**
 * The constants of loss recovery, congestion control, pacing and path probing, each with its reason and with both ways in
 * which it can be wrong. RFC means RFC 9002. Times in microseconds, sizes in bytes of UDP payload.
 */

// ---- Received packet numbers.

/** PROTOCOL §3.8. Larger: memory for each session. Smaller: packets that were merely late are dropped as replays. */
export const replayWindowPackets = 2048

/**
 * PROTOCOL §10. At 30 % loss 64 ranges span about 300 packets. More: longer acks and a longer search. Fewer: acks that
 * are lost in a row take ranges with them, and what had come is sent again.
 */
export const ackRangesMax = 64

// ---- Round-trip time (RFC §5, §6.2.2).

/** RFC kInitialRtt. Longer: a lost first packet is noticed late. Shorter: slow paths are probed for nothing. */
export const initialRttUs = 333_000

/** PROTOCOL §5.1: how long a peer may hold an ack back. More is not believed: it would hide a real queue. */
export const ackDelayUsMax = 5_000

/** RFC kGranularity: what a timer of Node can tell apart. Longer: late. Shorter: timers that fire before the ack. */
export const granularityUs = 1_000

// ---- Loss (RFC §6.1) and probe timeout (RFC §6.2).

/** RFC kPacketThreshold. Higher: losses are noticed later. Lower: slight reordering counts as loss. */
export const packetThresholdMin = 3

/** Where widening ends. Higher: a path that once reordered wildly repairs late. Lower: it sends too much twice. */
export const packetThresholdMax = 64

/** RFC kTimeThreshold less one. Longer: late repair. Shorter: jitter counts as loss. */
export const reorderingWindowMin = 1 / 8

/** Longer than one round trip more is what the probe timeout waits; shorter fails where jitter is as long as the path. */
export const reorderingWindowMax = 1

/** For each spurious loss: 1/8 becomes 1 after six. Faster: one accident slows repair for the session. Slower: more sent twice. */
export const reorderingWindowGrowth = 1.5

/** A lost packet is remembered this long after it was sent, to notice a late ack. Longer: memory. Shorter: thresholds never learn. */
export const lostPacketMemoryRtts = 4
export const lostPacketMemoryUs = 50_000

/**
 * Of each silent probe timeout. At 30 % loss and 100 ms, 1.5 with two probes brings 99 of 100 lone messages within 440 ms,
 * 2 with one within 1,140 ms, for a sixth more packets. Faster growth: a lone message waits. Slower: a dead path is hammered.
 */
export const ptoBackoff = 1.5
export const probesPerTimeout = 2

/** Longest wait between probes. Longer: an outage is left late. Shorter: a dead path is hammered until the session ends. */
export const ptoUsMax = 4_000_000

/** PROTOCOL §8, RFC kPersistentCongestionThreshold. More: a window for a path that is gone. Fewer: ill luck empties a good one. */
export const persistentCongestionPtos = 3

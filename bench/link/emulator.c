/*
 * A narrow, long and lossy link in user space, for kernels without netem: two network namespaces,
 * each with a TUN device, and this program between them. TCP of the kernel and UDP of any program
 * pass through the same queue.
 *
 * Each direction is a queue that drops what does not fit (tail drop), served at a fixed rate, and a
 * wire behind it that loses packets by chance and delays the others. Bytes are those of IP.
 *
 *   emulator link   RATE BUFFER DELAY JITTER LOSS SEED
 *   emulator replay RATE BUFFER DELAY JITTER LOSS SEED
 *
 * RATE in bytes a second, BUFFER in bytes, DELAY one way in microseconds, LOSS in millionths. Each
 * packet takes up to JITTER microseconds more or less than DELAY, by a chance of its own, and
 * overtakes others.
 *
 * link: prints "ready PID FD FD", where /proc/PID/fd/FD are the namespaces for nsenter; each line
 * on stdin is answered by counters; the end of stdin is the end, and takes the namespaces along.
 * replay: stdin has lines "AT BYTES" (microseconds, ascending) for one direction; for each it prints
 * when the packet arrives, or "dropped" (the queue) or "lost" (the wire). Time is what stdin says:
 * this is how the tests look at the very code that `link` runs.
 *
 * It must never touch a network that is not its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PACKET_BYTES_MAX 2048
/* A power of two, so that the numbers may wrap. What does not fit is dropped, and counted. */
#define SLOTS 16384u

typedef struct {
  double rate; /* bytes a microsecond */
  uint64_t buffer;
  double delay_us, jitter_us;
  double loss;
} Conditions;

typedef struct {
  double leaves_us;  /* the queue */
  double arrives_us; /* the far end */
  uint32_t bytes;
  int is_lost, is_gone;
  unsigned char packet[PACKET_BYTES_MAX];
} Slot;

typedef struct {
  Slot *slots;
  /* Ascending numbers, used modulo SLOTS: arrived <= left <= offered. */
  uint32_t offered, left, arrived;
  /* Those under way, a heap: the one that arrives first is the first. */
  uint32_t *due, due_count;
  double free_us; /* the server has nothing more to do from then on */
  uint64_t queued_bytes;
  uint64_t random;
  uint64_t taken, dropped, lost, delivered, bytes;
  double late_sum_us, late_max_us;
} Direction;

/* splitmix64 */
static double chance(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static void begin(Direction *direction, uint64_t seed) {
  memset(direction, 0, sizeof *direction);
  direction->random = seed;
  direction->slots = malloc(SLOTS * sizeof(Slot));
  direction->due = malloc(SLOTS * sizeof(uint32_t));
  if (direction->slots == NULL || direction->due == NULL) {
    perror("emulator: malloc");
    exit(1);
  }
}

/* What has been served by now takes no room in the queue any more. */
static void serve(Direction *direction, double now_us) {
  while (direction->left != direction->offered) {
    Slot *slot = &direction->slots[direction->left % SLOTS];
    if (slot->leaves_us > now_us) return;
    direction->queued_bytes -= slot->bytes;
    direction->left++;
  }
}

/* Takes a packet; NULL when the queue has no room for it. */
static Slot *offer(Direction *direction, const Conditions *of, uint32_t bytes, double now_us) {
  serve(direction, now_us);
  direction->taken++;
  if (direction->queued_bytes + bytes > of->buffer ||
      direction->offered - direction->arrived == SLOTS) {
    direction->dropped++;
    return NULL;
  }
  Slot *slot = &direction->slots[direction->offered++ % SLOTS];
  if (direction->free_us < now_us) direction->free_us = now_us;
  direction->free_us += bytes / of->rate;
  direction->queued_bytes += bytes;
  slot->bytes = bytes;
  slot->leaves_us = direction->free_us;
  slot->arrives_us = slot->leaves_us + of->delay_us;
  if (of->jitter_us > 0) {
    slot->arrives_us += (2 * chance(&direction->random) - 1) * of->jitter_us;
  }
  slot->is_gone = 0;
  slot->is_lost = chance(&direction->random) < of->loss;
  if (slot->is_lost) direction->lost++;
  return slot;
}

static double arrives_us(const Direction *direction, uint32_t at) {
  return direction->slots[direction->due[at] % SLOTS].arrives_us;
}

static void swap_due(Direction *direction, uint32_t one, uint32_t other) {
  uint32_t number = direction->due[one];
  direction->due[one] = direction->due[other];
  direction->due[other] = number;
}

/* The newest packet is under way. */
static void add_due(Direction *direction) {
  uint32_t at = direction->due_count++;
  direction->due[at] = direction->offered - 1;
  while (at > 0 && arrives_us(direction, at) < arrives_us(direction, (at - 1) / 2)) {
    swap_due(direction, at, (at - 1) / 2);
    at = (at - 1) / 2;
  }
}

static void drop_first_due(Direction *direction) {
  uint32_t at = 0;
  direction->due[0] = direction->due[--direction->due_count];
  for (;;) {
    uint32_t first = at;
    for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
      if (child >= direction->due_count) break;
      if (arrives_us(direction, child) < arrives_us(direction, first)) first = child;
    }
    if (first == at) return;
    swap_due(direction, at, first);
    at = first;
  }
}

static void replay(const Conditions *conditions, uint64_t seed) {
  Direction direction;
  double at_us;
  unsigned bytes;
  begin(&direction, seed);
  while (scanf("%lf %u", &at_us, &bytes) == 2) {
    Slot *slot = offer(&direction, conditions, bytes, at_us);
    if (slot == NULL) puts("dropped");
    else if (slot->is_lost) puts("lost");
    else printf("%.3f\n", slot->arrives_us);
    /* Nobody waits for them here. */
    direction.arrived = direction.left;
  }
}

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void die(const char *what) {
  fprintf(stderr, "emulator: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* A namespace of its own with a TUN device called "narrow". */
static void open_end(int *device, int *namespace) {
  struct ifreq request;
  if (unshare(CLONE_NEWNET) != 0) die("unshare");
  *device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (*device < 0) die("/dev/net/tun");
  memset(&request, 0, sizeof request);
  strcpy(request.ifr_name, "narrow");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(*device, TUNSETIFF, &request) != 0) die("TUNSETIFF");
  *namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (*namespace < 0) die("/proc/self/ns/net");
}

/* So that no packet is taken late because this was busy with another for long. */
#define AT_ONCE 64

static void take(Direction *direction, const Conditions *conditions, int device) {
  unsigned char packet[PACKET_BYTES_MAX];
  for (int i = 0; i < AT_ONCE; i++) {
    ssize_t bytes = read(device, packet, sizeof packet);
    if (bytes <= 0) return;
    /* What the kernel itself says on a new device is not traffic: IPv6 looks for routers. */
    if (packet[0] >> 4 != 4) continue;
    Slot *slot = offer(direction, conditions, bytes, now_us());
    if (slot == NULL) continue;
    memcpy(slot->packet, packet, bytes);
    add_due(direction);
  }
}

/* Hands over what is due. */
static void deliver(Direction *direction, int device) {
  while (direction->due_count > 0) {
    Slot *slot = &direction->slots[direction->due[0] % SLOTS];
    double late_us = now_us() - slot->arrives_us;
    if (late_us < 0) return;
    if (!slot->is_lost && write(device, slot->packet, slot->bytes) == (ssize_t)slot->bytes) {
      direction->delivered++;
      direction->bytes += slot->bytes;
      direction->late_sum_us += late_us;
      if (late_us > direction->late_max_us) direction->late_max_us = late_us;
    }
    drop_first_due(direction);
    slot->is_gone = 1;
    /* It may be given away only when it counts as served, and when all before it are gone. */
    serve(direction, now_us());
    while (direction->arrived != direction->offered &&
           direction->slots[direction->arrived % SLOTS].is_gone) {
      direction->arrived++;
    }
  }
}

/* -1: nothing is on its way. */
static double next_us(const Direction *direction) {
  return direction->due_count == 0 ? -1 : arrives_us(direction, 0);
}

static void tell(const Direction *direction) {
  double late_us = direction->delivered == 0 ? 0 : direction->late_sum_us / direction->delivered;
  printf("%lu %lu %lu %lu %lu %.0f %.0f ", direction->taken, direction->dropped, direction->lost,
         direction->delivered, direction->bytes, late_us, direction->late_max_us);
}

static void run(const Conditions *conditions, const int devices[2], Direction directions[2]) {
  struct pollfd polled[3] = {
      {devices[0], POLLIN, 0}, {devices[1], POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  for (;;) {
    double wait_us = 1e6;
    for (int i = 0; i < 2; i++) {
      double at_us = next_us(&directions[i]);
      if (at_us >= 0 && at_us - now_us() < wait_us) wait_us = at_us - now_us();
    }
    if (wait_us < 0) wait_us = 0;
    struct timespec wait = {(time_t)(wait_us / 1e6), (long)(wait_us * 1e3) % 1000000000L};
    if (ppoll(polled, 3, &wait, NULL) < 0 && errno != EINTR) die("ppoll");
    for (int i = 0; i < 2; i++) {
      take(&directions[i], conditions, devices[i]);
      deliver(&directions[i], devices[1 - i]);
    }
    if (polled[2].revents == 0) continue;
    char line[64];
    ssize_t length = read(STDIN_FILENO, line, sizeof line);
    if (length <= 0) return;
    tell(&directions[0]);
    tell(&directions[1]);
    puts("");
  }
}

static void link_ends(const Conditions *conditions, uint64_t seed) {
  int devices[2], namespaces[2];
  static Direction directions[2];
  for (int i = 0; i < 2; i++) {
    open_end(&devices[i], &namespaces[i]);
    begin(&directions[i], seed + i);
  }
  /* The kernel may round a wake-up by 50 us, and others may be served first, unless it is asked. */
  prctl(PR_SET_TIMERSLACK, 1);
  setpriority(PRIO_PROCESS, 0, -20);
  printf("ready %d %d %d\n", getpid(), namespaces[0], namespaces[1]);
  run(conditions, devices, directions);
}

int main(int count, char **words) {
  if (count != 8) {
    fprintf(stderr, "emulator link|replay RATE BUFFER DELAY JITTER LOSS SEED\n");
    return 64;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  Conditions conditions = {atof(words[2]) / 1e6, strtoull(words[3], NULL, 10), atof(words[4]),
                           atof(words[5]), atof(words[6]) / 1e6};
  uint64_t seed = strtoull(words[7], NULL, 10);
  if (strcmp(words[1], "replay") == 0) replay(&conditions, seed);
  else link_ends(&conditions, seed);
  return 0;
}

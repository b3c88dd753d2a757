/*
 * A disk that forgets what was not synced, for one database of one real process (LD_PRELOAD). The
 * files that the process works on are its page cache; next to them lies a copy of each, the durable medium,
 * which fsync alone brings up to date. A power cut is SIGKILL, and the durable medium in the place of the
 * files, with some of the sectors that were never synced (power-disk.ts). On command, writes and
 * syncs fail, writes are short, and fsync lies.
 *
 *   FORGETFUL_DISK_DATABASE  path of the database; its -wal and -journal belong to it
 *   FORGETFUL_DISK_MEDIUM   path where the copies lie, with the same endings
 *   FORGETFUL_DISK_CONTROL   file of two bytes: what goes wrong, and how often of 256 times
 *
 * Must never touch any other file, but one that is written to see whether the disk is full.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { files_max = 4096, path_max = 1024, block_bytes = 65536 };

static const char *const endings[] = {"", "-wal", "-journal"};
/* For each file descriptor, which of the endings it has, from 1; 0: not ours. */
static unsigned char kinds[files_max];
/* A file that the daemon writes beside the database to see whether it can. */
enum { probe_kind = 255 };
static const char probe_ending[] = "-probe-";
static const char *database;
static const char *medium;
static volatile const unsigned char *control;
static uint64_t chance_state;

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void start(void) {
  real_open = dlsym(RTLD_NEXT, "open");
  real_close = dlsym(RTLD_NEXT, "close");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_unlink = dlsym(RTLD_NEXT, "unlink");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite");
  real_write = dlsym(RTLD_NEXT, "write");
  database = getenv("FORGETFUL_DISK_DATABASE");
  medium = getenv("FORGETFUL_DISK_MEDIUM");
  const char *path = getenv("FORGETFUL_DISK_CONTROL");
  if (database == NULL || medium == NULL || path == NULL) {
    fputs("disk.c: FORGETFUL_DISK_DATABASE, _MEDIUM and _CONTROL must be set.\n", stderr);
    abort();
  }
  int fd = real_open(path, O_RDONLY | O_CLOEXEC);
  void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 2, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) {
    perror("disk.c: FORGETFUL_DISK_CONTROL");
    abort();
  }
  real_close(fd);
  control = map;
  chance_state = 0x9e3779b97f4a7c15u ^ (uint64_t)getpid();
}

/* Whether this call is one of those that go wrong in the mode. */
static int is_hit(char mode) {
  if (control == NULL || control[0] != mode) return 0;
  chance_state ^= chance_state << 13;
  chance_state ^= chance_state >> 7;
  chance_state ^= chance_state << 17;
  return (chance_state >> 24 & 255) < control[1];
}

static int kind_of_path(const char *path) {
  if (database == NULL || path == NULL) return 0;
  size_t length = strlen(database);
  if (strncmp(path, database, length) != 0) return 0;
  for (int kind = 1; kind <= 3; kind++) {
    if (strcmp(path + length, endings[kind - 1]) == 0) return kind;
  }
  return 0;
}

static int is_probe_path(const char *path) {
  size_t length = database == NULL || path == NULL ? 0 : strlen(database);
  return length > 0 && strncmp(path, database, length) == 0 &&
         strncmp(path + length, probe_ending, strlen(probe_ending)) == 0;
}

static int kind_of(int fd) {
  return fd >= 0 && fd < files_max && kinds[fd] != probe_kind ? kinds[fd] : 0;
}

static int is_probe(int fd) { return fd >= 0 && fd < files_max && kinds[fd] == probe_kind; }

static void path_of(char *path, const char *base, int kind) {
  snprintf(path, path_max, "%s%s", base, endings[kind - 1]);
}

static int copy_blocks(int from, int to) {
  char cached[block_bytes], kept[block_bytes];
  off_t at = 0;
  for (;;) {
    ssize_t count = pread(from, cached, block_bytes, at);
    if (count < 0) return -1;
    if (count == 0) return ftruncate(to, at);
    ssize_t known = pread(to, kept, (size_t)count, at);
    int is_same = known == count && memcmp(cached, kept, (size_t)count) == 0;
    if (!is_same && real_pwrite(to, cached, (size_t)count, at) != count) return -1;
    at += count;
  }
}

/*
 * Brings the durable medium up to date; other processes may sync the same file at the same time. It reads
 * by the descriptor that is there: to open the database and close it again would drop the locks
 * that SQLite holds on it.
 */
static int sync_file(int fd, int kind) {
  char path[path_max];
  path_of(path, medium, kind);
  int to = real_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  int result = to < 0 || flock(to, LOCK_EX) != 0 ? -1 : copy_blocks(fd, to);
  if (to >= 0) real_close(to);
  return result;
}

static int on_sync(int fd, int (*real)(int)) {
  int kind = kind_of(fd);
  if (kind == 0) return real(fd);
  if (is_hit('L')) return 0;
  if (is_hit('F')) {
    errno = EIO;
    return -1;
  }
  return sync_file(fd, kind);
}

int fsync(int fd) { return on_sync(fd, real_fsync); }
int fdatasync(int fd) { return on_sync(fd, real_fdatasync); }

static int on_open(const char *path, int flags, mode_t mode) {
  int is_new = (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
  if (is_new && (kind_of_path(path) != 0 || is_probe_path(path)) && is_hit('C')) {
    errno = EDQUOT;
    return -1;
  }
  int fd = real_open(path, flags, mode);
  if (fd >= 0 && fd < files_max) {
    kinds[fd] = (unsigned char)(is_probe_path(path) ? probe_kind : kind_of_path(path));
  }
  return fd;
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return on_open(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return on_open(path, flags, mode);
}

int close(int fd) {
  if (fd >= 0 && fd < files_max) kinds[fd] = 0;
  return real_close(fd);
}

int unlink(const char *path) {
  int kind = kind_of_path(path);
  if (kind != 0) {
    char copy[path_max];
    path_of(copy, medium, kind);
    real_unlink(copy);
  }
  return real_unlink(path);
}

/* How many of the bytes may be written now; -1: none, and errno says why. */
static ssize_t allowed(int fd, size_t count) {
  if (kind_of(fd) == 0 && !is_probe(fd)) return (ssize_t)count;
  int error = is_hit('E') ? ENOSPC : is_hit('I') ? EIO : is_hit('Q') ? EDQUOT : 0;
  if (error != 0) {
    errno = error;
    return -1;
  }
  return count > 1 && is_hit('S') ? (ssize_t)(count / 2) : (ssize_t)count;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
  ssize_t most = allowed(fd, count);
  return most < 0 ? -1 : real_pwrite(fd, bytes, (size_t)most, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  return pwrite(fd, bytes, count, at);
}

ssize_t write(int fd, const void *bytes, size_t count) {
  ssize_t most = allowed(fd, count);
  return most < 0 ? -1 : real_write(fd, bytes, (size_t)most);
}

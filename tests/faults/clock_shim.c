/*
 * LD_PRELOAD for clock.py: gives one process a wall clock of its own that can be set while the
 * process runs, with the effect that clock_settime has: timed waits whose deadline is a wall-clock
 * time end early when it jumps forward and late when it jumps back. Monotonic clocks are not
 * touched. libfaketime does not do: it leaves the futex calls of Abseil with the real clock.
 *
 * VIADUCT_TEST_CLOCK names a file of 8 octets, the offset in nanoseconds (int64_t, native order).
 */
#define _GNU_SOURCE /* NOLINT(bugprone-reserved-identifier): of glibc */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define NANOS INT64_C(1000000000)
#define SLICE_NS INT64_C(20000000) /* how late a jump may be noticed by a wait */

static const int64_t zero = 0;
static const volatile int64_t* offset_ns = &zero; /* An allocator asks before constructors run. */

__attribute__((constructor)) static void open_offset(void) {
  const char* path = getenv("VIADUCT_TEST_CLOCK");
  if (path == NULL) return;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void* page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (page != MAP_FAILED) offset_ns = page;
}

static int64_t to_ns(const struct timespec* t) { return t->tv_sec * NANOS + t->tv_nsec; }

static struct timespec from_ns(int64_t ns) {
  struct timespec t = {ns / NANOS, ns % NANOS};
  if (t.tv_nsec < 0) t.tv_nsec += NANOS, t.tv_sec -= 1;
  return t;
}

/* The kernel's clocks, past everything that is replaced here. */
static int64_t kernel_ns(clockid_t id) {
  static int (*real)(clockid_t, struct timespec*);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "clock_gettime");
  struct timespec t;
  real(id, &t);
  return to_ns(&t);
}

static int64_t wall_ns(void) { return kernel_ns(CLOCK_REALTIME) + *offset_ns; }

EXPORT int clock_gettime(clockid_t id, struct timespec* out) {
  *out = from_ns(kernel_ns(id) +
                 (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ? *offset_ns : 0));
  return 0;
}

EXPORT int gettimeofday(struct timeval* restrict out, void* restrict zone) {
  (void)zone;
  const struct timespec t = from_ns(wall_ns());
  out->tv_sec = t.tv_sec;
  out->tv_usec = t.tv_nsec / 1000;
  return 0;
}

EXPORT time_t time(time_t* out) {
  const time_t now = from_ns(wall_ns()).tv_sec;
  if (out != NULL) *out = now;
  return now;
}

static int64_t slice_of(int64_t left) { return left < SLICE_NS ? (left < 0 ? 0 : left) : SLICE_NS; }

typedef long (*syscall_fn)(long, ...);

/* FUTEX_WAIT_BITSET until a wall-clock time, in slices, so that a jump is seen. */
static long futex_until(syscall_fn real, const long a[6]) {
  const int64_t deadline = to_ns((const struct timespec*)a[3]);
  for (;;) {
    const int64_t slice = slice_of(deadline - wall_ns());
    const struct timespec until = from_ns(kernel_ns(CLOCK_MONOTONIC) + slice);
    const long rc =
        real(SYS_futex, a[0], a[1] & ~(long)FUTEX_CLOCK_REALTIME, a[2], &until, a[4], a[5]);
    if (rc == 0 || errno != ETIMEDOUT || wall_ns() >= deadline) return rc;
  }
}

EXPORT long syscall(long number, ...) {
  static syscall_fn real;
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "syscall");
  long a[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) != 0 && a[3] != 0) {
    return futex_until(real, a);
  }
  if (number == SYS_clock_gettime) return clock_gettime((clockid_t)a[0], (struct timespec*)a[1]);
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/*
 * A condition variable does not tell its clock; the deadline is near the present of one of the two.
 */
EXPORT int pthread_cond_timedwait(pthread_cond_t* restrict cond, pthread_mutex_t* restrict mutex,
                                  const struct timespec* restrict abstime) {
  static int (*clockwait)(pthread_cond_t*, pthread_mutex_t*, clockid_t, const struct timespec*);
  static int (*timedwait)(pthread_cond_t*, pthread_mutex_t*, const struct timespec*);
  if (timedwait == NULL) {
    *(void**)&clockwait = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    *(void**)&timedwait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  }
  const int64_t deadline = to_ns(abstime);
  const int64_t from_wall = llabs(deadline - wall_ns());
  const int64_t from_monotonic = llabs(deadline - kernel_ns(CLOCK_MONOTONIC));
  if (from_monotonic < from_wall) return timedwait(cond, mutex, abstime);
  for (;;) {
    const struct timespec until =
        from_ns(kernel_ns(CLOCK_MONOTONIC) + slice_of(deadline - wall_ns()));
    const int rc = clockwait(cond, mutex, CLOCK_MONOTONIC, &until);
    if (rc != ETIMEDOUT || wall_ns() >= deadline) return rc;
  }
}

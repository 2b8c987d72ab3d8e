// A fixed pool of threads: one fork and join per ck_pool_run, a few microseconds when hot, asleep when idle.
//
// A job is published in one 64-bit word: units in the upper half, the next unit in the lower. Workers take units by compare-and-swap on
// that word, so a unit can only be taken while its job is the current one: a worker that wakes late finds nothing or the next job, and the
// caller never waits for workers that took no unit. The join waits for the number of finished units.
#if defined(__linux__)
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ckernels.h"
#include "thread_isa.h"

/// How long a thread spins before it sleeps. Longer than the gap between two steps of a plan, short enough not to take a core away from
/// others (spinning without bound made torch three times slower beside a busy process).
enum { SPIN_NANOSECONDS = 40000, PAUSES_PER_CLOCK_READ = 32 };

typedef struct {
  void *memory;
  char padding[56];
} worker_scratch;

struct ck_pool {
  _Alignas(64) _Atomic uint64_t state;  // units << 32 | next unit
  void (*body)(void *context, int unit, int worker);
  void *context;
  ck_isa isa;  // the caller's
  _Alignas(64) _Atomic uint32_t finished;        // units of the current job
  _Atomic uint32_t caller_sleeps;
  _Alignas(64) _Atomic uint32_t published;       // changes with every job: what sleeping workers wait on
  _Atomic uint32_t sleepers;
  _Atomic bool stopping;
  int threads, started;
  size_t scratch_bytes;
  worker_scratch *scratch;
  pthread_t *handles;
};

typedef struct {
  ck_pool *pool;
  int worker;
} worker_start;

static uint64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Sleeping on a word. Without futexes (other systems than Linux) a short nap does: the callers check their condition again anyway.
static void sleep_while_equal(_Atomic uint32_t *word, uint32_t value) {
#if defined(__linux__)
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
  if (atomic_load(word) == value) nanosleep(&(struct timespec){0, 50000}, NULL);
#endif
}

static void wake_all(_Atomic uint32_t *word) {
#if defined(__linux__)
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
#else
  (void)word;
#endif
}

/// Takes the next unit of the current job, or -1. *units becomes the number of units of that job.
static int take_unit(ck_pool *pool, uint32_t *units) {
  uint64_t state = atomic_load_explicit(&pool->state, memory_order_acquire);
  while ((uint32_t)state < (uint32_t)(state >> 32)) {
    if (atomic_compare_exchange_weak_explicit(&pool->state, &state, state + 1, memory_order_acq_rel, memory_order_acquire)) {
      *units = (uint32_t)(state >> 32);
      return (int)(uint32_t)state;
    }
  }
  return -1;
}

/// Works until no unit is left; true when it did any.
static bool work(ck_pool *pool, int worker) {
  uint32_t units = 0;
  int unit = take_unit(pool, &units);
  if (unit < 0) return false;
  for (; unit >= 0; unit = take_unit(pool, &units)) {
    if (worker > 0) ck_adopt_isa(pool->isa);
    pool->body(pool->context, unit, worker);
    uint32_t finished = atomic_fetch_add(&pool->finished, 1) + 1;
    if (finished == units && atomic_load(&pool->caller_sleeps)) wake_all(&pool->finished);
  }
  return true;
}

static void *worker_main(void *argument) {
  worker_start start = *(worker_start *)argument;
  free(argument);
  ck_pool *pool = start.pool;
  uint64_t idle_since = nanoseconds();
  for (;;) {
    uint32_t published = atomic_load(&pool->published);
    if (work(pool, start.worker)) {
      idle_since = nanoseconds();
      continue;
    }
    if (atomic_load(&pool->stopping)) return NULL;
    for (int i = 0; i < PAUSES_PER_CLOCK_READ && atomic_load_explicit(&pool->published, memory_order_relaxed) == published; ++i) pause_briefly();
    if (nanoseconds() - idle_since < SPIN_NANOSECONDS) continue;
    // `published` was read before the last look at the work: a job that came since has changed it, and the sleep returns at once.
    atomic_fetch_add(&pool->sleepers, 1);
    sleep_while_equal(&pool->published, published);
    atomic_fetch_sub(&pool->sleepers, 1);
    idle_since = nanoseconds();
  }
}

static void publish(ck_pool *pool, uint32_t units) {
  atomic_store_explicit(&pool->state, (uint64_t)units << 32, memory_order_release);
  atomic_fetch_add(&pool->published, 1);
  if (atomic_load(&pool->sleepers) > 0) wake_all(&pool->published);
}

void ck_pool_run(ck_pool *pool, int units, void (*body)(void *context, int unit, int worker), void *context) {
  if (units <= 0) return;
  if (pool->started == 0 || units == 1) {
    for (int unit = 0; unit < units; ++unit) body(context, unit, 0);
    return;
  }
  pool->body = body;
  pool->context = context;
  pool->isa = ck_current_isa();
  atomic_store(&pool->finished, 0);
  publish(pool, (uint32_t)units);
  work(pool, 0);

  uint64_t waiting_since = 0;
  for (;;) {
    uint32_t finished = atomic_load(&pool->finished);
    if (finished == (uint32_t)units) return;
    for (int i = 0; i < PAUSES_PER_CLOCK_READ && atomic_load_explicit(&pool->finished, memory_order_relaxed) == finished; ++i) pause_briefly();
    uint64_t now = nanoseconds();
    if (waiting_since == 0) waiting_since = now;
    if (now - waiting_since < SPIN_NANOSECONDS) continue;
    atomic_store(&pool->caller_sleeps, 1);
    finished = atomic_load(&pool->finished);
    if (finished != (uint32_t)units) sleep_while_equal(&pool->finished, finished);
    atomic_store(&pool->caller_sleeps, 0);
  }
}

ck_pool *ck_pool_create(int threads) {
  if (threads < 1) threads = 1;
  ck_pool *pool = aligned_alloc(64, (sizeof(ck_pool) + 63) / 64 * 64);
  if (!pool) return NULL;
  memset(pool, 0, sizeof *pool);
  pool->threads = threads;
  pool->scratch = calloc((size_t)threads, sizeof *pool->scratch);
  pool->handles = calloc((size_t)threads, sizeof *pool->handles);
  if (!pool->scratch || !pool->handles) {
    ck_pool_destroy(pool);
    return NULL;
  }
  // Signals belong to the threads of the program.
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  for (int worker = 1; worker < threads; ++worker) {
    worker_start *start = malloc(sizeof *start);
    if (start) *start = (worker_start){pool, worker};
    if (!start || pthread_create(&pool->handles[worker], NULL, worker_main, start) != 0) {
      free(start);
      break;
    }
    pool->started = worker;
  }
  pthread_sigmask(SIG_SETMASK, &previous, NULL);
  if (pool->started != threads - 1) {
    ck_pool_destroy(pool);
    return NULL;
  }
  return pool;
}

void ck_pool_destroy(ck_pool *pool) {
  if (!pool) return;
  atomic_store(&pool->stopping, true);
  atomic_fetch_add(&pool->published, 1);
  wake_all(&pool->published);
  for (int worker = 1; worker <= pool->started; ++worker) pthread_join(pool->handles[worker], NULL);
  for (int worker = 0; pool->scratch && worker < pool->threads; ++worker) free(pool->scratch[worker].memory);
  free(pool->scratch);
  free(pool->handles);
  free(pool);
}

int ck_pool_threads(const ck_pool *pool) { return pool->threads; }

bool ck_pool_reserve(ck_pool *pool, size_t bytes) {
  if (bytes <= pool->scratch_bytes) return true;
  bytes = (bytes + 4095) / 4096 * 4096;
  for (int worker = 0; worker < pool->threads; ++worker) {
    void *memory = aligned_alloc(4096, bytes);
    if (!memory) return false;
    free(pool->scratch[worker].memory);
    pool->scratch[worker].memory = memory;
  }
  pool->scratch_bytes = bytes;
  return true;
}

void *ck_pool_scratch(const ck_pool *pool, int worker) { return pool->scratch[worker].memory; }

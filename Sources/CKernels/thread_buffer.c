// A scratch buffer of the calling thread, for products that run without a pool; freed when the thread ends.
#include <pthread.h>
#include <stdlib.h>

#include "kernel_table.h"

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local float *buffer;
static _Thread_local size_t buffer_bytes;

static void make_key(void) { pthread_key_create(&key, free); }

float *ck_thread_buffer(size_t bytes) {
  if (bytes <= buffer_bytes) return buffer;
  pthread_once(&once, make_key);
  bytes = ck_round_up(bytes, 4096);
  free(buffer);
  buffer = aligned_alloc(4096, bytes);
  // Without memory for a few panels nothing else would work either: an honest stop beats wrong results.
  if (!buffer) abort();
  buffer_bytes = bytes;
  pthread_setspecific(key, buffer);
  return buffer;
}

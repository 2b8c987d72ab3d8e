// Working memory that a thread keeps for its next picture; freed when the thread ends.
#include "scratch.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local void *memory;
static _Thread_local size_t memory_bytes;

static void make_key(void) { pthread_key_create(&key, free); }

void *cvision_scratch(size_t bytes) {
  if (bytes <= memory_bytes) return memory;
  pthread_once(&once, make_key);
  free(memory);
  memory_bytes = (bytes + bytes / 4 + 4095) / 4096 * 4096;
  memory = aligned_alloc(4096, memory_bytes);
  // Without memory for a few planes of a picture nothing else would work either: an honest stop beats wrong results.
  if (!memory) abort();
  pthread_setspecific(key, memory);
  return memory;
}

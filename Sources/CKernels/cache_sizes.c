// Sizes of the processor's caches: the system's answers, kept, because it may ask the processor, which takes microseconds in a virtual machine.
#include "cache_sizes.h"
#include <stdatomic.h>
#include <unistd.h>

long ck_level2_cache_bytes(void) {
#ifdef _SC_LEVEL2_CACHE_SIZE
  enum { UNKNOWN = -2 };
  static _Atomic long kept = UNKNOWN;
  long bytes = atomic_load_explicit(&kept, memory_order_relaxed);
  if (bytes == UNKNOWN) {
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (bytes < 0) bytes = 0;
    atomic_store_explicit(&kept, bytes, memory_order_relaxed);
  }
  return bytes;
#else
  return 0;
#endif
}

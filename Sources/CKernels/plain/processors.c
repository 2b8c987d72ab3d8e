// How many processors this process may use.
#define _GNU_SOURCE
#include "ckernels_plain.h"
#include <sched.h>
#include <unistd.h>

int ck_processor_count(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}

#ifndef TTA_BUILD_REVISION
#define TTA_BUILD_REVISION "unknown revision"
#endif
const char *ck_build_revision(void) { return TTA_BUILD_REVISION; }

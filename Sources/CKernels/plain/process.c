// Facts about this process and this build.
#define _GNU_SOURCE
#include "ckernels_plain.h"
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
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

size_t ck_peak_memory_bytes(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (size_t)usage.ru_maxrss * 1024;
}

void ck_flush_lines(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

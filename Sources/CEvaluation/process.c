// Locks, parents and memory of processes.
#include "cevaluation.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

bool ce_lock(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB) == 0; }

void ce_end_with_parent(int parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
}

void ce_reset_peak_memory(void) {
  int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  if (write(file, "5", 1) != 1) { /* The peak then counts from the start of the process. */ }
  close(file);
}

/// A number of kilobytes in the process's status, in bytes; 0 where there is none.
static long status_bytes(const char *name) {
  FILE *file = fopen("/proc/self/status", "re");
  if (!file) return 0;
  char line[256];
  long kilobytes = 0;
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, name, strlen(name)) != 0) continue;
    kilobytes = strtol(line + strlen(name), NULL, 10);
    break;
  }
  fclose(file);
  return kilobytes * 1024;
}
long ce_peak_memory(void) { return status_bytes("VmHWM:"); }
long ce_resident_memory(void) { return status_bytes("VmRSS:"); }

void ce_give_back_large_blocks(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
#endif
}

bool ce_flush_output(void) { return fflush(stdout) == 0 && !ferror(stdout); }

// Counts what the calling thread allocates: these definitions come before the C library's when the test program is linked.
#include "allocation_counter.h"
#include <errno.h>
#include <malloc.h>

extern void *__libc_malloc(size_t size);
extern void __libc_free(void *pointer);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static _Thread_local size_t bytes;
static _Thread_local long live;

static void *counted(void *pointer, size_t size) {
  bytes += size;
  live += (long)malloc_usable_size(pointer);
  return pointer;
}
size_t allocated_bytes(void) { return bytes; }
long live_bytes(void) { return live; }

void *malloc(size_t size) { return counted(__libc_malloc(size), size); }
void *calloc(size_t number, size_t size) { return counted(__libc_calloc(number, size), number * size); }
void *realloc(void *old, size_t size) {
  live -= (long)malloc_usable_size(old);
  return counted(__libc_realloc(old, size), size);
}
int posix_memalign(void **result, size_t alignment, size_t size) {
  *result = counted(__libc_memalign(alignment, size), size);
  return *result ? 0 : ENOMEM;
}
void *aligned_alloc(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size), size); }
void free(void *pointer) {
  live -= (long)malloc_usable_size(pointer);
  __libc_free(pointer);
}

// Counts what the calling thread allocates, by standing in front of the C library's allocator.
#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H
#include <stddef.h>

/// Bytes that this thread asked malloc and its relatives for so far.
size_t allocated_bytes(void);
/// Bytes that this thread took minus those it gave back.
long live_bytes(void);

#endif

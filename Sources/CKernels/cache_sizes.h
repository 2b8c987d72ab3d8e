// Sizes of the processor's caches, for the choice of blocks.
#ifndef CK_CACHE_SIZES_H
#define CK_CACHE_SIZES_H

/// Bytes of a core's level-2 cache, 0 where the system does not say. Asked of the system once.
long ck_level2_cache_bytes(void);

#endif

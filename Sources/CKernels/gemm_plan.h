// Sizes of ck_gemm that do not depend on the instruction set.
//
// B is packed into panels of 16 columns, [panel][k][16]. A is copied in blocks of GEMM_DEPTH columns with a fixed row stride, so that the kernel
// addresses all rows from one register. B is packed chunk by chunk where it is too large for the caches.
#ifndef CK_GEMM_PLAN_H
#define CK_GEMM_PLAN_H
#include "cache_sizes.h"
#include "kernel_table.h"

enum {
  GEMM_DEPTH = 384,       // k per pass: covers ViT-S in one; 14 rows × 384 stay in L1
  GEMM_ROW_STRIDE = 400,  // floats; 1600 bytes keep 14 rows in different cache sets
  GEMM_BLOCK_ROWS = 112,  // rows of A per unit at most: 175 KiB of the L2 cache
  // The same where B has more than so many floats, 4 MiB: each block of rows reads all of B, from memory or a cache that others share. Fewer blocks
  // then cost less than their 319 KiB of the L2 cache do.
  GEMM_STREAMED_FLOATS = 1 << 20,
  GEMM_STREAMED_BLOCK_ROWS = 204,
  GEMM_CHUNK_DEPTH = 4 * GEMM_DEPTH,
  GEMM_CHUNK_FLOATS = 2 << 20,  // packed B at a time: 8 MiB
};

static inline size_t gemm_panels(size_t n) { return (n + CK_LANES - 1) / CK_LANES; }
static inline size_t gemm_chunk_depth(size_t k) { return k < GEMM_CHUNK_DEPTH ? k : GEMM_CHUNK_DEPTH; }
/// Panels of B that are packed at a time.
static inline size_t gemm_chunk_panels(size_t n, size_t k) {
  size_t most = GEMM_CHUNK_FLOATS / (CK_LANES * (gemm_chunk_depth(k) + 1)), panels = gemm_panels(n);
  return panels < most ? panels : most;
}
/// Rows of A per unit at most.
static inline size_t gemm_block_rows(bool streams_b) {
  return streams_b && ck_level2_cache_bytes() >= 512 << 10 ? GEMM_STREAMED_BLOCK_ROWS : GEMM_BLOCK_ROWS;
}
static inline size_t gemm_a_floats(void) { return (size_t)GEMM_STREAMED_BLOCK_ROWS * GEMM_ROW_STRIDE; }
static inline size_t gemm_b_floats(size_t n, size_t k) { return gemm_chunk_panels(n, k) * gemm_chunk_depth(k) * CK_LANES; }

#endif

// A convolution under way: what all its units share.

typedef struct {
  const ck_conv *conv;
  ck_conv_geometry geometry;
  ck_pool *pool;
  const float *packed;
  const ck_operand *operand;
  const ck_epilogue *epilogue;
  int n, parts;            // images, and ranges of output blocks that each is split into
  int images_per_unit;     // Winograd
  int chunk, chunks;       // pointwise: positions that are packed together, and units that an image is split into
  const tap_offset *taps;  // direct and stem: all phases, in order
  const int *phase_taps;   // direct: taps of each phase
  const struct depthwise_taps *depthwise;
  // direct and pointwise: how the padded copy and the weights are multiplied, and the words of a position and block in the copy.
  word_kind words;
  int position_words;
} conv_job;

/// Turns packed positions into the words that the products read, in place.
static void round_packed(const conv_job *job, float *packed, size_t floats) {
  if (job->words != WORDS_FLOATS) bfloat16_factors(job->words, packed, floats, packed);
}

/// The product of a piece of results.
INLINE product_piece piece_of(const conv_job *job, int blocks, int piece) {
#if HAS_BFLOAT16_PAIRS
  if (job->words == WORDS_BFLOAT16_PAIRS) return product_pair_pieces[blocks - 1][piece];
#endif
  (void)job;
  return product_pieces[blocks - 1][piece];
}

/// First block of a part; parts begin at multiples of PIECE_BLOCKS.
static int part_begin(int blocks, int parts, int part) {
  int groups = ck_ceil_divide(blocks, PIECE_BLOCKS);
  return ck_minimum(blocks, groups * part / parts * PIECE_BLOCKS);
}

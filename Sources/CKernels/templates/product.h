// The inner product of all blocked convolutions: a few neighbouring positions × one or two blocks of output channels, kept in registers.
//
// For each input channel the weights of the output blocks are loaded once and every position's value is broadcast from memory, which costs
// nothing beside the multiply-add. How many positions × blocks fit is a matter of registers: PIECE_SIZES of the instruction set.

/// One tap as the kernels use it: floats from a result's position to the input, and floats from a block's weights to the tap's.
typedef struct {
  size_t input, weights;
} tap_offset;

/// Where a product reads.
typedef struct {
  const float *input;         // the first position, first input block
  size_t input_block_stride;  // floats from an input block to the next
  int input_channels;
  const tap_offset *taps;
  int tap_count;
  const float *weights;  // the first output block
  size_t weights_per_input_block, weights_per_output_block;
  upcoming_operand *next;  // prefetched a few lines at a time between the taps: a burst would only queue up
  int prefetched_lines;
} product_source;

INLINE void accumulate_channel(const float *input, const float *weights, size_t output_block_stride, int channel, int positions, int blocks,
                               v16 *sum) {
  v16 w[2];
  UNROLLED for (int b = 0; b < blocks; ++b) w[b] = load(weights + (size_t)b * output_block_stride + (size_t)channel * CK_LANES);
  UNROLLED for (int p = 0; p < positions; ++p) {
    v16 x = splat(input[p * CK_LANES + channel]);
    UNROLLED for (int b = 0; b < blocks; ++b) sum[p * blocks + b] = multiply_add(x, w[b], sum[p * blocks + b]);
  }
}

/// Channels of one input block. Nearly all blocks are whole: their loop has a fixed end, so that it can be unrolled (docs/performance.md).
INLINE void accumulate(const float *input, const float *weights, size_t output_block_stride, int channels, int positions, int blocks, v16 *sum) {
  if (channels == CK_LANES) {
    CHANNELS_UNROLLED for (int channel = 0; channel < CK_LANES; ++channel)
        accumulate_channel(input, weights, output_block_stride, channel, positions, blocks, sum);
  } else {
    _Pragma("clang loop unroll(disable)") for (int channel = 0; channel < channels; ++channel)
        accumulate_channel(input, weights, output_block_stride, channel, positions, blocks, sum);
  }
}

/// NAME: sum[position][block] over all taps and channels.
#define DEFINE_PRODUCT(NAME, ACCUMULATE)                                                                                             \
  INLINE void NAME(const product_source *source, int positions, int blocks, v16 *sum) {                                             \
    UNROLLED for (int i = 0; i < positions * blocks; ++i) sum[i] = splat(0);                                                         \
    const float *input = source->input, *weights = source->weights;                                                                 \
    const size_t input_step = source->input_block_stride, weights_step = source->weights_per_input_block;                           \
    const size_t output_block_stride = source->weights_per_output_block;                                                            \
    const tap_offset *taps = source->taps;                                                                                          \
    const int tap_count = source->tap_count, lines = source->prefetched_lines;                                                      \
    upcoming_operand *next = source->next;                                                                                          \
    for (int left = source->input_channels; left > 0; left -= CK_LANES, input += input_step, weights += weights_step) {             \
      int channels = left < CK_LANES ? left : CK_LANES;                                                                             \
      for (int t = 0; t < tap_count; ++t) {                                                                                         \
        prefetch_upcoming(next, lines);                                                                                             \
        ACCUMULATE(input + taps[t].input, weights + taps[t].weights, output_block_stride, channels, positions, blocks, sum);        \
      }                                                                                                                             \
    }                                                                                                                               \
  }
DEFINE_PRODUCT(product, accumulate)

/// Where finished results go: one view per output block.
typedef struct {
  block_epilogue epilogue[2];
  region_sums sums[2];
  block_totals totals[2];
} product_target;

typedef void (*product_piece)(const product_source *source, product_target *target, size_t offset, size_t step);
typedef void (*raw_piece)(const float *input, size_t input_block_stride, int channels, const float *weights, size_t output_block_stride,
                          float *output, size_t output_stride);

// One function per size: product_P_B finishes P positions × B blocks through the epilogue, raw_P_B stores them bare (Winograd).
#define DEFINE_PRODUCT_PIECE(PRODUCT, P, B)                                                                                        \
  static __attribute__((noinline)) void PRODUCT##_##P##_##B(const product_source *source, product_target *target, size_t offset,   \
                                                            size_t step) {                                                         \
    UNROLLED for (int b = 0; b < B; ++b) prefetch_results(&target->epilogue[b], P, offset, step);                            \
    v16 sum[P * B];                                                                                                                \
    PRODUCT(source, P, B, sum);                                                                                                    \
    UNROLLED for (int b = 0; b < B; ++b) {                                                                                         \
      v16 values[P];                                                                                                               \
      UNROLLED for (int p = 0; p < P; ++p) values[p] = sum[p * B + b];                                                             \
      epilogue_group(&target->epilogue[b], &target->sums[b], values, 1, P, offset, 0, step);                                       \
    }                                                                                                                              \
  }
#define DEFINE_RAW_PIECE(P, B)                                                                                                     \
  static __attribute__((noinline)) void raw_##P##_##B(const float *input, size_t input_block_stride, int channels,                 \
                                                      const float *weights, size_t output_block_stride, float *output,             \
                                                      size_t output_stride) {                                                      \
    v16 sum[P * B];                                                                                                                \
    UNROLLED for (int i = 0; i < P * B; ++i) sum[i] = splat(0);                                                                    \
    for (; channels > 0; channels -= CK_LANES, input += input_block_stride, weights += CK_LANES * CK_LANES)                        \
      accumulate(input, weights, output_block_stride, channels < CK_LANES ? channels : CK_LANES, P, B, sum);                       \
    UNROLLED for (int b = 0; b < B; ++b)                                                                                           \
      UNROLLED for (int p = 0; p < P; ++p) store(output + (size_t)b * output_stride + p * CK_LANES, sum[p * B + b]);               \
  }

#define DEFINE_PRODUCT_1(P) DEFINE_PRODUCT_PIECE(product, P, 1)
PIECE_SIZES(DEFINE_PRODUCT_1)
#define DEFINE_RAW_1(P) DEFINE_RAW_PIECE(P, 1)
RAW_SIZES_1(DEFINE_RAW_1)
#if PIECE_BLOCKS == 2
#define DEFINE_PRODUCT_2(P) DEFINE_PRODUCT_PIECE(product, P, 2)
PIECE_SIZES(DEFINE_PRODUCT_2)
#define DEFINE_RAW_2(P) DEFINE_RAW_PIECE(P, 2)
PIECE_SIZES(DEFINE_RAW_2)
#endif

#define SIZE_ENTRY(P) P,
static const int piece_sizes[] = {PIECE_SIZES(SIZE_ENTRY)};
enum { PIECE_COUNT = sizeof piece_sizes / sizeof piece_sizes[0] };
#define PRODUCT_ENTRY_1(P) product_##P##_1,
#define RAW_ENTRY_1(P) raw_##P##_1,
#if PIECE_BLOCKS == 2
#define PRODUCT_ENTRY_2(P) product_##P##_2,
#define RAW_ENTRY_2(P) raw_##P##_2,
#endif
static const product_piece product_pieces[PIECE_BLOCKS][PIECE_COUNT] = {
    {PIECE_SIZES(PRODUCT_ENTRY_1)},
#if PIECE_BLOCKS == 2
    {PIECE_SIZES(PRODUCT_ENTRY_2)},
#endif
};
static const raw_piece raw_pieces_1[] = {RAW_SIZES_1(RAW_ENTRY_1)};
static const int raw_sizes_1[] = {RAW_SIZES_1(SIZE_ENTRY)};
#if PIECE_BLOCKS == 2
static const raw_piece raw_pieces_2[] = {PIECE_SIZES(RAW_ENTRY_2)};
#endif

#if HAS_BFLOAT16_PAIRS
// The same over pairs of bfloat16, behind the other templates: they need one more feature of the processor.
static const product_piece product_pair_pieces[PIECE_BLOCKS][PIECE_COUNT];
#endif

/// The index of the size for the next piece of `left` positions: near equal pieces where the sizes allow. sizes: descending, the last is 1.
INLINE int choose_size(const int *sizes, int size_count, int left) {
  int wanted = ck_ceil_divide(left, ck_ceil_divide(left, sizes[0]));
  int index = size_count - 1;
  while (index > 0 && sizes[index] < wanted) --index;
  while (sizes[index] > left) ++index;
  return index;
}
static int choose_piece(int left) { return choose_size(piece_sizes, PIECE_COUNT, left); }

/// How bare products of a block of tiles are divided.
typedef struct {
  raw_piece piece;
  size_t first;  // position
} raw_part;

/// Divides `count` positions into pieces for `blocks` output blocks; returns their number.
static int divide_raw(int count, int blocks, raw_part *parts) {
  const int *sizes = raw_sizes_1;
  const raw_piece *pieces = raw_pieces_1;
  int size_count = sizeof raw_sizes_1 / sizeof raw_sizes_1[0], part_count = 0;
#if PIECE_BLOCKS == 2
  if (blocks == 2) sizes = piece_sizes, pieces = raw_pieces_2, size_count = PIECE_COUNT;
#endif
  (void)blocks;
  for (int done = 0; done < count; ++part_count) {
    int index = choose_size(sizes, size_count, count - done);
    parts[part_count] = (raw_part){pieces[index], (size_t)done};
    done += sizes[index];
  }
  return part_count;
}
